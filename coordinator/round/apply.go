package round

import (
	"fmt"
	"slices"
	"time"
)

// Apply changes the state by one record. A record that Decide cannot have
// produced in this state is refused: the history was damaged or mixed up.
func (m *Machine) Apply(r Record) error {
	if m.state.Terminal() {
		return fmt.Errorf("round has ended: a %s record cannot follow", r.kind())
	}
	impossible := fmt.Errorf("a %s record cannot follow in a round that is %s", r.kind(), m.state)
	var at time.Time
	switch r := r.(type) {
	case Announced:
		if m.state != Inviting {
			return impossible
		}
		m.state, m.announced, at = Collecting, r, r.At
	case Begun:
		if _, again := m.begun[r.Site]; again || m.state != Collecting || m.invited(r.Site) != nil {
			return impossible
		}
		m.begun[r.Site], at = r, r.At
	case Contributed:
		begun, ok := m.begun[r.Site]
		_, again := m.contributed[r.Site]
		_, declined := m.declined[r.Site]
		if !ok || again || declined || m.state != Collecting || begun.Header != r.Header {
			return impossible
		}
		m.contributed[r.Site], at = r, r.At
	case Declined:
		_, again := m.declined[r.Site]
		_, counted := m.contributed[r.Site]
		if again || counted || m.state != Collecting || m.invited(r.Site) != nil {
			return impossible
		}
		m.declined[r.Site], at = r, r.At
	case SetFixed:
		if m.state != Collecting || len(r.Contributors) < m.floor() || !slices.Equal(r.Contributors, m.Contributors()) {
			return impossible
		}
		m.set, m.state, at = r.Contributors, Opening, r.At
	case Requested:
		if m.state != Opening || m.requested {
			return impossible
		}
		if err := m.checkFirst(r); err != nil {
			return err
		}
		m.request, m.requested, at = r, true, r.At
	case AllAsked:
		if m.state != Opening || !m.requested || m.openers != nil || m.allAsked() {
			return impossible
		}
		m.all, at = true, r.At
	case Doubted:
		if m.state != Opening || m.openers == nil || m.allAsked() {
			return impossible
		}
		m.all, m.openers, m.doubtedAt, at = true, nil, r.At, r.At
	case ShareGiven:
		if m.Assignment(r.Member) != Open {
			return impossible
		}
		m.shares[r.Member], at = r, r.At
		if len(m.shares) == m.plan.Threshold {
			m.enoughAt = r.At
		}
	case FaultReported:
		if m.Assignment(r.Member) != Open {
			return impossible
		}
		m.faults[r.Member], at = r, r.At
		if len(m.faults) == m.blocking() {
			m.blockedAt = r.At
		}
	case SharesClosed:
		if m.state != Opening || m.openers != nil || len(r.Openers) < m.plan.Threshold || !slices.Equal(r.Openers, m.Openers()) {
			return impossible
		}
		m.openers, at = r.Openers, r.At
	case Ended:
		if !r.State.Terminal() || (r.State == Published) != (r.Sum != nil) || r.State == Published && m.openers == nil {
			return impossible
		}
		m.state, at = r.State, r.At
		m.end = End{State: r.State, Cause: r.Cause, Reason: r.Reason, Missing: r.Missing, AtFault: r.AtFault, At: r.At}
		if r.Sum != nil {
			m.end.Sum = *r.Sum
		}
	default:
		return impossible
	}
	if at.After(m.latest) {
		m.latest = at
	}
	return nil
}
