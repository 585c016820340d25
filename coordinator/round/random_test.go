package round

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestArbitraryOrders throws inputs at a round in any order, at times that jump
// both ways, and holds the invariants after every one. A history that is
// replayed from its encoded records stands where the original stands.
func TestArbitraryOrders(t *testing.T) {
	reached := map[State]int{}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 7))
		n := 3 + random.IntN(5)
		floor := 2 + random.IntN(2)
		m, planned := newRound(t, n, floor, random.IntN(8) == 0)
		h := &history{t: t, m: m, records: []Record{planned}}
		var fixed []string
		var ended []byte
		for range 15 + random.IntN(150) {
			now := began.Add(time.Duration(random.Int64N(int64(6 * time.Minute))))
			if random.IntN(30) > 0 {
				now = began.Add(time.Duration(random.Int64N(int64(time.Minute)))) // most of it happens in time
			}
			in := anyInput(random, m, n)
			records, err := h.try(now, in)
			if err != nil && records != nil {
				t.Fatalf("seed %d: %+v gave records and an error", seed, in)
			}
			if ended != nil && (records != nil || !bytes.Equal(ended, h.bytes())) {
				t.Fatalf("seed %d: %+v changed a round that has ended", seed, in)
			}
			invariants(t, seed, m)
			if fixed != nil && !slices.Equal(fixed, m.Contributors()) {
				t.Fatalf("seed %d: the set changed from %q to %q", seed, fixed, m.Contributors())
			}
			if m.State() == Opening && fixed == nil {
				fixed = m.Contributors()
			}
			if m.State().Terminal() && ended == nil {
				ended = h.bytes()
			}
		}
		reached[m.State()]++
		var decoded []Record
		for _, r := range h.records {
			data, err := Encode(r)
			if err != nil {
				t.Fatal(err)
			}
			back, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			decoded = append(decoded, back)
		}
		again, err := Replay(decoded)
		if err != nil || !bytes.Equal(snapshot(again), h.bytes()) {
			t.Fatalf("seed %d: a replay differs: %v", seed, err)
		}
	}
	t.Logf("reached %v", reached)
	for _, state := range []State{Collecting, Opening, Published, Abandoned, FailedIntegrity} {
		if reached[state] == 0 {
			t.Errorf("no random history reached %s: the test does not see it", state)
		}
	}
}

// anyInput is often one that fits the state, so that histories get somewhere,
// and often any other.
func anyInput(random *rand.Rand, m *Machine, n int) Input {
	who := append(sites(n), "Z")
	site := who[random.IntN(len(who))]
	there := everybody()
	if random.IntN(3) == 0 {
		there = Tick{Present: func(string) bool { return random.IntN(4) > 0 }}
	}
	requested := requestLedgered()
	if random.IntN(2) == 0 {
		requested.First, requested.Patience = m.First(nil, anybody), time.Second
	}
	other := begin(site)
	other.Header = digest("other")
	fitting := map[State][]Input{
		Inviting:   {PlanLedgered{Envelope: digest("p"), Leaf: 1}},
		Collecting: {begin(site), commit(site), begin(site), commit(site), whole(site), there},
		Opening:    {requested, share(site), share(site), share(site), there, Opened{Sum: digest("s")}, Violated{Reason: "v", Shares: true}},
	}[m.State()]
	any := []Input{
		PlanLedgered{Envelope: digest("p"), Leaf: 1}, Withdraw{Reason: "w"}, requested, there,
		begin(site), other, commit(site), whole(site), Decline{Site: site}, share(site), fault(site, who[random.IntN(n)]),
		Opened{Sum: digest("s")}, Violated{Reason: "v"}, Away{},
	}
	if len(fitting) > 0 && random.IntN(4) > 0 {
		return fitting[random.IntN(len(fitting))]
	}
	return any[random.IntN(len(any))]
}

func invariants(t *testing.T, seed uint64, m *Machine) {
	t.Helper()
	contributors := m.Contributors()
	if !slices.IsSorted(contributors) || len(slices.Compact(slices.Clone(contributors))) != len(contributors) {
		t.Fatalf("seed %d: contributors %q", seed, contributors)
	}
	floor := m.Plan().MinimumContributors
	if m.Exact() {
		floor = len(m.Plan().Invited)
	}
	if _, requested := m.Requested(); requested && len(contributors) < floor {
		t.Fatalf("seed %d: %d contributors are opened below the floor of %d", seed, len(contributors), floor)
	}
	if m.SharesGiven() && m.State() == Collecting {
		t.Fatalf("seed %d: a share was given while collecting", seed)
	}
	if m.State() == Published && len(m.Openers()) < m.Plan().Threshold {
		t.Fatalf("seed %d: published with %d openers", seed, len(m.Openers()))
	}
	if !m.State().Terminal() && m.State() != Inviting && len(m.Jobs()) == 0 {
		if _, ok := m.Wake(began); !ok {
			t.Fatalf("seed %d: a round that is %s waits for nothing", seed, m.State())
		}
	}
}
