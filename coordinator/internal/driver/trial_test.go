package driver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

// slow is a store whose disk can be held and can be full.
type slow struct {
	store.Store
	batches       []store.Batch
	facts, leaves uint64
	full          bool
	held          chan struct{} // nil, or writes wait until it is closed
	writing       chan struct{} // gets a word when a write waits
}

func (s *slow) Append(_ context.Context, facts, leaves uint64, b store.Batch) error {
	if s.held != nil {
		s.writing <- struct{}{}
		<-s.held
	}
	if s.full || facts != s.facts || leaves != s.leaves {
		return errors.New("no space left on device")
	}
	s.batches = append(s.batches, b)
	s.facts += uint64(len(b.Facts))
	s.leaves += uint64(len(b.Leaves))
	return nil
}

func (s *slow) Size(context.Context) (facts, leaves uint64, err error) { return s.facts, s.leaves, nil }

// recordKinds are the kinds of a batch's facts.
func recordKinds(t *testing.T, b store.Batch) (all []string) {
	t.Helper()
	for _, f := range b.Facts {
		kind, _, _ := strings.Cut(strings.TrimPrefix(string(f.Body), `{"kind":"`), `"`)
		all = append(all, kind)
	}
	return all
}

// collecting is a driver with a round that waits for so many contributions.
func collecting(t *testing.T, sites int) (*Driver, *slow, *roundState) {
	t.Helper()
	d, s, plan := drawn(t, sites, study.Supermajority)
	node, _ := witnessed(t, 0)
	files, err := blobs.OpenFiles(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	disk := &slow{leaves: d.leaves}
	now := plan.Issued.Add(time.Second)
	d.Options = Options{Node: node.Node, Store: disk, Blobs: files, Logger: zap.NewNop(), Now: func() time.Time { return now }}
	d.started = now
	d.changed, d.assigned, d.poked = make(chan struct{}), make(chan struct{}), make(chan struct{}, 1)
	r := s.rounds[0]
	r.headers = map[string]*statement.ContributionHeader{}
	d.rounds = map[statement.Digest]*roundState{r.ID(): r}
	if err := r.Apply(round.Announced{Envelope: statement.DigestOf([]byte("plan")), At: plan.Issued}); err != nil {
		t.Fatal(err)
	}
	return d, disk, r
}

// whole is a contribution that a site offers.
func whole(d *Driver, r *roundState, site, header string) *offer {
	in := round.Whole{Begin: round.Begin{Site: site, Header: statement.DigestOf([]byte(header)), Envelope: statement.DigestOf([]byte("signed " + header))}}
	entry := d.entry(ledger.TypeContribution, r.Plan().Study, r.ID(), in.Envelope, site)
	return &offer{round: r, in: in, entry: []ledger.Entry{entry}, then: func() { r.headers[site] = &statement.ContributionHeader{} }}
}

// waiting returns once so many offers wait for the lock.
func (d *Driver) waiting(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		d.queue.Lock()
		waiting := len(d.offers)
		d.queue.Unlock()
		if waiting == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d offers wait, want %d", waiting, n)
		}
	}
}

// While the disk takes one contribution, others come. They go to the disk
// together, in their order, and one that is refused changes nothing for the rest.
func TestThoseWhoWaitForTheDiskShareOneTransaction(t *testing.T) {
	d, disk, r := collecting(t, 4)
	disk.held, disk.writing = make(chan struct{}), make(chan struct{}, 10)
	offers := []*offer{
		whole(d, r, "site00", "a"), whole(d, r, "site01", "b"), whole(d, r, "site01", "another"),
		whole(d, r, "site02", "c"), whole(d, r, "site02", "c"), whole(d, r, "nobody", "d"),
	}
	answers := make([]chan error, len(offers))
	for i, o := range offers {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- d.enter(o) }()
		if i == 0 {
			<-disk.writing
		} else {
			d.waiting(t, i)
		}
	}
	if _, counted := r.Contribution("site00"); counted {
		t.Error("a contribution counts before it is durable")
	}
	close(disk.held)
	codes := map[int]string{2: round.CodeOtherHeader, 5: round.CodeNotInvited}
	for i, answer := range answers {
		err := <-answer
		var code string
		if p, ok := errors.AsType[*Problem](err); ok {
			code = p.Code
		} else if err != nil {
			t.Fatal(err)
		}
		if code != codes[i] {
			t.Errorf("offer %d: %q, want %q", i, code, codes[i])
		}
	}
	if len(disk.batches) != 2 {
		t.Fatalf("%d transactions, want one for the first and one for the rest", len(disk.batches))
	}
	if got, want := recordKinds(t, disk.batches[1]), []string{"begun", "contributed", "begun", "contributed"}; !slices.Equal(got, want) || len(disk.batches[1].Leaves) != 2 {
		t.Errorf("the second transaction holds %q and %d entries", got, len(disk.batches[1].Leaves))
	}
	if got := r.Contributors(); !slices.Equal(got, []string{"site00", "site01", "site02"}) || len(r.headers) != 3 {
		t.Errorf("contributors %q, %d headers", got, len(r.headers))
	}
}

// What cannot be stored has not happened, for anybody, and may be offered again.
func TestATransactionThatFailsChangesNothingForAnybody(t *testing.T) {
	d, disk, r := collecting(t, 4)
	disk.full = true
	d.mu.Lock()
	offers := []*offer{whole(d, r, "site00", "a"), whole(d, r, "site01", "b"), whole(d, r, "nobody", "c")}
	d.takeAll(offers)
	d.mu.Unlock()
	for i, want := range []string{"not-stored", "not-stored", round.CodeNotInvited} {
		if p, ok := errors.AsType[*Problem](offers[i].err); !ok || p.Code != want {
			t.Errorf("offer %d: %v, want %s", i, offers[i].err, want)
		}
	}
	if len(r.Contributors()) != 0 || len(r.headers) != 0 || d.leaves != disk.leaves || d.broken != nil {
		t.Errorf("contributors %q, %d headers, %v", r.Contributors(), len(r.headers), d.broken)
	}
	disk.full = false
	if err := d.enter(whole(d, r, "site00", "a")); err != nil {
		t.Errorf("offered again: %v", err)
	}
}

// The contribution that completes the set has its opening asked for at once, and
// the request knows its place in the ledger.
func TestTheLastContributionBringsTheRequest(t *testing.T) {
	d, disk, r := collecting(t, 4)
	d.mu.Lock()
	for _, site := range []string{"site00", "site01", "site02"} {
		d.takeAll([]*offer{whole(d, r, site, site)})
	}
	d.heard = map[string]*presence{}
	for _, site := range r.Plan().Invited {
		d.heard[site] = &presence{calls: 1}
	}
	last := whole(d, r, "site03", "site03")
	leaf := d.leaves + 1
	d.takeAll([]*offer{last})
	d.mu.Unlock()
	if last.err != nil {
		t.Fatal(last.err)
	}
	batch := disk.batches[len(disk.batches)-1]
	if got, want := recordKinds(t, batch), []string{"begun", "contributed", "set-fixed", "requested"}; !slices.Equal(got, want) || len(batch.Leaves) != 2 {
		t.Errorf("the last transaction holds %q and %d entries", got, len(batch.Leaves))
	}
	requested, ok := r.Requested()
	if !ok || requested.Leaf != leaf {
		t.Errorf("requested: %v, entry %d, want %d", ok, requested.Leaf, leaf)
	}
	if entry, err := ledger.ParseEntry(batch.Leaves[1]); err != nil || entry.Subject != requested.Envelope {
		t.Errorf("the entry is %+v, %v", entry, err)
	}
	if has, err := d.bulk(r).Has(requested.Envelope); !has || err != nil {
		t.Errorf("the signed request is not stored: %v", err)
	}
}
