package statement

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/crypto/secagg"
)

// many are names in ascending order.
func many(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("s%04d", i)
	}
	return names
}

// The draw is frozen: another order of ranks is another protocol. The vectors
// were computed with Python's hashlib:
//
//	sorted(sorted(names, key=lambda n: sha256(b"consilium committee v1\n" + seed + n.encode()).digest())[:20])
func TestTheDrawOfACommitteeIsFrozen(t *testing.T) {
	for _, test := range []struct {
		seed, committee string
	}{
		{"", "s0107 s0130 s0230 s0234 s0360 s0371 s0399 s0419 s0433 s0449 s0469 s0557 s0566 s0576 s0683 s0702 s0905 s0951 s0972 s0976"},
		{"roster", "s0054 s0152 s0194 s0202 s0225 s0253 s0272 s0304 s0321 s0323 s0334 s0417 s0467 s0536 s0612 s0620 s0621 s0673 s0902 s0934"},
	} {
		if got := Committee(DigestOf([]byte(test.seed)), many(1000)); strings.Join(got, " ") != test.committee {
			t.Errorf("seed %q draws %v", test.seed, got)
		}
	}
	if got := rank(DigestOf([]byte("roster")), "site-01").String(); got != "2959269ce9b75a4ff97f280a154465697b15a62726d39c362982429bcf5d171e" {
		t.Errorf("rank %s", got)
	}
}

func TestUpToTwentySitesAreAllOnTheCommittee(t *testing.T) {
	for n := range MaxCommittee + 1 {
		if got := Committee(DigestOf(nil), many(n)); !slices.Equal(got, many(n)) {
			t.Errorf("%d invited: %v", n, got)
		}
	}
	if n := len(Committee(DigestOf(nil), many(MaxCommittee+1))); n != MaxCommittee {
		t.Errorf("of %d, %d are drawn", MaxCommittee+1, n)
	}
}

func TestADrawChangesNothingItIsGiven(t *testing.T) {
	invited := many(50)
	Committee(DigestOf(nil), invited)
	if !slices.Equal(invited, many(50)) {
		t.Error("the invited sites were put in another order")
	}
}

// Whoever leaves moves nobody but the one that takes the place, and that one is
// the same whoever else is there: leaving sites out is worth no second draw.
func TestWhoLeavesMakesRoomForTheNextAlone(t *testing.T) {
	seed, all := DigestOf([]byte("roster")), many(60)
	before := Committee(seed, all)
	for _, gone := range all {
		rest := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == gone })
		after := Committee(seed, rest)
		stayed := 0
		for _, name := range after {
			if slices.Contains(before, name) {
				stayed++
			}
		}
		want := MaxCommittee
		if slices.Contains(before, gone) {
			want--
		}
		if stayed != want {
			t.Errorf("without %s, %d of the committee stayed, want %d", gone, stayed, want)
		}
	}
}

// Over many seeds every site is drawn as often as every other, and every pair:
// chi-square over fixed seeds, so the outcome is always the same.
func TestEverySiteIsDrawnAsOftenAsEveryOther(t *testing.T) {
	const n, draws = 30, 6000
	names := many(n)
	index := make(map[string]int)
	for i, name := range names {
		index[name] = i
	}
	var single [n]float64
	var pair [n][n]float64
	for i := range draws {
		drawn := Committee(DigestOf(fmt.Append(nil, "seed", i)), names)
		for j, a := range drawn {
			single[index[a]]++
			for _, b := range drawn[j+1:] {
				pair[index[a]][index[b]]++
			}
		}
	}
	const p1 = float64(MaxCommittee) / n
	const p2 = p1 * (MaxCommittee - 1) / (n - 1)
	worst := 0.0
	for i := range n {
		worst = max(worst, math.Abs(single[i]-draws*p1)/math.Sqrt(draws*p1*(1-p1)))
		for j := i + 1; j < n; j++ {
			worst = max(worst, math.Abs(pair[i][j]-draws*p2)/math.Sqrt(draws*p2*(1-p2)))
		}
	}
	// Of 465 counts the largest deviation exceeds 4.5 standard deviations with
	// a probability of 0.3 %.
	if worst > 4.5 {
		t.Errorf("a count is off by %.1f standard deviations", worst)
	}
}

// large is a valid plan for more sites than a committee holds.
func large(t *testing.T, n int) *Plan {
	t.Helper()
	p := plan(t)
	p.Invited = many(n)
	p.Draw = &Draw{Size: 7, Root: DigestOf([]byte("root")), Roster: DigestOf([]byte("roster"))}
	p.Committee = p.Appointed()
	p.Threshold = 14
	var err error
	if p.Suite, err = secagg.SelectSuite(p.Layout, n, len(p.Committee), p.Threshold); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPlanSaysWhatItsCommitteeIsDrawnFrom(t *testing.T) {
	if err := large(t, 24).Validate(); err != nil {
		t.Fatal(err)
	}
	p := large(t, 24)
	p.Draw = nil
	if err := p.Validate(); err == nil {
		t.Error("24 sites without a draw: accepted")
	}
	p = plan(t)
	p.Draw = &Draw{Size: 7}
	if err := p.Validate(); err == nil {
		t.Error("5 sites with a draw: accepted")
	}
}

// Another checkpoint of the same roster names the same committee, and the plan
// that names it is another plan.
func TestOnlyTheRosterDraws(t *testing.T) {
	p := large(t, 24)
	before, id := p.Appointed(), p.RoundSpec().ID
	p.Draw = &Draw{Size: 8, Root: DigestOf([]byte("other root")), Roster: p.Draw.Roster}
	if !slices.Equal(p.Appointed(), before) {
		t.Error("the coordinator's checkpoint changes who is drawn")
	}
	if p.RoundSpec().ID == id {
		t.Error("the checkpoint is not in the round's id")
	}
	p.Draw.Roster = DigestOf([]byte("other roster"))
	if slices.Equal(p.Appointed(), before) {
		t.Error("another roster draws the same committee")
	}
}

func FuzzCommittee(f *testing.F) {
	f.Add([]byte("seed"), uint16(24))
	f.Fuzz(func(t *testing.T, seed []byte, n uint16) {
		invited := many(int(n % 200))
		drawn := Committee(DigestOf(seed), invited)
		if len(drawn) != min(len(invited), MaxCommittee) || !slices.IsSorted(drawn) || len(slices.Compact(slices.Clone(drawn))) != len(drawn) {
			t.Fatalf("%d of %d: %v", len(drawn), len(invited), drawn)
		}
		for _, name := range drawn {
			if _, ok := slices.BinarySearch(invited, name); !ok {
				t.Fatalf("%s was not invited", name)
			}
		}
	})
}
