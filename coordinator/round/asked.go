package round

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// Who is asked to open, and when. An opening share costs its member, and the
// network, the key shares of every contributor, and threshold shares are enough.
// So one member more than that is asked first: the share that is not needed is a
// check on the others. All others are asked as soon as a member reports a fault,
// or when the shares have not come after a while that openings of this study take
// seldom, or when the sum that was opened is not sound. Nobody has to be there for
// that but the coordinator's clock: a round never waits longer for a member that
// was asked first than until AllAt.

const (
	spare          = 1 // shares beyond the threshold that are asked for at first
	lookBack       = 8 // how many earlier rounds say who answers, and how fast
	firstPatience  = time.Second
	leastPatience  = 250 * time.Millisecond
	mostPatience   = 5 * time.Second
	sampleOpenings = 5 // of which the median is the usual time
)

// First returns the members to ask first, ascending, given the earlier rounds of
// the study, oldest first; nil where all are asked at once: where there are no
// more, or too many are away or did not answer when they were last asked.
//
// Those whose key shares do not travel cost least: the first threshold - 1 of the
// committee (docs/decisions/2026-11-23-shares-that-do-not-travel.md). The others
// take turns, by the round's id.
func (m *Machine) First(earlier []*Machine, present func(string) bool) []string {
	committee, enough := m.plan.Committee, m.plan.Threshold+spare
	if enough >= len(committee) {
		return nil
	}
	local := m.plan.Threshold - 1
	turn := local + int(binary.BigEndian.Uint32(m.id[:4])%uint32(len(committee)-local))
	order := slices.Concat(committee[:local], committee[turn:], committee[local:turn])
	var first []string
	for _, member := range order {
		if len(first) < enough && present(member) && answers(member, earlier) {
			first = append(first, member)
		}
	}
	if len(first) < enough {
		return nil
	}
	slices.Sort(first)
	return first
}

// answers reports whether a member gave its share in time when it was last asked,
// as far back as is looked; so one that did not is tried again after a while.
func answers(member string, earlier []*Machine) bool {
	for back := range min(lookBack, len(earlier)) {
		m := earlier[len(earlier)-1-back]
		if m.onCommittee(member) && m.asked(member) && m.openers != nil {
			_, gave := m.shares[member]
			return gave
		}
	}
	return true
}

// Patience is how long the members that are asked first have until all are: twice
// what the median opening took of late, within bounds.
func Patience(earlier []*Machine) time.Duration {
	var took []time.Duration
	for back := range min(lookBack, len(earlier)) {
		m := earlier[len(earlier)-1-back]
		if !m.enoughAt.IsZero() && len(took) < sampleOpenings {
			took = append(took, m.enoughAt.Sub(m.request.At))
		}
	}
	if len(took) == 0 {
		return firstPatience
	}
	slices.Sort(took)
	return min(max(2*took[len(took)/2], leastPatience), mostPatience)
}

// requestOf is the record of a request, of which some members hear first.
func (m *Machine) requestOf(now time.Time, in RequestLedgered) Requested {
	r := Requested{Request: in.Request, Envelope: in.Envelope, Leaf: in.Leaf, At: now}
	// Others need the time to answer that is left then.
	if patience := min(in.Patience, m.plan.OpenUntil.Sub(now)/4); len(in.First) > 0 && patience > 0 {
		r.First, r.AllAt = in.First, now.Add(patience)
	}
	return r
}

// checkFirst refuses members to ask first that could not open the round.
func (m *Machine) checkFirst(r Requested) error {
	if len(r.First) == 0 {
		return nil
	}
	outside := func(member string) bool { return !m.onCommittee(member) }
	ascending := slices.IsSorted(r.First) && len(slices.Compact(slices.Clone(r.First))) == len(r.First)
	if len(r.First) < m.plan.Threshold || !ascending || slices.ContainsFunc(r.First, outside) || !r.AllAt.After(r.At) {
		return fmt.Errorf("an opening request cannot go to %q first", r.First)
	}
	return nil
}

// asked reports whether a member of the committee is to hear of the request.
func (m *Machine) asked(member string) bool {
	return m.allAsked() || slices.Contains(m.request.First, member)
}

func (m *Machine) allAsked() bool { return len(m.request.First) == 0 || m.all }

// askAll says that all are to be asked, where those asked first will not do.
func (m *Machine) askAll(now time.Time) []Record {
	late := !now.Before(m.request.AllAt)
	if m.allAsked() || len(m.shares) >= m.plan.Threshold || !late && len(m.faults) == 0 {
		return nil
	}
	return []Record{AllAsked{At: now}}
}

// doubt says that all are to be asked, because the sum that those asked first
// opened is not sound: further shares can show which of them is wrong.
func (m *Machine) doubt(now time.Time, in Violated) []Record {
	if !in.Shares || m.allAsked() {
		return nil
	}
	return []Record{Doubted{Reason: in.Reason, At: now}}
}
