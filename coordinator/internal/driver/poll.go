package driver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// pollWait is how long Poll waits for something to do.
const pollWait = 20 * time.Second

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
type ReviewRelease struct{ Release, Audit, Protocol []byte }

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
}

// duty is an assignment before its bytes are read.
type duty struct {
	kind  string
	study *studyState
	round *roundState
}

// Poll waits for the site's assignments to differ from those it has seen and
// returns them all. They are a function of the state: nothing is remembered
// about what was sent. A revision is a digest of the assignments and a cursor
// into the list of ended rounds, so that an end is told once, and told again
// from the first to a site that starts afresh.
func (d *Driver) Poll(ctx context.Context, site, revision string, ledgerSize, rosterNumber uint64) (*Polled, error) {
	timeout := time.NewTimer(pollWait)
	defer timeout.Stop()
	expired := revision == ""
	for {
		d.mu.Lock()
		polled, err := d.poll(site, revision, expired, ledgerSize, rosterNumber)
		changed := d.changed
		d.mu.Unlock()
		if polled != nil || err != nil {
			return polled, err
		}
		select {
		case <-changed:
		case <-timeout.C:
			expired = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (d *Driver) poll(site, revision string, anyway bool, ledgerSize, rosterNumber uint64) (*Polled, error) {
	_, cursor, _ := strings.Cut(revision, ".")
	seen, err := strconv.Atoi(cursor)
	if err != nil || seen < 0 || seen > len(d.finished) {
		seen = 0
	}
	duties := d.duties(site)
	now := d.revision(duties)
	if now == revision && !anyway {
		return nil, nil
	}
	size := d.leaves
	if ledgerSize > size {
		return nil, shrunk(ledgerSize, size)
	}
	p := &Polled{Revision: now, Rosters: d.Rosters(rosterNumber)}
	if p.Checkpoint, p.Consistency, err = d.checkpoint(ledgerSize); err != nil {
		return nil, err
	}
	for _, r := range d.finished[seen:] {
		if r.Assignment(site) != round.Learn {
			continue
		}
		end, err := d.Blobs.Get(r.end)
		if err != nil {
			return nil, err
		}
		p.Assignments = append(p.Assignments, Assignment{RoundEnded: &RoundEnded{Round: r.ID(), State: string(r.State()), End: end}})
	}
	for _, duty := range duties {
		a, err := d.assignment(site, duty, size)
		if err != nil {
			return nil, err
		}
		p.Assignments = append(p.Assignments, a)
	}
	return p, nil
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

func (d *Driver) revision(duties []duty) string {
	h := sha256.New()
	fmt.Fprintln(h, "roster", d.rosters)
	for _, duty := range duties {
		fmt.Fprintln(h, duty.kind, duty.study.id)
		if duty.round != nil {
			fmt.Fprintln(h, duty.round.ID())
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:12]) + "." + strconv.Itoa(len(d.finished))
}

func (d *Driver) assignment(site string, duty duty, size uint64) (a Assignment, err error) {
	get := func(name statement.Digest) []byte {
		data, getErr := d.Blobs.Get(name)
		if err == nil {
			err = getErr
		}
		return data
	}
	prove := func(leaf uint64) [][32]byte {
		proof, proofErr := d.log.Inclusion(leaf, size)
		if err == nil {
			err = proofErr
		}
		return proof
	}
	s, r := duty.study, duty.round
	switch duty.kind {
	case "review-study":
		a.ReviewStudy = &ReviewStudy{Protocol: get(s.id), Proposal: get(s.proposed.Envelope)}
	case "contribute":
		announced, _ := r.Announced()
		a.Contribute = &Contribute{Plan: get(announced.Envelope), Parameters: get(r.Plan().Parameters), Leaf: announced.Leaf, Inclusion: prove(announced.Leaf)}
	case "open":
		announced, _ := r.Announced()
		requested, _ := r.Requested()
		a.Open = &OpenRequest{Plan: get(announced.Envelope), Request: get(requested.Envelope), Leaf: requested.Leaf, Inclusion: prove(requested.Leaf)}
		member := r.committeeIndex(site)
		for _, contributor := range r.Contributors() {
			begun, _ := r.Begun(contributor)
			a.Open.Headers = append(a.Open.Headers, get(begun.Envelope))
			sealed, packErr := unpack(get(begun.Shares), member)
			if err == nil {
				err = packErr
			}
			a.Open.SealedShares = append(a.Open.SealedShares, sealed)
		}
	case "review-release":
		a.ReviewRelease = &ReviewRelease{Release: get(*s.ended.Release), Audit: get(*s.ended.Audit), Protocol: get(s.id)}
	}
	return a, err
}
