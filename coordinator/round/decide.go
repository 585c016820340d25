package round

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Decide returns the records that an input gives rise to and changes nothing.
// No records and no error means that the input is a harmless repeat or that
// nothing follows from it. The records MUST be durable before they are applied.
func (m *Machine) Decide(now time.Time, in Input) ([]Record, error) {
	now = now.UTC().Round(0).Truncate(time.Millisecond)
	if now.Before(m.latest) {
		now = m.latest // a clock that goes back does not undo what happened
	}
	switch in := in.(type) {
	case PlanLedgered:
		if m.state != Inviting {
			return nil, nil
		}
		return []Record{Announced{Envelope: in.Envelope, Leaf: in.Leaf, At: now}}, nil
	case Withdraw:
		if m.state != Inviting {
			return nil, nil
		}
		return []Record{Ended{State: Abandoned, Cause: CauseWithdrawn, Reason: in.Reason, At: now}}, nil
	case Begin:
		return m.begin(now, in)
	case Commit:
		return m.commit(now, in)
	case Whole:
		return m.whole(now, in)
	case Decline:
		return m.decline(now, in)
	case RequestLedgered:
		if m.state != Opening || m.requested {
			return nil, nil
		}
		return []Record{m.requestOf(now, in)}, nil
	case Share:
		return m.share(now, in)
	case Fault:
		return m.fault(now, in)
	case Opened:
		if m.state != Opening || m.openers == nil {
			return nil, nil
		}
		sum := in.Sum
		return []Record{Ended{State: Published, Sum: &sum, At: now}}, nil
	case Violated:
		if m.state != Opening || m.openers == nil {
			return nil, nil
		}
		if records := m.doubt(now, in); records != nil {
			return records, nil
		}
		return []Record{Ended{State: FailedIntegrity, Cause: CauseSum, Reason: in.Reason, AtFault: slices.Sorted(slices.Values(in.AtFault)), At: now}}, nil
	case Away:
		return m.away(now), nil
	case Tick:
		return m.tick(now, in)
	}
	return nil, fmt.Errorf("round knows no input %T", in)
}

func (m *Machine) begin(now time.Time, in Begin) ([]Record, error) {
	if err := m.invited(in.Site); err != nil {
		return nil, err
	}
	if before, ok := m.begun[in.Site]; ok {
		if before.Header != in.Header {
			return nil, violation(CodeOtherHeader, "site %s has announced another contribution for this round", in.Site)
		}
		return nil, nil
	}
	if err := m.collecting(in.Site); err != nil {
		return nil, err
	}
	return []Record{Begun{Site: in.Site, Header: in.Header, Envelope: in.Envelope, At: now}}, nil
}

func (m *Machine) commit(now time.Time, in Commit) ([]Record, error) {
	if err := m.invited(in.Site); err != nil {
		return nil, err
	}
	begun, ok := m.begun[in.Site]
	switch {
	case !ok:
		return nil, refuse(CodeNotBegun, "site %s has announced no contribution for this round", in.Site)
	case begun.Header != in.Header:
		return nil, violation(CodeOtherHeader, "site %s has announced another contribution for this round", in.Site)
	}
	if _, counted := m.contributed[in.Site]; counted {
		return nil, nil
	}
	if err := m.collecting(in.Site); err != nil {
		return nil, err
	}
	return []Record{Contributed{Site: in.Site, Header: in.Header, Bytes: in.Bytes, At: now}}, nil
}

func (m *Machine) whole(now time.Time, in Whole) ([]Record, error) {
	records, err := m.begin(now, in.Begin)
	if err != nil {
		return nil, err
	}
	if _, counted := m.contributed[in.Site]; counted {
		return nil, nil
	}
	if err := m.collecting(in.Site); err != nil {
		return nil, err // begun in time, complete too late
	}
	return append(records, Contributed{Site: in.Site, Header: in.Header, Bytes: in.Bytes, At: now}), nil
}

func (m *Machine) decline(now time.Time, in Decline) ([]Record, error) {
	if err := m.invited(in.Site); err != nil {
		return nil, err
	}
	if _, declined := m.declined[in.Site]; declined {
		return nil, nil
	}
	if _, counted := m.contributed[in.Site]; counted {
		return nil, refuse(CodeAlreadyCounted, "the contribution of site %s counts already", in.Site)
	}
	if err := m.collecting(in.Site); err != nil {
		return nil, err
	}
	return []Record{Declined{Site: in.Site, Reason: in.Reason, At: now}}, nil
}

func (m *Machine) share(now time.Time, in Share) ([]Record, error) {
	if err := m.answering(in.Member); err != nil {
		return nil, err
	}
	if before, gave := m.shares[in.Member]; gave {
		if before.Share != in.Share {
			return nil, violation(CodeOtherShare, "member %s has given another opening share for this round", in.Member)
		}
		return nil, nil
	}
	if m.state.Terminal() || m.openers != nil {
		return nil, nil // enough members answered before: nothing is wrong and nothing is needed
	}
	if !m.requested || in.Request != m.request.Request {
		return nil, violation(CodeOtherRequest, "member %s answers an opening request that this round did not make", in.Member)
	}
	if _, reported := m.faults[in.Member]; reported {
		return nil, violation(CodeOtherShare, "member %s has reported a fault and cannot also give a share", in.Member)
	}
	if !m.asked(in.Member) {
		return nil, refuse(CodeNotAsked, "member %s was not asked to open this round", in.Member)
	}
	return []Record{ShareGiven{Member: in.Member, Share: in.Share, Envelope: in.Envelope, Bytes: in.Bytes, At: now}}, nil
}

func (m *Machine) fault(now time.Time, in Fault) ([]Record, error) {
	if err := m.answering(in.Member); err != nil {
		return nil, err
	}
	if _, reported := m.faults[in.Member]; reported {
		return nil, nil
	}
	if m.state.Terminal() || m.openers != nil {
		return nil, nil
	}
	if !m.requested || in.Request != m.request.Request {
		return nil, violation(CodeOtherRequest, "member %s answers an opening request that this round did not make", in.Member)
	}
	if _, gave := m.shares[in.Member]; gave {
		return nil, violation(CodeOtherShare, "member %s has given a share and cannot also report a fault", in.Member)
	}
	if !m.asked(in.Member) {
		return nil, refuse(CodeNotAsked, "member %s was not asked to open this round", in.Member)
	}
	senders := slices.Compact(slices.Sorted(slices.Values(in.Senders)))
	if len(senders) == 0 {
		return nil, refuse(CodeNotContributor, "the fault report of member %s names nobody", in.Member)
	}
	for _, sender := range senders {
		if _, ok := slices.BinarySearch(m.set, sender); !ok {
			return nil, violation(CodeNotContributor, "member %s blames a site that is not in the opening set", in.Member)
		}
	}
	return []Record{FaultReported{Member: in.Member, Senders: senders, Envelope: in.Envelope, At: now}}, nil
}

func (m *Machine) tick(now time.Time, in Tick) ([]Record, error) {
	switch {
	case m.state == Collecting:
		return m.closeCollecting(now, in), nil
	case m.state == Opening && m.requested && m.openers == nil:
		return m.closeOpening(now, in), nil
	}
	return nil, nil
}

func (m *Machine) away(now time.Time) []Record {
	pastCollecting, pastOpening := !now.Before(m.plan.CollectUntil), !now.Before(m.plan.OpenUntil)
	lost := m.state == Collecting && (pastOpening || pastCollecting && len(m.contributed) < m.floor()) ||
		m.state == Opening && pastOpening && len(m.shares) == 0
	if !lost {
		return nil
	}
	return []Record{Ended{State: Abandoned, Cause: CauseAway, Reason: "the coordinator was away when the time ran out", At: now}}
}

// closeCollecting decides whether collecting is over. The committee is counted
// BEFORE the set is fixed: as long as nothing was opened, the question may be
// asked again without harm.
func (m *Machine) closeCollecting(now time.Time, in Tick) []Record {
	late := !now.Before(m.plan.CollectUntil)
	answered := len(m.contributed)+len(m.declined) == len(m.plan.Invited)
	hopeless := len(m.plan.Invited)-len(m.declined) < m.floor()
	if !late && !answered && !hopeless {
		return nil
	}
	if len(m.contributed) < m.floor() {
		reason := fmt.Sprintf("too few contributors: %d of the %d that are needed", len(m.contributed), m.floor())
		return []Record{Ended{State: Abandoned, Cause: CauseContributors, Reason: reason, Missing: m.Missing(), At: now}}
	}
	var absent []string
	for _, member := range m.plan.Committee {
		if !in.Present(member) {
			absent = append(absent, member)
		}
	}
	switch present := len(m.plan.Committee) - len(absent); {
	case present >= m.plan.Threshold:
		return []Record{SetFixed{Contributors: slices.Sorted(maps.Keys(m.contributed)), At: now}}
	case now.Before(m.collectGrace()) || in.Settling:
		return nil
	default:
		reason := fmt.Sprintf("committee below threshold: %d of the %d members that must answer were heard from", present, m.plan.Threshold)
		return []Record{Ended{State: Abandoned, Cause: CauseCommittee, Reason: reason, Missing: absent, At: now}}
	}
}

func (m *Machine) closeOpening(now time.Time, in Tick) []Record {
	if records := m.askAll(now); records != nil {
		return records
	}
	blamed, blocked := m.blocked()
	// Where every answer matters, one who may not have had the time to call is there.
	settling := in.Settling && (blocked || !m.doubtedAt.IsZero())
	waiting := slices.ContainsFunc(m.plan.Committee, func(member string) bool {
		return m.Assignment(member) == Open && (settling || in.Present(member))
	})
	if blocked {
		// Every member that is there gets to see the fault with its own eyes:
		// only then will it answer the question once more without the culprit.
		if waiting && now.Before(m.blockedAt.Add(m.PresenceWindow())) {
			return nil
		}
		reason := fmt.Sprintf("%d of %d committee members could not open the key shares they were sent: %s", len(m.faults), len(m.plan.Committee), m.accused())
		return []Record{Ended{State: FailedIntegrity, Cause: CauseFaults, Reason: reason, AtFault: blamed, At: now}}
	}
	if len(m.shares) >= m.plan.Threshold {
		if !waiting || !now.Before(m.settled()) {
			return []Record{SharesClosed{Openers: slices.Sorted(maps.Keys(m.shares)), At: now}}
		}
		return nil
	}
	if now.Before(m.plan.OpenUntil) {
		return nil
	}
	reason := fmt.Sprintf("too few opening shares: %d of the %d that are needed", len(m.shares), m.plan.Threshold)
	return []Record{Ended{State: Abandoned, Cause: CauseOpenings, Reason: reason, Missing: m.Missing(), At: now}}
}

// blocked reports whether so many members could not open what they were sent
// that the threshold is out of reach, and who is to blame for it: a sender that
// as many members name as it takes to block a round. A single lying member can
// neither end the round nor frame a site.
func (m *Machine) blocked() (blamed []string, blocked bool) {
	enough := m.blocking()
	if len(m.faults) < enough {
		return nil, false
	}
	named := map[string]int{}
	for _, fault := range m.faults {
		for _, sender := range fault.Senders {
			named[sender]++
		}
	}
	for sender, times := range named {
		if times >= enough {
			blamed = append(blamed, sender)
		}
	}
	slices.Sort(blamed)
	return blamed, true
}

// accused says, for people to ask, whose key shares did not open, and who says so.
// A member may be wrong or lie: that alone blames nobody.
func (m *Machine) accused() string {
	by := map[string][]string{}
	for _, member := range slices.Sorted(maps.Keys(m.faults)) {
		for _, sender := range m.faults[member].Senders {
			by[sender] = append(by[sender], member)
		}
	}
	var said []string
	for _, sender := range slices.Sorted(maps.Keys(by)) {
		said = append(said, fmt.Sprintf("those of %s by the word of %s", sender, strings.Join(by[sender], ", ")))
	}
	return strings.Join(said, "; ")
}

// blocking is how many members it takes to put the threshold out of reach.
func (m *Machine) blocking() int { return len(m.plan.Committee) - m.plan.Threshold + 1 }

func (m *Machine) invited(site string) error {
	if _, ok := slices.BinarySearch(m.plan.Invited, site); !ok {
		return refuse(CodeNotInvited, "site %s is not invited to this round", site)
	}
	return nil
}

// collecting refuses what comes too early or too late to count.
func (m *Machine) collecting(site string) error {
	switch {
	case m.state == Inviting:
		return refuse(CodeNotOpenYet, "this round has not been announced")
	case m.state != Collecting:
		return refuse(CodeTooLate, "this round is no longer collecting: it is %s", m.state)
	}
	if _, declined := m.declined[site]; declined {
		return refuse(CodeAlreadyDeclined, "site %s has declined this round", site)
	}
	return nil
}

func (m *Machine) answering(member string) error {
	if !m.onCommittee(member) {
		return refuse(CodeNotOnCommittee, "site %s is not on this round's committee", member)
	}
	return nil
}
