package round

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

var began = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Times of the round that newRound makes.
var (
	deadline = began.Add(2 * time.Minute)
	grace    = deadline.Add(30 * time.Second)
	openEnd  = began.Add(4 * time.Minute)
)

func digest(s string) statement.Digest { return statement.DigestOf([]byte(s)) }

func sites(n int) []string {
	var names []string
	for i := range n {
		names = append(names, string(rune('A'+i)))
	}
	return names
}

// newRound plans a round of n sites with a floor.
func newRound(t testing.TB, n, floor int, exact bool) (*Machine, Planned) {
	t.Helper()
	layout := []secagg.Field{{Name: "n", Length: 3, Bound: 1000}}
	suite, err := secagg.SelectSuite(layout, n, n, secagg.Supermajority(n))
	if err != nil {
		t.Fatal(err)
	}
	plan := statement.Plan{
		Study: digest("study"), Step: "describe/counts", Parameters: digest(""), Epoch: "1", Roster: digest("roster"),
		Invited: sites(n), Committee: sites(n), Threshold: secagg.Supermajority(n), MinimumContributors: floor,
		Layout: layout, Suite: suite, Issued: began, CollectUntil: deadline, OpenUntil: openEnd, Nonce: strings.Repeat("0", 32),
	}
	plan.Question = plan.QuestionDigest()
	payload, err := statement.Encode(plan)
	if err != nil {
		t.Fatal(err)
	}
	planned := Planned{Round: statement.DigestOf(payload), Plan: plan, Exact: exact, At: began}
	m, err := New(planned)
	if err != nil {
		t.Fatal(err)
	}
	return m, planned
}

// history applies what is decided and keeps it.
type history struct {
	t       testing.TB
	m       *Machine
	records []Record
}

func start(t testing.TB, n, floor int) *history {
	m, planned := newRound(t, n, floor, false)
	h := &history{t: t, m: m, records: []Record{planned}}
	h.feed(began, PlanLedgered{Envelope: digest("plan envelope"), Leaf: 7})
	return h
}

// feed decides, applies, and returns what was decided.
func (h *history) feed(now time.Time, in Input) []Record {
	h.t.Helper()
	records, err := h.try(now, in)
	if err != nil {
		h.t.Fatalf("%+v: %v", in, err)
	}
	return records
}

func (h *history) try(now time.Time, in Input) ([]Record, error) {
	h.t.Helper()
	before := h.bytes()
	records, err := h.m.Decide(now, in)
	if !bytes.Equal(before, h.bytes()) {
		h.t.Fatalf("deciding about %+v changed the state", in)
	}
	for _, r := range records {
		if err := h.m.Apply(r); err != nil {
			h.t.Fatalf("%+v: what was decided does not apply: %v", in, err)
		}
		h.records = append(h.records, r)
	}
	return records, err
}

// bytes is everything that can be seen of the machine.
func (h *history) bytes() []byte { return snapshot(h.m) }

func snapshot(m *Machine) []byte {
	var out bytes.Buffer
	announced, _ := m.Announced()
	requested, _ := m.Requested()
	fmt.Fprintln(&out, m.State(), m.End(), m.Contributors(), m.Declined(), announced, requested, m.Openers(), m.Missing(), m.Jobs(), m.BytesUp(), m.SharesGiven())
	for _, site := range m.Plan().Invited {
		begun, _ := m.Begun(site)
		c, _ := m.Contribution(site)
		s, _ := m.Share(site)
		fmt.Fprintln(&out, site, m.Assignment(site), begun, c, s)
	}
	for _, now := range []time.Time{began, deadline, grace} {
		at, ok := m.Wake(now)
		fmt.Fprintln(&out, at, ok)
	}
	return out.Bytes()
}

func begin(site string) Begin {
	return Begin{Site: site, Header: digest("header " + site), Envelope: digest("envelope " + site)}
}

func commit(site string) Commit {
	return Commit{Site: site, Header: digest("header " + site), Bytes: 1000}
}

func whole(site string) Whole { return Whole{Begin: begin(site), Bytes: 1000} }

func share(member string) Share {
	return Share{Member: member, Request: digest("request"), Share: digest("share " + member), Envelope: digest("share envelope " + member), Bytes: 100}
}

func fault(member string, senders ...string) Fault {
	return Fault{Member: member, Request: digest("request"), Envelope: digest("fault " + member), Senders: senders}
}

func requestLedgered() RequestLedgered {
	return RequestLedgered{Request: digest("request"), Envelope: digest("request envelope"), Leaf: 20}
}

// present ticks with these sites heard from.
func present(sites ...string) Tick {
	return Tick{Present: func(site string) bool { return slices.Contains(sites, site) }}
}

func everybody() Tick { return Tick{Present: func(string) bool { return true }} }

func (h *history) contribute(now time.Time, sites ...string) {
	h.t.Helper()
	for _, site := range sites {
		h.feed(now, begin(site))
		h.feed(now, commit(site))
	}
}

// open brings a round of n sites to the point where the committee is asked.
func open(t testing.TB, n int) *history {
	h := start(t, n, 2)
	h.contribute(began.Add(time.Second), sites(n)...)
	h.feed(began.Add(2*time.Second), everybody())
	h.feed(began.Add(2*time.Second), requestLedgered())
	return h
}

func (h *history) state(want State) {
	h.t.Helper()
	if got := h.m.State(); got != want {
		h.t.Fatalf("round is %s (%s), want %s", got, h.m.End().Reason, want)
	}
}

func code(err error) string {
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok {
		return fmt.Sprint(err)
	}
	return refusal.Code
}

func TestARoundFromPlanToSum(t *testing.T) {
	m, planned := newRound(t, 4, 3, false)
	h := &history{t: t, m: m, records: []Record{planned}}
	if got := m.Assignment("A"); got != Nothing {
		t.Errorf("before the plan is in the ledger, A is to %q", got)
	}
	if !slices.Equal(m.Jobs(), []Job{Announce}) {
		t.Errorf("jobs %q", m.Jobs())
	}
	h.feed(began, PlanLedgered{Envelope: digest("plan envelope"), Leaf: 7})
	h.state(Collecting)
	if got := m.Assignment("A"); got != Contribute {
		t.Errorf("A is to %q", got)
	}
	if got := m.Assignment("Z"); got != Nothing {
		t.Errorf("a stranger is to %q", got)
	}
	h.contribute(began.Add(time.Second), "B", "A", "D")
	h.feed(began.Add(time.Second), Decline{Site: "C", Reason: "too few records"})
	h.feed(began.Add(time.Second), everybody())
	h.state(Opening)
	if got := m.Assignment("A"); got != Nothing {
		t.Errorf("before the request is in the ledger, A is to %q", got)
	}
	h.feed(began.Add(time.Second), requestLedgered())
	for _, member := range sites(4) {
		if got := m.Assignment(member); got != Open {
			t.Errorf("%s is to %q", member, got)
		}
		h.feed(began.Add(2*time.Second), share(member))
	}
	if jobs := m.Jobs(); len(jobs) != 0 {
		t.Errorf("before the openers are fixed, jobs %q", jobs)
	}
	h.feed(began.Add(2*time.Second), everybody())
	if !slices.Equal(m.Jobs(), []Job{Sum}) || !slices.Equal(m.Openers(), sites(4)) {
		t.Errorf("jobs %q, openers %q", m.Jobs(), m.Openers())
	}
	h.feed(began.Add(3*time.Second), Opened{Sum: digest("sum")})
	h.state(Published)
	if m.End().Sum != digest("sum") || !slices.Equal(m.Contributors(), []string{"A", "B", "D"}) || m.BytesUp() != 3400 {
		t.Errorf("ended %+v with %q after %d bytes", m.End(), m.Contributors(), m.BytesUp())
	}
	for _, site := range sites(4) {
		if got := m.Assignment(site); got != Learn {
			t.Errorf("%s is to %q", site, got)
		}
	}
}

func TestASiteCountsOnce(t *testing.T) {
	h := start(t, 4, 3)
	now := began.Add(time.Second)
	h.contribute(now, "A")
	for range 3 {
		if got := h.feed(now, begin("A")); got != nil {
			t.Errorf("the same announcement again gave %v", got)
		}
		if got := h.feed(now, commit("A")); got != nil {
			t.Errorf("the same contribution again gave %v", got)
		}
	}
	other := begin("A")
	other.Header = digest("another header")
	if _, err := h.try(now, other); code(err) != CodeOtherHeader {
		t.Errorf("another contribution of A: %v", err)
	}
	if _, err := h.try(now, Commit{Site: "A", Header: digest("another header")}); code(err) != CodeOtherHeader {
		t.Errorf("another contribution of A: %v", err)
	}
	if _, err := h.try(now, Decline{Site: "A"}); code(err) != CodeAlreadyCounted {
		t.Errorf("A declines after it counts: %v", err)
	}
	if got := h.m.Contributors(); !slices.Equal(got, []string{"A"}) {
		t.Errorf("contributors %q", got)
	}
	if err := h.m.Apply(Contributed{Site: "A", Header: digest("header A"), At: now}); err == nil {
		t.Error("a second record of the same contribution applied")
	}
}

// A contribution in one piece is the same as one that is announced and completed.
func TestAWholeContributionIsBeginAndCommit(t *testing.T) {
	now := began.Add(time.Second)
	inPieces, inOne, halfway := start(t, 4, 3), start(t, 4, 3), start(t, 4, 3)
	inPieces.contribute(now, "A")
	inOne.feed(now, whole("A"))
	halfway.feed(now, begin("A"))
	halfway.feed(now, whole("A"))
	for name, h := range map[string]*history{"in one": inOne, "announced before": halfway} {
		if !bytes.Equal(h.bytes(), inPieces.bytes()) {
			t.Errorf("%s:\n%s\nin pieces:\n%s", name, h.bytes(), inPieces.bytes())
		}
		for _, in := range []Input{whole("A"), begin("A"), commit("A")} {
			if got := h.feed(now, in); got != nil {
				t.Errorf("%s: %+v again gave %v", name, in, got)
			}
		}
		other := whole("A")
		other.Header = digest("another header")
		if _, err := h.try(now, other); code(err) != CodeOtherHeader {
			t.Errorf("%s: another contribution of A: %v", name, err)
		}
	}
	begun := start(t, 4, 3)
	begun.feed(now, begin("B"))
	other := whole("B")
	other.Header = digest("another header")
	if _, err := begun.try(now, other); code(err) != CodeOtherHeader {
		t.Errorf("another contribution than B announced: %v", err)
	}
	begun.feed(now, Decline{Site: "B"})
	if _, err := begun.try(now, whole("B")); code(err) != CodeAlreadyDeclined {
		t.Errorf("B contributes after it declined: %v", err)
	}
	if _, err := begun.try(now, whole("Z")); code(err) != CodeNotInvited {
		t.Errorf("a stranger contributes: %v", err)
	}
	late := open(t, 4)
	if _, err := late.try(deadline, whole("Z")); code(err) != CodeNotInvited {
		t.Errorf("a stranger contributes: %v", err)
	}
}

func TestNoOpeningBelowTheFloor(t *testing.T) {
	for floor := 2; floor <= 4; floor++ {
		h := start(t, 4, floor)
		h.contribute(began.Add(time.Second), sites(floor-1)...)
		h.feed(deadline.Add(-time.Millisecond), everybody())
		h.state(Collecting)
		h.feed(deadline, everybody())
		h.state(Abandoned)
		if h.m.End().Cause != CauseContributors || !slices.Equal(h.m.End().Missing, sites(4)[floor-1:]) {
			t.Errorf("floor %d: ended %+v", floor, h.m.End())
		}
		if err := start(t, 4, floor).m.Apply(SetFixed{Contributors: sites(floor - 1), At: began}); err == nil {
			t.Errorf("floor %d: a set below it was fixed by a record", floor)
		}
	}
}

func TestARepeatedQuestionNeedsEverySite(t *testing.T) {
	m, planned := newRound(t, 4, 2, true)
	h := &history{t: t, m: m, records: []Record{planned}}
	h.feed(began, PlanLedgered{Envelope: digest("plan envelope")})
	h.contribute(began, "A", "B", "C")
	h.feed(deadline, everybody())
	h.state(Abandoned)
}

func TestHopelessRoundsEndAtOnce(t *testing.T) {
	h := start(t, 4, 3)
	h.feed(began, Decline{Site: "A"})
	h.feed(began, everybody())
	h.state(Collecting)
	h.feed(began, Decline{Site: "B"})
	h.feed(began, everybody())
	h.state(Abandoned)
}

func TestTheOpeningSetIsFixedOnce(t *testing.T) {
	h := start(t, 4, 2)
	h.contribute(began, "A", "B", "C")
	h.feed(deadline, everybody())
	h.state(Opening)
	if _, err := h.try(deadline, begin("D")); code(err) != CodeTooLate {
		t.Errorf("a contribution after the set is fixed: %v", err)
	}
	for range 3 {
		if got := h.feed(openEnd.Add(-time.Second), everybody()); got != nil {
			t.Errorf("time passing gave %v", got)
		}
	}
	if got := h.m.Contributors(); !slices.Equal(got, []string{"A", "B", "C"}) {
		t.Errorf("contributors %q", got)
	}
	for _, r := range []Record{
		SetFixed{Contributors: []string{"A", "B"}, At: deadline},
		Contributed{Site: "D", Header: digest("header D"), At: deadline},
		Begun{Site: "D", At: deadline},
		Announced{At: deadline},
	} {
		if err := h.m.Apply(r); err == nil {
			t.Errorf("a %s record led back from opening", r.kind())
		}
	}
}

func TestACommitteeThatIsNotThereIsNotAsked(t *testing.T) {
	h := start(t, 4, 2) // threshold 3
	h.contribute(began, "A", "B", "C", "D")
	h.feed(began.Add(time.Second), present("A", "B"))
	h.state(Collecting)
	h.feed(grace.Add(-time.Millisecond), present("A", "B"))
	h.state(Collecting)
	back := *h
	h.feed(grace, present("A", "B"))
	h.state(Abandoned)
	if h.m.End().Cause != CauseCommittee || !slices.Equal(h.m.End().Missing, []string{"C", "D"}) || h.m.SharesGiven() {
		t.Errorf("ended %+v", h.m.End())
	}
	again, err := Replay(back.records)
	if err != nil {
		t.Fatal(err)
	}
	late := &history{t: t, m: again}
	late.feed(grace, present("A", "B", "D"))
	late.state(Opening)
}

func TestASingleReportNeitherEndsTheRoundNorFramesASite(t *testing.T) {
	h := open(t, 4) // threshold 3
	h.feed(began.Add(3*time.Second), fault("A", "B"))
	h.feed(began.Add(3*time.Second), everybody())
	h.state(Opening)
	for _, member := range []string{"B", "C", "D"} {
		h.feed(began.Add(4*time.Second), share(member))
	}
	h.feed(began.Add(4*time.Second), everybody())
	h.feed(began.Add(5*time.Second), Opened{Sum: digest("sum")})
	h.state(Published)
}

func TestASenderThatBlocksTheCommitteeIsAtFault(t *testing.T) {
	h := open(t, 4) // threshold 3: two reports block
	at := began.Add(3 * time.Second)
	h.feed(at, fault("A", "D", "B", "D"))
	h.feed(at, fault("C", "D"))
	h.feed(at, everybody())
	h.state(Opening) // B and D are there and have not seen it yet
	h.feed(at, fault("B", "D"))
	h.feed(at, present("A", "B", "C"))
	h.state(FailedIntegrity)
	if !slices.Equal(h.m.End().AtFault, []string{"D"}) {
		t.Errorf("at fault %q: only D is named as often as it takes", h.m.End().AtFault)
	}
}

func TestAFaultIsNotWaitedForForEver(t *testing.T) {
	h := open(t, 4)
	at := began.Add(3 * time.Second)
	h.feed(at, fault("A", "D"))
	h.feed(at, fault("C", "D"))
	wake, ok := h.m.Wake(at)
	if !ok || wake != at.Add(30*time.Second) {
		t.Errorf("wakes at %v, %v", wake, ok)
	}
	h.feed(wake, everybody())
	h.state(FailedIntegrity)
}

func TestEnoughSharesWaitForTheOthersOnlyBriefly(t *testing.T) {
	h := open(t, 4)
	at := began.Add(3 * time.Second)
	for _, member := range []string{"A", "B", "C"} {
		h.feed(at, share(member))
	}
	if got := h.feed(at, everybody()); got != nil {
		t.Errorf("D is there and was not waited for: %v", got)
	}
	wake, ok := h.m.Wake(at)
	if !ok || wake != at.Add(Settle) {
		t.Errorf("wakes at %v, %v", wake, ok)
	}
	h.feed(wake, everybody())
	if !slices.Equal(h.m.Openers(), []string{"A", "B", "C"}) {
		t.Errorf("openers %q", h.m.Openers())
	}
	if got := h.feed(wake, share("D")); got != nil {
		t.Errorf("a share that is not needed any more gave %v", got)
	}
}

func TestBelowTheThresholdTheSilentAreNamed(t *testing.T) {
	h := open(t, 4)
	h.feed(began.Add(3*time.Second), share("B"))
	h.feed(openEnd.Add(-time.Millisecond), everybody())
	h.state(Opening)
	h.feed(openEnd, everybody())
	h.state(Abandoned)
	if end := h.m.End(); end.Cause != CauseOpenings || !slices.Equal(end.Missing, []string{"A", "C", "D"}) || !h.m.SharesGiven() {
		t.Errorf("ended %+v", end)
	}
}

func TestAnswersToAnotherRequestAreRefused(t *testing.T) {
	h := open(t, 4)
	s := share("A")
	s.Request = digest("another request")
	if _, err := h.try(began, s); code(err) != CodeOtherRequest {
		t.Errorf("a share for another request: %v", err)
	}
	f := fault("A", "B")
	f.Request = digest("another request")
	if _, err := h.try(began, f); code(err) != CodeOtherRequest {
		t.Errorf("a fault for another request: %v", err)
	}
	if _, err := h.try(began, fault("A", "Z")); code(err) != CodeNotContributor {
		t.Errorf("blaming a stranger: %v", err)
	}
	if _, err := h.try(began, share("Z")); code(err) != CodeNotOnCommittee {
		t.Errorf("a stranger's share: %v", err)
	}
	h.feed(began, share("A"))
	s = share("A")
	s.Share = digest("another share")
	if _, err := h.try(began, s); code(err) != CodeOtherShare {
		t.Errorf("a second, different share: %v", err)
	}
	if _, err := h.try(began, fault("A", "B")); code(err) != CodeOtherShare {
		t.Errorf("a fault after a share: %v", err)
	}
}

func TestWhatACoordinatorMissedIsNobodysFault(t *testing.T) {
	few := start(t, 4, 3)
	few.contribute(began, "A", "B")
	few.feed(deadline.Add(-time.Second), Away{})
	few.state(Collecting)
	few.feed(deadline, Away{})
	few.state(Abandoned)
	if end := few.m.End(); end.Cause != CauseAway || len(end.Missing) != 0 {
		t.Errorf("ended %+v", end)
	}

	enough := start(t, 4, 3)
	enough.contribute(began, "A", "B", "C")
	enough.feed(deadline, Away{})
	settling := present()
	settling.Settling = true
	enough.feed(grace, settling)
	enough.state(Collecting) // nobody has had the time to call
	enough.feed(openEnd, Away{})
	enough.state(Abandoned) // and nobody would answer any more

	unopened := open(t, 4)
	unopened.feed(openEnd, Away{})
	unopened.state(Abandoned)
	opened := open(t, 4)
	opened.feed(began.Add(time.Minute), share("A"))
	if got := opened.feed(openEnd, Away{}); got != nil {
		t.Errorf("a share was given, and still: %v", got)
	}
}

func TestAWithdrawnPlanIsNeverSeen(t *testing.T) {
	m, planned := newRound(t, 4, 2, false)
	h := &history{t: t, m: m, records: []Record{planned}}
	h.feed(began, Withdraw{Reason: "another roster"})
	h.state(Abandoned)
	if got := m.Assignment("A"); got != Nothing {
		t.Errorf("A is to %q", got)
	}
	if got := start(t, 4, 2).feed(began, Withdraw{}); got != nil {
		t.Errorf("an announced plan was withdrawn: %v", got)
	}
}

// ends are one round in each terminal state.
func ends(t testing.TB) map[State]*history {
	published := open(t, 4)
	for _, member := range sites(4) {
		published.feed(began.Add(3*time.Second), share(member))
	}
	published.feed(began.Add(3*time.Second), everybody())
	published.feed(began.Add(4*time.Second), Opened{Sum: digest("sum")})
	abandoned := start(t, 4, 2)
	abandoned.feed(deadline, everybody())
	failed := open(t, 4)
	for _, member := range sites(4) {
		failed.feed(began.Add(3*time.Second), share(member))
	}
	failed.feed(began.Add(3*time.Second), everybody())
	failed.feed(began.Add(4*time.Second), Violated{Reason: "noise"})
	all := map[State]*history{Published: published, Abandoned: abandoned, FailedIntegrity: failed}
	for state, h := range all {
		h.state(state)
	}
	return all
}

// everyInput is one input of every kind, for every site.
func everyInput() []Input {
	inputs := []Input{
		PlanLedgered{Envelope: digest("p"), Leaf: 1}, Withdraw{Reason: "r"}, requestLedgered(),
		Opened{Sum: digest("s")}, Violated{Reason: "v"}, everybody(), present(), present("A", "B"), Away{},
	}
	for _, site := range append(sites(4), "Z") {
		inputs = append(inputs, begin(site), commit(site), whole(site), Decline{Site: site}, share(site), fault(site, "A"))
	}
	return inputs
}

func TestTerminalIsSilent(t *testing.T) {
	for state, h := range ends(t) {
		before := h.bytes()
		for _, in := range everyInput() {
			for _, now := range []time.Time{began, deadline, openEnd.Add(time.Hour)} {
				if records, _ := h.try(now, in); records != nil {
					t.Errorf("%s round answered %+v with %v", state, in, records)
				}
			}
		}
		for _, r := range h.records {
			if err := h.m.Apply(r); err == nil {
				t.Errorf("%s round accepted a %s record", state, r.kind())
			}
		}
		if _, ok := h.m.Wake(openEnd); ok || len(h.m.Jobs()) != 0 {
			t.Errorf("%s round still wants something", state)
		}
		if !bytes.Equal(before, h.bytes()) {
			t.Errorf("%s round changed", state)
		}
	}
}

func TestRepeatsAreHarmless(t *testing.T) {
	for state, h := range ends(t) {
		m, err := New(h.records[0].(Planned))
		if err != nil {
			t.Fatal(err)
		}
		again := &history{t: t, m: m}
		for _, r := range h.records[1:] {
			if err := m.Apply(r); err != nil {
				t.Fatal(err)
			}
			if err := m.Apply(r); err == nil {
				t.Errorf("%s round applied a %s record twice", state, r.kind())
			}
		}
		if !bytes.Equal(again.bytes(), h.bytes()) {
			t.Errorf("%s round differs after repeats", state)
		}
	}
}

func TestSameHistorySameBytes(t *testing.T) {
	for state, h := range ends(t) {
		var decoded []Record
		for _, r := range h.records {
			data, err := Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Decode(data)
			if err != nil {
				t.Fatalf("%s: %v", data, err)
			}
			if again, _ := Encode(back); !bytes.Equal(data, again) {
				t.Errorf("%s\n%s", data, again)
			}
			decoded = append(decoded, back)
		}
		m, err := Replay(decoded)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := snapshot(m), h.bytes(); !bytes.Equal(got, want) {
			t.Errorf("%s round after a restart:\n%s\nbefore:\n%s", state, got, want)
		}
	}
}

func TestTimeGoingBackwardsChangesNothing(t *testing.T) {
	h := start(t, 4, 2)
	h.contribute(deadline.Add(-time.Second), "A", "B")
	h.feed(began.Add(-time.Hour), everybody())
	h.state(Collecting)
	records := h.feed(began.Add(-time.Hour), begin("C"))
	if at := records[0].(Begun).At; !at.Equal(deadline.Add(-time.Second)) {
		t.Errorf("recorded at %v, before what is known to have happened", at)
	}
	h.feed(deadline, everybody())
	h.state(Opening)
	h.feed(began, everybody())
	h.state(Opening)
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	_, planned := newRound(t, 4, 2, false)
	good, err := Encode(planned)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"empty":        "",
		"unknown kind": `{"kind":"guessed","body":{}}`,
		"cut":          string(good[:len(good)-2]),
		"space":        string(good) + " ",
		"a field more": `{"kind":"declined","body":{"site":"A","reason":"","at":"2026-11-22T12:00:00Z","x":1}}`,
		"two":          string(good) + string(good),
	} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	planned.Round = digest("another id")
	if _, err := New(planned); err == nil {
		t.Error("a plan under another id was accepted")
	}
	if _, err := Replay([]Record{Announced{At: began}}); err == nil {
		t.Error("a round without a plan was replayed")
	}
}
