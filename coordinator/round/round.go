// Package round is the life of one round of the secure sum, as a pure state
// machine: history, time and input in, facts out.
//
// Decide looks at an input and says which records it gives rise to; it changes
// nothing. The caller makes the records durable and only then applies them.
// What every site should do (Assignment) and what work the coordinator owes
// (Jobs) are functions of the state alone. So a lost message, a restart and a
// replica need no path of their own: apply the same records and everybody
// stands where they stood.
//
//	Inviting -> Collecting -> Opening -> Published
//	any -> Abandoned(reason, who)      any -> FailedIntegrity(reason, who)
//
// The machine promises that a site counts once, that nothing is opened below
// the floor, that the opening set is fixed once, and that a round that has
// ended stays as it ended. There is no edge from Opening back to Collecting.
// It checks no signature, digest or ciphertext: what reaches it has been
// verified, and it decides only whether it counts.
package round

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// State is where a round stands.
type State string

// The states of a round. The last three are terminal.
const (
	Inviting        State = "inviting"   // planned, the plan not yet in the ledger
	Collecting      State = "collecting" // contributions are welcome
	Opening         State = "opening"    // the set is fixed, the committee is asked
	Published       State = "published"
	Abandoned       State = "abandoned"
	FailedIntegrity State = "failed-integrity"
)

// Terminal reports whether a round in this state has ended.
func (s State) Terminal() bool { return s == Published || s == Abandoned || s == FailedIntegrity }

// Settle is how long, once enough opening shares are in, the coordinator waits
// for those of the other members it hears from: every share beyond the
// threshold is a check on the others.
const Settle = 500 * time.Millisecond

// Machine is one round. It is not safe for concurrent use.
type Machine struct {
	id     statement.Digest
	plan   statement.Plan
	exact  bool
	state  State
	latest time.Time // of the newest record; decisions never happen before it

	begun       map[string]Begun
	contributed map[string]Contributed
	declined    map[string]Declined

	set       []string // contributors whose sum is opened, fixed once
	announced Announced
	request   Requested
	requested bool
	all       bool // asked, also those who were not asked first
	shares    map[string]ShareGiven
	faults    map[string]FaultReported
	enoughAt  time.Time // when the share that reached the threshold was given
	blockedAt time.Time // when the fault was reported that put the threshold out of reach
	doubtedAt time.Time // when the sum was not sound that those asked first opened
	openers   []string  // whose shares are used, fixed once

	end End
}

// Cause is why a round ended without a sum, for the program; the reason is for
// people.
type Cause string

// Causes.
const (
	CauseWithdrawn    Cause = "withdrawn"            // abandoned before it was announced
	CauseAway         Cause = "coordinator-away"     // abandoned; nothing was opened
	CauseContributors Cause = "too-few-contributors" // abandoned; nothing was opened
	CauseCommittee    Cause = "committee-absent"     // abandoned; nothing was opened
	CauseOpenings     Cause = "too-few-openings"     // abandoned; some shares may have been given
	CauseFaults       Cause = "key-shares-unopened"  // failed-integrity
	CauseSum          Cause = "sum-not-sound"        // failed-integrity
)

// End is how a round ended.
type End struct {
	State   State
	Cause   Cause
	Reason  string
	Missing []string         // who was waited for
	AtFault []string         // provably, as far as the committee's reports go
	Sum     statement.Digest // of the opened sum, when published
	At      time.Time
}

// New starts a round from its first record.
func New(p Planned) (*Machine, error) {
	if err := p.Plan.Validate(); err != nil {
		return nil, fmt.Errorf("round cannot begin: %w", err)
	}
	payload, err := statement.Encode(p.Plan)
	if err != nil {
		return nil, fmt.Errorf("round cannot begin: %w", err)
	}
	if statement.DigestOf(payload) != p.Round {
		return nil, fmt.Errorf("round cannot begin: its id is not the digest of its plan")
	}
	return &Machine{
		id: p.Round, plan: p.Plan, exact: p.Exact, state: Inviting, latest: p.At,
		begun:       map[string]Begun{},
		contributed: map[string]Contributed{},
		declined:    map[string]Declined{},
		shares:      map[string]ShareGiven{},
		faults:      map[string]FaultReported{},
	}, nil
}

// Clone returns a machine that can be taken further without this one.
func (m *Machine) Clone() *Machine {
	c := *m
	c.begun, c.contributed, c.declined = maps.Clone(m.begun), maps.Clone(m.contributed), maps.Clone(m.declined)
	c.shares, c.faults = maps.Clone(m.shares), maps.Clone(m.faults)
	return &c
}

// Replay rebuilds a round from its records.
func Replay(records []Record) (*Machine, error) {
	if len(records) == 0 {
		return nil, fmt.Errorf("round has no records")
	}
	planned, ok := records[0].(Planned)
	if !ok {
		return nil, fmt.Errorf("round begins with a %T record, not with its plan", records[0])
	}
	m, err := New(planned)
	if err != nil {
		return nil, err
	}
	for _, r := range records[1:] {
		if err := m.Apply(r); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Machine) ID() statement.Digest { return m.id }
func (m *Machine) State() State         { return m.state }

// Plan returns the plan. Its slices are shared and must not be changed.
func (m *Machine) Plan() *statement.Plan { return &m.plan }

// Exact reports whether the round counts only with every invited site in it.
func (m *Machine) Exact() bool { return m.exact }

// End returns how the round ended; the zero End while it has not.
func (m *Machine) End() End { return m.end }

// Contributors returns the sites that count, ascending: the fixed set once
// there is one, and those counted so far before that.
func (m *Machine) Contributors() []string {
	if m.set != nil {
		return slices.Clone(m.set)
	}
	return slices.Sorted(maps.Keys(m.contributed))
}

// Begun returns what a site announced.
func (m *Machine) Begun(site string) (Begun, bool) { b, ok := m.begun[site]; return b, ok }

// Contribution returns a site's counted contribution.
func (m *Machine) Contribution(site string) (Contributed, bool) {
	c, ok := m.contributed[site]
	return c, ok
}

// Declined returns the sites that said they will not contribute, ascending.
func (m *Machine) Declined() []string { return slices.Sorted(maps.Keys(m.declined)) }

// Decline returns a site's refusal to contribute.
func (m *Machine) Decline(site string) (Declined, bool) {
	d, ok := m.declined[site]
	return d, ok
}

// Announced returns where the signed plan is, once it is in the ledger.
func (m *Machine) Announced() (Announced, bool) {
	return m.announced, !m.announced.Envelope.IsZero()
}

// Requested returns where the opening request is, once it is in the ledger.
func (m *Machine) Requested() (Requested, bool) { return m.request, m.requested }

// Share returns the opening share a member gave.
func (m *Machine) Share(member string) (ShareGiven, bool) { s, ok := m.shares[member]; return s, ok }

// SharesGiven reports whether any opening share was given: from then on the
// sum may be known to somebody.
func (m *Machine) SharesGiven() bool { return len(m.shares) > 0 }

// Openers returns the members whose shares open the sum, ascending; before
// they are fixed, those who have answered.
func (m *Machine) Openers() []string {
	if m.openers != nil {
		return slices.Clone(m.openers)
	}
	return slices.Sorted(maps.Keys(m.shares))
}

// Missing returns the invited sites (before the set is fixed) or committee
// members (after) that the round still waits for, ascending.
func (m *Machine) Missing() []string {
	var missing []string
	if m.set == nil {
		for _, site := range m.plan.Invited {
			if _, counted := m.contributed[site]; !counted {
				missing = append(missing, site)
			}
		}
		return missing
	}
	for _, member := range m.plan.Committee {
		if _, gave := m.shares[member]; !gave && m.asked(member) {
			missing = append(missing, member)
		}
	}
	return missing
}

// BytesUp returns how many bytes the counted contributions and the opening
// shares hold.
func (m *Machine) BytesUp() int64 {
	var total int64
	for _, c := range m.contributed {
		total += c.Bytes
	}
	for _, s := range m.shares {
		total += s.Bytes
	}
	return total
}

// Task is what a site should do about a round.
type Task string

// The tasks a round gives to a site.
const (
	Nothing    Task = ""
	Contribute Task = "contribute"
	Open       Task = "open"
	Learn      Task = "learn" // how the round ended
)

// Assignment says what the site should do now. It is level-triggered: it stays
// the same until the site has done it or the round has moved on.
func (m *Machine) Assignment(site string) Task {
	_, invited := slices.BinarySearch(m.plan.Invited, site)
	_, announced := m.Announced()
	switch {
	case !invited || !announced:
		return Nothing
	case m.state.Terminal():
		return Learn
	case m.state == Collecting:
		if _, counted := m.contributed[site]; counted {
			return Nothing
		}
		if _, declined := m.declined[site]; declined {
			return Nothing
		}
		return Contribute
	case m.state == Opening && m.requested && m.openers == nil && m.onCommittee(site) && m.asked(site):
		if _, gave := m.shares[site]; gave {
			return Nothing
		}
		if _, reported := m.faults[site]; reported {
			return Nothing
		}
		return Open
	}
	return Nothing
}

// Job is work that the coordinator owes a round.
type Job string

// The jobs of a round. Each may be done any number of times.
const (
	Announce Job = "announce" // sign the plan and put it in the ledger
	Request  Job = "request"  // sign the opening request and put it in the ledger
	Sum      Job = "sum"      // open the sum with the openers' shares
)

// Jobs returns the work that is owed now.
func (m *Machine) Jobs() []Job {
	switch {
	case m.state == Inviting:
		return []Job{Announce}
	case m.state == Opening && !m.requested:
		return []Job{Request}
	case m.state == Opening && m.openers != nil:
		return []Job{Sum}
	}
	return nil
}

// Wake returns when time alone may change something, if it can.
func (m *Machine) Wake(now time.Time) (time.Time, bool) {
	switch {
	case m.state == Collecting && now.Before(m.plan.CollectUntil):
		return m.plan.CollectUntil, true
	case m.state == Collecting:
		return m.collectGrace(), true
	case m.state == Opening && m.openers == nil && !m.blockedAt.IsZero():
		return m.blockedAt.Add(m.PresenceWindow()), true
	case m.state == Opening && m.openers == nil && !m.enoughAt.IsZero():
		return m.settled(), true
	case m.state == Opening && m.openers == nil && !m.allAsked():
		return m.request.AllAt, true
	case m.state == Opening && m.openers == nil:
		return m.plan.OpenUntil, true
	}
	return time.Time{}, false
}

// PresenceWindow is how recently a site must have been heard from to count as
// present.
func (m *Machine) PresenceWindow() time.Duration {
	return min(30*time.Second, m.plan.CollectUntil.Sub(m.plan.Issued)/4)
}

// settled is until when further shares are waited for once there are enough: for
// those of members that are asked because of a doubt, a presence window.
func (m *Machine) settled() time.Time {
	if m.doubtedAt.IsZero() {
		return m.enoughAt.Add(Settle)
	}
	return m.doubtedAt.Add(m.PresenceWindow())
}

// collectGrace is when a committee that is too small is given up: one presence
// window after the deadline, so that a member that is just reconnecting counts.
func (m *Machine) collectGrace() time.Time { return m.plan.CollectUntil.Add(m.PresenceWindow()) }

func (m *Machine) onCommittee(site string) bool {
	_, ok := slices.BinarySearch(m.plan.Committee, site)
	return ok
}

func (m *Machine) floor() int {
	if m.exact {
		return len(m.plan.Invited)
	}
	return m.plan.MinimumContributors
}
