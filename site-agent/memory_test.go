package siteagent

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

// heap measures live memory on top of what was live when it was made. It
// collects garbage first, so that the figure does not depend on when the
// collector happens to run.
type heap struct{ base, peak int64 }

func newHeap() *heap {
	h := &heap{}
	runtime.GC() // pools are emptied by the second collection
	h.sample()
	h.base, h.peak = h.peak, 0
	return h
}

func (h *heap) sample() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	h.peak = max(h.peak, int64(m.HeapAlloc)-h.base)
}

// A contribution goes from the vector to the receipt with little ciphertext in
// memory, however long it is: while it is sealed into the spool, the room that
// the cipher works in; while it is sent from there, what a connection holds at
// its two ends, which are both in this process. The vector itself is not counted: a computation
// makes it as a whole.
func TestALongContributionIsNeverInMemoryAsAWhole(t *testing.T) {
	const values = 16_000_000
	c := newCoordinator(t)
	c.forgetChunks = true
	dirs := c.enrol(sites...)
	a, err := Open(Options{Dir: dirs[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	link, err := a.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	contribute := func(r *participant.Round, vector []float64) (sealing, sending int64) {
		every := max(1, r.Secagg.Chunks()/8)
		h := newHeap()
		a.o.Seal = func(r *secagg.Round, values []float64, emit func(int, []byte) error, seeds ...[secagg.SeedBytes]byte) ([][]byte, error) {
			return Seal(r, values, func(i int, chunk []byte) error {
				if i%every == 0 {
					h.sample()
				}
				return emit(i, chunk)
			}, seeds...)
		}
		a.o.Progress = func(u Upload) {
			if u.Sent/int64(r.Secagg.ChunkBytes())%int64(every) == 0 {
				h.sample()
			}
		}
		contribution, reason, err := a.seal(r, vector)
		if err != nil || reason != "" {
			t.Fatal(reason, err)
		}
		defer contribution.Close()
		sealing, h.peak = h.peak, 0
		if err := a.send(t.Context(), link, r, subjectOf(r), contribution); err != nil {
			t.Fatal(err)
		}
		return sealing, h.peak
	}
	contribute(c.longRound(a, 1000), make([]float64, 1000)) // opens the connection, makes the tables of the cipher
	vector := make([]float64, values)
	for i := range vector {
		vector[i] = float64(1 + i%30_000)
	}
	r := c.longRound(a, values)
	sealing, sending := contribute(r, vector)
	t.Logf("%d KB of ciphertext: %d KB of memory while sealing, %d KB while sending", r.Secagg.Chunks()*r.Secagg.ChunkBytes()>>10, sealing>>10, sending>>10)
	if whole := r.Secagg.Chunks() * r.Secagg.ChunkBytes(); whole < 40<<20 {
		t.Fatalf("the contribution has only %d bytes: the test has lost its point", whole)
	}
	if sealing > 5<<20 {
		t.Errorf("sealing takes %d bytes of memory", sealing)
	}
	if sending > 20<<20 {
		t.Errorf("sending takes %d bytes of memory", sending)
	}
	if !c.counted[r.ID.String()]["alpha"] {
		t.Error("the contribution does not count")
	}
	for _, v := range vector {
		if v != 0 {
			t.Fatal("the vector was not overwritten")
		}
	}
}

// longRound is a round over one long field, which no study has.
func (c *coordinator) longRound(a *Agent, values int) *participant.Round {
	c.t.Helper()
	now := time.Now().UTC().Truncate(time.Second)
	plan := &statement.Plan{
		Step: "long", Epoch: "1", Roster: a.node.Rosters().Latest().Digest(), Invited: sites, Committee: sites, Threshold: 3, MinimumContributors: 3,
		Layout: secagg.Layout{{Name: "v", Length: values, Bound: 1<<15 - 1}},
		Issued: now, CollectUntil: now.Add(time.Hour), OpenUntil: now.Add(2 * time.Hour), Nonce: strings.Repeat("0", 32),
	}
	var err error
	if plan.Suite, err = secagg.SelectSuite(plan.Layout, len(sites), len(sites), plan.Threshold); err != nil {
		c.t.Fatal(err)
	}
	plan.Question = plan.QuestionDigest()
	r := &participant.Round{Plan: plan, Roster: a.node.Rosters().Latest()}
	spec := plan.RoundSpec()
	r.ID = statement.Digest(spec.ID)
	if r.Secagg, err = secagg.NewRound(spec); err != nil {
		c.t.Fatal(err)
	}
	return r
}
