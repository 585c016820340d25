package driver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/statement"
)

const (
	// pollWait is how long Poll waits for something to do.
	pollWait = 20 * time.Second
	// linger is how long the end of a round waits to be told with the next
	// question, so that both are one answer.
	linger = 250 * time.Millisecond
)

// Assignment is one thing that a site should do or learn; exactly one field is
// set.
type Assignment struct {
	ReviewStudy   *ReviewStudy
	Contribute    *Contribute
	Open          *OpenRequest
	ReviewRelease *ReviewRelease
	RoundEnded    *RoundEnded
}

// ReviewStudy asks for a decision about a study.
type ReviewStudy struct{ Protocol, Proposal []byte }

// Contribute asks for a contribution.
type Contribute struct {
	Plan, Parameters []byte
	Leaf             uint64
	Inclusion        [][32]byte
}

// OpenRequest asks a committee member for its opening share.
type OpenRequest struct {
	Plan, Request         []byte
	Headers, SealedShares [][]byte
	Leaf                  uint64
	Inclusion             [][32]byte
}

// ReviewRelease asks for a decision about a release.
type ReviewRelease struct {
	Release, Audit, Protocol []byte
	Override                 []byte // nil unless the study's criteria block the release
}

// RoundEnded tells how a round ended.
type RoundEnded struct {
	Round statement.Digest
	State string
	End   []byte
}

// Polled is the answer to a poll.
type Polled struct {
	Revision    string
	Rosters     [][]byte
	Checkpoint  []byte
	Consistency [][32]byte
	Assignments []Assignment
	Entries     [][]byte
}

// PollRequest says what a site has seen.
type PollRequest struct {
	Revision     string
	LedgerSize   uint64
	RosterNumber uint64
	EntriesRead  uint64
}

// duty is an assignment before its bytes are read.
type duty struct {
	kind  string
	study *studyState
	round *roundState
}

// Poll waits for the site's assignments to differ from those it has seen and
// returns them all. They are a function of the state: nothing is remembered
// about what was sent. A revision names the assignments, what else a site is told
// at once, and a place in the list of ended rounds, so that an end is told once,
// and told again from the first to a site that starts afresh.
//
// That nothing is left to do is no news. That a round ended is, but it waits a
// little for the question that comes next.
func (d *Driver) Poll(ctx context.Context, site string, seen PollRequest) (*Polled, error) {
	timeout := time.NewTimer(pollWait)
	defer timeout.Stop()
	var lingered <-chan time.Time
	patience := urgent
	if seen.Revision == "" {
		patience = nothing
	}
	for {
		d.mu.Lock()
		polled, fetch, held, err := d.poll(site, seen, patience)
		assigned := d.assigned
		d.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if polled != nil {
			for _, fill := range fetch {
				a, err := fill()
				if err != nil {
					return nil, err
				}
				polled.Assignments = append(polled.Assignments, a)
			}
			return polled, nil
		}
		if held && lingered == nil {
			lingered = time.After(linger)
		}
		select {
		case <-assigned:
		case <-lingered:
			patience = min(patience, anything)
		case <-timeout.C:
			patience = nothing
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// fetch reads the bytes of an assignment, which is done without the lock: what
// is named by its digest does not change.
type fetch func() (Assignment, error)

// news is what a poll waits for before it is answered.
type news int

const (
	nothing  news = iota // answered in any case
	anything             // an end of a round, or what is urgent
	urgent               // something to do, or another roster, or a head to cosign
)

// poll answers a poll, or not: nil unless there is as much news as is waited
// for. held says that there is news, which may wait for more.
func (d *Driver) poll(site string, q PollRequest, waits news) (_ *Polled, _ []fetch, held bool, err error) {
	known, cursor, _ := strings.Cut(q.Revision, ".")
	seen, err := strconv.Atoi(cursor)
	if err != nil || seen < 0 || seen > len(d.finished) {
		seen = 0
	}
	duties := d.duties(site)
	now := d.revision(duties)
	has := nothing
	var all []fetch
	for _, r := range d.finished[seen:] {
		if r.Assignment(site) != round.Learn {
			continue
		}
		all = append(all, d.tellEnd(r))
		if r.study.state() == Running {
			has = max(has, anything)
		} else {
			has = urgent
		}
	}
	if now != known && !(len(duties) == 0 && standing(now) == standing(known)) {
		has = urgent
	}
	if has < waits {
		return nil, nil, has > nothing, nil
	}
	if q.LedgerSize > d.leaves {
		return nil, nil, false, shrunk(q.LedgerSize, d.leaves)
	}
	p := &Polled{Revision: now + "." + strconv.Itoa(len(d.finished)), Rosters: d.Rosters(q.RosterNumber)}
	if p.Checkpoint, p.Consistency, err = d.checkpoint(q.LedgerSize); err != nil {
		return nil, nil, false, err
	}
	if slices.ContainsFunc(duties, func(duty duty) bool { return duty.round != nil }) && q.EntriesRead < d.leaves {
		if p.Entries, err = d.log.Leaves(q.EntriesRead, min(d.leaves, q.EntriesRead+maxEntries)); err != nil {
			return nil, nil, false, err
		}
	}
	for _, duty := range duties {
		f, err := d.assignment(site, duty)
		if err != nil {
			return nil, nil, false, err
		}
		all = append(all, f)
	}
	return p, all, false, nil
}

// duties lists what a site should do now.
func (d *Driver) duties(site string) []duty {
	var duties []duty
	for _, s := range d.order {
		if _, done := s.decisions[site]; !done && s.state() == Proposed {
			duties = append(duties, duty{"review-study", s, nil})
		}
		if r := s.active(); r != nil {
			switch r.Assignment(site) {
			case round.Contribute:
				duties = append(duties, duty{"contribute", s, r})
			case round.Open:
				duties = append(duties, duty{"open", s, r})
			}
		}
		if _, done := s.releases[site]; !done && s.ended != nil && s.ended.Release != nil && s.decisions[site].Approved {
			duties = append(duties, duty{"review-release", s, nil})
		}
	}
	return duties
}

// revision names what stands for every site, and a site's duties.
func (d *Driver) revision(duties []duty) string {
	stands, work := sha256.New(), sha256.New()
	fmt.Fprintln(stands, "roster", d.rosters, "witness", d.toWitness)
	for _, duty := range duties {
		fmt.Fprintln(work, duty.kind, duty.study.id)
		if duty.round != nil {
			fmt.Fprintln(work, duty.round.ID())
		}
	}
	return hex.EncodeToString(stands.Sum(nil)[:6]) + "-" + hex.EncodeToString(work.Sum(nil)[:12])
}

// standing is the part of a revision that all sites have in common.
func standing(revision string) string {
	stands, _, _ := strings.Cut(revision, "-")
	return stands
}

// assignment says what the bytes of an assignment are and proves, now, that its
// statement is in the log.
func (d *Driver) assignment(site string, duty duty) (fetch, error) {
	switch duty.kind {
	case "review-study":
		return d.askReview(duty.study), nil
	case "contribute":
		return d.askContribution(duty.round)
	case "open":
		return d.askOpening(duty.round, site)
	default:
		return d.offerRelease(duty.study), nil
	}
}

func (d *Driver) tellEnd(r *roundState) fetch {
	told, end := RoundEnded{Round: r.ID(), State: string(r.State())}, r.end
	return func() (Assignment, error) {
		var err error
		told.End, err = d.bulk(r).Get(end)
		return Assignment{RoundEnded: &told}, err
	}
}

func (d *Driver) askReview(s *studyState) fetch {
	protocol, proposal := s.id, s.proposed.Envelope
	return func() (Assignment, error) {
		all, err := getAll(d.Blobs, protocol, proposal)
		if err != nil {
			return Assignment{}, err
		}
		return Assignment{ReviewStudy: &ReviewStudy{Protocol: all[0], Proposal: all[1]}}, nil
	}
}

func (d *Driver) askContribution(r *roundState) (fetch, error) {
	announced, _ := r.Announced()
	proof, err := d.log.Inclusion(announced.Leaf, d.leaves)
	parameters := r.Plan().Parameters
	return func() (Assignment, error) {
		all, err := getAll(d.bulk(r), announced.Envelope, parameters)
		if err != nil {
			return Assignment{}, err
		}
		return Assignment{Contribute: &Contribute{Plan: all[0], Parameters: all[1], Leaf: announced.Leaf, Inclusion: proof}}, nil
	}, err
}

func (d *Driver) askOpening(r *roundState, site string) (fetch, error) {
	announced, _ := r.Announced()
	requested, _ := r.Requested()
	proof, err := d.log.Inclusion(requested.Leaf, d.leaves)
	if err != nil {
		return nil, err
	}
	member := r.committeeIndex(site)
	var headers, shares []statement.Digest
	for _, contributor := range r.Contributors() {
		begun, _ := r.Begun(contributor)
		h, err := d.header(r, contributor)
		if err != nil {
			return nil, err
		}
		headers, shares = append(headers, begun.Envelope), append(shares, h.Shares[member])
	}
	bulk := d.bulk(r)
	return func() (Assignment, error) {
		signed, err := getAll(bulk, announced.Envelope, requested.Envelope)
		if err != nil {
			return Assignment{}, err
		}
		ask := &OpenRequest{Plan: signed[0], Request: signed[1], Leaf: requested.Leaf, Inclusion: proof}
		if ask.Headers, err = getAll(bulk, headers...); err != nil {
			return Assignment{}, err
		}
		ask.SealedShares, err = getAll(bulk, shares...)
		return Assignment{Open: ask}, err
	}, nil
}

func (d *Driver) offerRelease(s *studyState) fetch {
	names := []statement.Digest{*s.ended.Release, *s.ended.Audit, s.id}
	if s.overridden != nil {
		names = append(names, s.overridden.Envelope)
	}
	return func() (Assignment, error) {
		all, err := getAll(d.Blobs, names...)
		if err != nil {
			return Assignment{}, err
		}
		offer := &ReviewRelease{Release: all[0], Audit: all[1], Protocol: all[2]}
		if len(all) > 3 {
			offer.Override = all[3]
		}
		return Assignment{ReviewRelease: offer}, nil
	}
}

func getAll(from blobs.Store, names ...statement.Digest) ([][]byte, error) {
	all := make([][]byte, len(names))
	for i, name := range names {
		var err error
		if all[i], err = from.Get(name); err != nil {
			return nil, err
		}
	}
	return all, nil
}
