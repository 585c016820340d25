package round

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// numbered is a round of n sites in which everybody has contributed, the i-th of
// its study.
func numbered(t testing.TB, n, i int) *history {
	t.Helper()
	_, planned := newRound(t, n, 2, false)
	planned.Plan.Nonce = fmt.Sprintf("%032x", i)
	payload, err := statement.Encode(planned.Plan)
	if err != nil {
		t.Fatal(err)
	}
	planned.Round = statement.DigestOf(payload)
	m, err := New(planned)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{t: t, m: m, records: []Record{planned}}
	h.feed(began, PlanLedgered{Envelope: digest("plan envelope"), Leaf: 7})
	h.contribute(began, sites(n)...)
	h.feed(began, everybody())
	return h
}

func anybody(string) bool { return true }

func butNot(away ...string) func(string) bool {
	return func(site string) bool { return !slices.Contains(away, site) }
}

// ask asks those first whom the machine chooses.
func (h *history) ask(now time.Time, earlier []*Machine, present func(string) bool) []string {
	h.t.Helper()
	in := requestLedgered()
	in.First, in.Patience = h.m.First(earlier, present), Patience(earlier)
	h.feed(now, in)
	return in.First
}

// opening lists the members who are to open.
func (h *history) opening() (all []string) {
	for _, site := range h.m.Plan().Invited {
		if h.m.Assignment(site) == Open {
			all = append(all, site)
		}
	}
	return all
}

func TestOneMoreThanTheThresholdIsAskedFirst(t *testing.T) {
	h := numbered(t, 20, 0) // threshold 14
	first := h.ask(began, nil, anybody)
	if len(first) != 15 || !slices.Equal(h.opening(), first) || !slices.Equal(h.m.Missing(), first) {
		t.Fatalf("first %q, to open %q, waited for %q", first, h.opening(), h.m.Missing())
	}
	if !slices.Equal(first[:13], sites(13)) {
		t.Errorf("first %q: not those whose key shares do not travel", first)
	}
	other := sites(20)[13:]
	other = slices.DeleteFunc(other, func(site string) bool { return slices.Contains(first, site) })
	if _, err := h.try(began, share(other[0])); code(err) != CodeNotAsked {
		t.Errorf("a share of a member that was not asked: %v", err)
	}
	if _, err := h.try(began, fault(other[0], "A")); code(err) != CodeNotAsked {
		t.Errorf("a fault reported by a member that was not asked: %v", err)
	}
	for _, member := range first {
		h.feed(began, share(member))
	}
	h.feed(began, everybody())
	if !slices.Equal(h.m.Openers(), first) {
		t.Errorf("openers %q", h.m.Openers())
	}
	h.feed(began, Opened{Sum: digest("sum")})
	h.state(Published)
	for _, site := range sites(20) {
		if got := h.m.Assignment(site); got != Learn {
			t.Errorf("%s is to %q", site, got)
		}
	}
}

func TestThoseWhoseSharesTravelTakeTurns(t *testing.T) {
	times := map[string]int{}
	for i := range 60 {
		for _, member := range numbered(t, 20, i).m.First(nil, anybody) {
			times[member]++
		}
	}
	for i, site := range sites(20) {
		if i < 13 && times[site] != 60 || i >= 13 && (times[site] < 4 || times[site] > 40) {
			t.Errorf("%s is asked first in %d of 60 rounds", site, times[site])
		}
	}
}

func TestWhoIsAwayIsNotAskedFirst(t *testing.T) {
	h := numbered(t, 20, 0)
	away := []string{"A", "C", "M", "T"}
	first := h.m.First(nil, butNot(away...))
	if len(first) != 15 || slices.ContainsFunc(first, func(site string) bool { return slices.Contains(away, site) }) {
		t.Errorf("first %q", first)
	}
	if first := h.m.First(nil, butNot("A", "B", "C", "D", "E", "F")); first != nil {
		t.Errorf("14 are there, and first %q are asked: all should be", first)
	}
	for n := 3; n <= 20; n++ {
		m, _ := newRound(t, n, 2, false)
		if first, enough := m.First(nil, anybody), m.Plan().Threshold+1; (first == nil) != (enough >= n) || first != nil && len(first) != enough {
			t.Errorf("of %d members first %q, the threshold is %d", n, first, m.Plan().Threshold)
		}
	}
}

// A member that does not answer delays one round, not all that follow.
func TestWhoDidNotAnswerIsNotAskedFirst(t *testing.T) {
	var earlier []*Machine
	delayed := 0
	for i := range 24 {
		h := numbered(t, 20, i)
		first := h.ask(began, earlier, anybody)
		if slices.Contains(first, "B") {
			delayed++
		}
		for _, member := range first {
			if member != "B" {
				h.feed(began, share(member))
			}
		}
		h.feed(began.Add(Settle), everybody())
		h.feed(began.Add(Settle), Opened{Sum: digest("sum")})
		h.state(Published)
		earlier = append(earlier, h.m)
	}
	if delayed < 2 || delayed > 24/lookBack+1 {
		t.Errorf("a member that never answers was asked first %d times in 24 rounds", delayed)
	}
}

func TestAllAreAskedOnceItTakesLong(t *testing.T) {
	h := numbered(t, 20, 0)
	first := h.ask(began, nil, anybody)
	for _, member := range first[:13] {
		h.feed(began, share(member))
	}
	wake, ok := h.m.Wake(began)
	if !ok || wake != began.Add(firstPatience) {
		t.Fatalf("wakes at %v, %v", wake, ok)
	}
	h.feed(wake.Add(-time.Millisecond), everybody())
	if got := h.opening(); !slices.Equal(got, first[13:]) {
		t.Errorf("before its time, %q are to open", got)
	}
	h.feed(wake, present()) // whoever is heard from
	if got := h.opening(); len(got) != 7 {
		t.Errorf("then %q are to open", got)
	}
	h.feed(wake, share(h.opening()[5]))
	h.feed(wake.Add(Settle), everybody())
	if len(h.m.Openers()) != 14 || !slices.Equal(h.m.Jobs(), []Job{Sum}) {
		t.Errorf("jobs %q with openers %q", h.m.Jobs(), h.m.Openers())
	}
}

func TestAFaultHasAllAskedAtOnce(t *testing.T) {
	h := numbered(t, 20, 0) // 7 of 20 members block
	first := h.ask(began, nil, anybody)
	h.feed(began, fault(first[0], "T"))
	h.feed(began, everybody())
	if got := h.opening(); len(got) != 19 {
		t.Fatalf("after a fault %q are to open", got)
	}
	for _, member := range sites(20)[1:7] {
		h.feed(began, fault(member, "T"))
	}
	h.feed(began, everybody())
	h.state(Opening) // each who is there sees the fault with its own eyes
	for _, member := range sites(20)[7:] {
		h.feed(began, fault(member, "T"))
	}
	h.feed(began, everybody())
	h.state(FailedIntegrity)
	if end := h.m.End(); !slices.Equal(end.AtFault, []string{"T"}) {
		t.Errorf("ended %+v", end)
	}
}

// Faults enough to block, all before time passes, do not end the round before
// the others were asked.
func TestABlockedRoundAsksTheOthersFirst(t *testing.T) {
	h := numbered(t, 20, 0)
	for _, member := range h.ask(began, nil, anybody)[:8] {
		h.feed(began, fault(member, "T"))
	}
	for range 2 {
		h.feed(began, everybody())
	}
	h.state(Opening)
	if got := h.opening(); len(got) != 12 {
		t.Errorf("%q are to open", got)
	}
}

func TestADoubtedSumIsOpenedAgainWithAllAnswers(t *testing.T) {
	h := numbered(t, 20, 0)
	first := h.ask(began, nil, anybody)
	for _, member := range first {
		h.feed(began, share(member))
	}
	h.feed(began, everybody())
	damaged := *h
	damaged.m = h.m.Clone()
	damaged.feed(began, Violated{Reason: "what was stored is damaged"})
	damaged.state(FailedIntegrity) // more shares would not help

	h.feed(began, Violated{Reason: "the share of A does not fit", Shares: true})
	h.state(Opening)
	rest := h.opening()
	if len(rest) != 5 || len(h.m.Jobs()) != 0 {
		t.Fatalf("after a doubt, jobs %q, and %q are to open", h.m.Jobs(), rest)
	}
	h.feed(began.Add(Settle), everybody())
	if len(h.m.Jobs()) != 0 {
		t.Error("those who are there were not waited for")
	}
	restarted := present()
	restarted.Settling = true
	h.feed(began.Add(Settle), restarted)
	if len(h.m.Jobs()) != 0 {
		t.Error("those who have not had the time to call again were not waited for")
	}
	silent := *h
	silent.m = h.m.Clone()
	wake, _ := silent.m.Wake(began)
	silent.feed(wake, everybody())
	if !slices.Equal(silent.m.Jobs(), []Job{Sum}) || !slices.Equal(silent.m.Openers(), first) {
		t.Errorf("nobody answered: jobs %q with openers %q", silent.m.Jobs(), silent.m.Openers())
	}
	for _, member := range rest {
		h.feed(began, share(member))
	}
	h.feed(began, everybody())
	if !slices.Equal(h.m.Jobs(), []Job{Sum}) || !slices.Equal(h.m.Openers(), sites(20)) {
		t.Errorf("jobs %q with openers %q", h.m.Jobs(), h.m.Openers())
	}
	h.feed(began, Violated{Reason: "the share of A does not fit", Shares: true})
	h.state(FailedIntegrity)
}

func TestPatienceFollowsTheOpeningsOfTheStudy(t *testing.T) {
	took := func(all ...time.Duration) (earlier []*Machine) {
		for i, d := range all {
			h := numbered(t, 4, i)
			h.ask(began, nil, anybody)
			for _, member := range sites(3) {
				h.feed(began.Add(d), share(member))
			}
			earlier = append(earlier, h.m)
		}
		return earlier
	}
	unopened := numbered(t, 4, 9).m
	for _, c := range []struct {
		earlier []*Machine
		want    time.Duration
	}{
		{nil, firstPatience},
		{[]*Machine{unopened}, firstPatience},
		{took(10*time.Millisecond, 20*time.Millisecond), leastPatience},
		{took(time.Second), 2 * time.Second},
		{append(took(time.Second), unopened), 2 * time.Second},
		{took(time.Minute, time.Minute, 300*time.Millisecond, 400*time.Millisecond, 90*time.Second, 500*time.Millisecond, 400*time.Millisecond), 800 * time.Millisecond},
		{took(time.Minute), mostPatience},
	} {
		if got := Patience(c.earlier); got != c.want {
			t.Errorf("patience of %v, want %v", got, c.want)
		}
	}
	short := numbered(t, 20, 0)
	in := requestLedgered()
	in.First, in.Patience = short.m.First(nil, anybody), mostPatience
	late := openEnd.Add(-2 * time.Second)
	short.feed(late, in)
	if wake, _ := short.m.Wake(late); wake != late.Add(500*time.Millisecond) {
		t.Errorf("with two seconds left all are asked at %v", wake)
	}
	over := numbered(t, 20, 0)
	over.feed(openEnd, in)
	if got := over.opening(); len(got) != 20 {
		t.Errorf("without time left %q are asked", got)
	}
}

func TestARequestToTheWrongMembersDoesNotApply(t *testing.T) {
	h := numbered(t, 20, 0)
	good := h.m.First(nil, anybody)
	for name, first := range map[string][]string{
		"too few": good[:13], "twice": append(slices.Clone(good[:14]), good[13]), "descending": append(slices.Clone(good[1:]), "A"),
		"a stranger": append(slices.Clone(good), "Z"),
	} {
		if err := h.m.Apply(Requested{Request: digest("r"), First: first, AllAt: began.Add(time.Second), At: began}); err == nil {
			t.Errorf("%s: %q are asked first", name, first)
		}
	}
	if err := h.m.Apply(Requested{Request: digest("r"), First: good, At: began}); err == nil {
		t.Error("the others are never asked")
	}
}

// Requests that were stored before some were asked first read as they did.
func TestARequestToAllIsStoredAsEver(t *testing.T) {
	data, err := Encode(Requested{At: began})
	if err != nil || strings.Contains(string(data), "first") || strings.Contains(string(data), "all_at") {
		t.Errorf("%s, %v", data, err)
	}
}

// TestNoOpeningStalls gives every member a will of its own: it answers at once,
// late, not at all, or with a fault; it dies before it answers; and some cannot
// be heard from. The coordinator is killed at random and starts over from its
// records. Whatever they do, time alone, from one Wake to the next, ends the
// round: with a sum where enough members answer, and then soon after all were
// asked, unless the sum of those asked first was doubted.
func TestNoOpeningStalls(t *testing.T) {
	reached := map[State]int{}
	for seed := range uint64(80) {
		random := rand.New(rand.NewPCG(seed, 11))
		n := 7 + random.IntN(14)
		h := numbered(t, n, int(seed))
		willing, delay := map[string]string{}, map[string]time.Duration{}
		wills := [][]string{{"share"}, {"share", "share", "share", "silent"}, {"share", "silent"}, {"share", "share", "fault"}, {"share", "fault", "silent"}}[random.IntN(5)]
		honest := 0
		for _, member := range sites(n) {
			willing[member] = wills[random.IntN(len(wills))]
			delay[member] = time.Duration(random.IntN(3)) * 100 * time.Millisecond
			if willing[member] == "share" {
				honest++
			}
		}
		there := func(site string) bool { return willing[site] != "silent" || site < "D" }
		h.ask(began, nil, anybody)
		now, told := began, map[string]time.Time{}
		for step := 0; !h.m.State().Terminal(); step++ {
			if step > 200 {
				t.Fatalf("seed %d: round of %d does not end: %s, to open %q", seed, n, h.m.State(), h.opening())
			}
			for _, member := range h.opening() {
				if _, known := told[member]; !known {
					told[member] = now
				}
				switch due := !now.Before(told[member].Add(delay[member])); {
				case due && willing[member] == "share":
					h.feed(now, share(member))
				case due && willing[member] == "fault":
					h.feed(now, fault(member, "A"))
				}
			}
			h.feed(now, Tick{Present: there})
			if random.IntN(4) == 0 {
				again, err := Replay(h.records)
				if err != nil || !bytes.Equal(snapshot(again), h.bytes()) {
					t.Fatalf("seed %d: a restart differs: %v", seed, err)
				}
				h.m = again
				h.feed(now, Away{})
			}
			if slices.Equal(h.m.Jobs(), []Job{Sum}) {
				if random.IntN(3) == 0 {
					h.feed(now, Violated{Reason: "v", Shares: true})
				} else {
					h.feed(now, Opened{Sum: digest("sum")})
				}
				continue
			}
			wake, ok := h.m.Wake(now)
			if !ok && !h.m.State().Terminal() {
				t.Fatalf("seed %d: a round that is %s waits for nothing", seed, h.m.State())
			}
			// Answers that are on their way come before the clock's next turn.
			for _, member := range h.opening() {
				if at, known := told[member]; !known {
					wake = now
				} else if due := at.Add(delay[member]); willing[member] != "silent" && due.Before(wake) {
					wake = due
				}
			}
			if wake.After(now) {
				now = wake
			}
		}
		reached[h.m.State()]++
		end := h.m.End()
		if honest >= h.m.Plan().Threshold {
			if end.State == Abandoned || end.State == FailedIntegrity && end.Cause != CauseSum {
				t.Errorf("seed %d: %d of %d answer and the round ended %+v", seed, honest, n, end)
			}
			if took := end.At.Sub(began); h.m.doubtedAt.IsZero() && took > firstPatience+200*time.Millisecond+Settle {
				t.Errorf("seed %d: %d of %d answer and the round took %v", seed, honest, n, took)
			}
		}
	}
	t.Logf("reached %v", reached)
	for _, state := range []State{Published, Abandoned, FailedIntegrity} {
		if reached[state] == 0 {
			t.Errorf("no history reached %s: the test does not see it", state)
		}
	}
}
