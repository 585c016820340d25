package pipeline

import (
	"encoding/csv"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/disclosure/attack"
	"github.com/consilium-fl/consilium/internal/publicdata"
)

const followed = `study: followed
version: 1
outcome:
  type: survival
  time: {column: time, range: [0, 6], grid: {step: 1}}
  event: {column: status, positive: ["1"], negative: ["0"]}
features:
  - {column: a, type: category, levels: [p, q, r]}
  - {column: b, type: category, levels: [u, v]}
model: {kind: describe}
fairness:
  attributes: [{column: a, levels: [p, q, r]}]
  minimum_cell: %d
  disclosure: complementary
privacy: {minimum_contributors: 2}
`

// Atoms of a survival cohort: by a, b (each may be missing), interval (the last is
// beyond the grid) and whether the event happened.
func followedAtoms(a, b []int, intervals []int, events []int) (out []int) {
	for _, i := range a {
		for _, j := range b {
			for _, k := range intervals {
				for _, e := range events {
					out = append(out, ((i*3+j)*7+k)*2+e)
				}
			}
		}
	}
	return out
}

// Curves of all patients and by column, cohort and cross table, put together, tell
// no small count: not of a level, nor of its events, nor of what happened in an
// interval.
func TestNothingBelowTheFloorFollowsFromCurves(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	every, any3 := []int{0, 1, 2, 3, 4, 5, 6}, []int{0, 1, 2}
	tried, points := 0, 0
	for round := range 16 {
		floor := 3 + random.IntN(3)
		s := parse(t, fmt.Sprintf(followed, floor))
		truth := make([]int, 4*3*7*2)
		var records [][]string
		skew := []float64{1, random.Float64(), random.Float64() * 0.2, random.Float64() * 0.1}
		for range 70 + random.IntN(80) {
			pick := func(odds []float64) int {
				total := 0.0
				for _, o := range odds {
					total += o
				}
				u, k := random.Float64()*total, 0
				for k < len(odds)-1 && u > odds[k] {
					u -= odds[k]
					k++
				}
				return k
			}
			a, b, k, e := pick(skew), pick([]float64{1, 0.6, 0.1}), random.IntN(6), random.IntN(2)
			truth[followedAtoms([]int{a}, []int{b}, []int{k}, []int{e})[0]]++
			records = append(records, []string{strconv.FormatFloat(float64(k)+0.5, 'g', -1, 64), strconv.Itoa(e), []string{"p", "q", "r", ""}[a], []string{"u", "v", ""}[b]})
		}
		r, err := federate(t, s, matrices(t, s, []string{"time", "status", "a", "b"}, records, func(i int) string { return fmt.Sprint(i % 3) }), plain)
		if err != nil {
			t.Fatal(err)
		}
		reader := &attack.Attacker{Atoms: len(truth)}
		counted := func(of []int) (n int) {
			for _, i := range of {
				n += truth[i]
			}
			return n
		}
		say := func(what string, n describe.Count, of []int) {
			switch {
			case n.N != nil && *n.N != counted(of):
				t.Fatalf("%s is %d, shown as %d", what, counted(of), *n.N)
			case n.N != nil:
				reader.Is(of, *n.N)
				if 0 < *n.N && *n.N < floor {
					t.Errorf("%s is shown: %d", what, *n.N)
				}
			case counted(of) > 0 && !strings.HasPrefix(what, "events"): // withheld with a curve, they may be none
				reader.AtLeast(of, 1)
			}
		}
		tell := func(c describe.Curve, a, b []int) {
			say("patients "+c.Group, c.Patients, followedAtoms(a, b, every, []int{0, 1}))
			say("events "+c.Group, c.Events, followedAtoms(a, b, every, []int{1}))
			first, before := 0, 1.0
			for _, p := range c.Points {
				end := slices.Index(s.Outcome.Grid, p.Time)
				var run, later []int
				for k := range 7 {
					if k >= first && k <= end {
						run = append(run, k)
					}
					if k >= first {
						later = append(later, k)
					}
				}
				say("at risk "+c.Group, p.AtRisk, followedAtoms(a, b, later, []int{0, 1}))
				say("events in a run of "+c.Group, p.Events, followedAtoms(a, b, run, []int{1}))
				say("censored in a run of "+c.Group, p.Censored, followedAtoms(a, b, run, []int{0}))
				// The step of the curve is the share of those at risk.
				if before > 0 && p.AtRisk.N != nil {
					d := math.Round((1 - p.Survival/before) * float64(*p.AtRisk.N))
					if math.Abs((1-p.Survival/before)*float64(*p.AtRisk.N)-d) > 1e-6 {
						t.Fatalf("the curve of %q is finer than its points", c.Group)
					}
					reader.Is(followedAtoms(a, b, run, []int{1}), int(d))
				}
				before, first = p.Survival, end+1
				points++
			}
		}
		tell(r.Description.Survival.Overall, []int{0, 1, 2, 3}, any3)
		for _, by := range r.Description.Survival.Groupings {
			for g, c := range by.Curves {
				if by.Column == "a" {
					tell(c, []int{g}, any3)
				} else {
					tell(c, []int{0, 1, 2, 3}, []int{g})
				}
			}
		}
		for l, level := range r.Cohort.Features[0].Levels {
			say("level "+level.Name, level.Count, followedAtoms([]int{l}, any3, every, []int{0, 1}))
		}
		for l, level := range r.Cohort.Features[1].Levels {
			say("level "+level.Name, level.Count, followedAtoms([]int{0, 1, 2, 3}, []int{l}, every, []int{0, 1}))
		}
		say("missing a", *r.Cohort.Features[0].Missing, followedAtoms([]int{3}, any3, every, []int{0, 1}))
		say("missing b", *r.Cohort.Features[1].Missing, followedAtoms([]int{0, 1, 2, 3}, []int{2}, every, []int{0, 1}))
		for i, row := range r.Description.CrossTables[0].Cells {
			for j, n := range row {
				say("cross table", n, followedAtoms([]int{i}, []int{j}, every, []int{0, 1}))
			}
		}
		try := func(what string, of []int) {
			n := counted(of)
			if n == 0 || n >= floor {
				return
			}
			tried++
			if lo, hi := reader.Interval(of, n, floor); hi-lo < floor && hi-lo < n+1 {
				t.Errorf("round %d, floor %d: %s must be from %d to %d", round, floor, what, lo, hi)
			}
		}
		for g := range 4 {
			try(fmt.Sprint("a ", g), followedAtoms([]int{g}, any3, every, []int{0, 1}))
			try(fmt.Sprint("events of a ", g), followedAtoms([]int{g}, any3, every, []int{1}))
		}
		for g := range 3 {
			try(fmt.Sprint("b ", g), followedAtoms([]int{0, 1, 2, 3}, []int{g}, every, []int{0, 1}))
			try(fmt.Sprint("events of b ", g), followedAtoms([]int{0, 1, 2, 3}, []int{g}, every, []int{1}))
		}
		for k := range 6 {
			try(fmt.Sprint("events in interval ", k), followedAtoms([]int{0, 1, 2, 3}, any3, []int{k}, []int{1}))
		}
	}
	t.Logf("%d small counts, %d points of curves", tried, points)
	if tried < 30 || points < 80 {
		t.Errorf("%d small counts and %d points: the cohorts test too little", tried, points)
	}
}

// In the North Central lung cohort one patient has ph.ecog 3. Neither the levels,
// nor the curves, nor what is left of all patients tells of that one.
func TestOnePatientOfTheLungCohortIsHidden(t *testing.T) {
	f, err := os.Open(filepath.Join(publicdata.Dir(t), "survival", "lung.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for mode, derived := range map[string]bool{"primary": true, "complementary": false} {
		s := parse(t, `study: lung
version: 1
outcome:
  type: survival
  time: {column: time, range: [0, 1100], grid: {step: 100}}
  event: {column: status, positive: ["2"], negative: ["1"]}
features:
  - {column: ph.ecog, type: category, levels: ["0", "1", "2", "3"]}
  - {column: age, type: number, range: [30, 100]}
model: {kind: describe}
fairness:
  attributes: [{column: sex, levels: ["1", "2"]}]
  disclosure: `+mode+`
privacy: {minimum_contributors: 2}
`)
		r, err := federate(t, s, matrices(t, s, lines[0], lines[1:], func(i int) string { return fmt.Sprint(i % 3) }), plain)
		if err != nil {
			t.Fatal(err)
		}
		cohort := r.Cohort.Features[0]
		shown, curves := 0, 0
		for l, level := range cohort.Levels {
			if level.Count.N != nil {
				shown++
			}
			curve := r.Description.Survival.Groupings[0].Curves[l]
			if curve.Patients.N != nil {
				curves++
			}
			if (curve.Patients.N == nil) != (level.Count.N == nil) && mode == "complementary" {
				t.Errorf("%s: level %s is %+v, its curve %+v", mode, level.Name, level.Count, curve.Patients)
			}
		}
		// One withheld of the levels, the rest missing or shown: subtraction.
		if got := max(shown, curves) == 3; got != derived {
			t.Errorf("%s: %d levels and %d curves are shown; missing %+v", mode, shown, curves, cohort.Missing)
		}
		if r.Description.Survival.Overall.Points == nil || curves == 0 {
			t.Errorf("%s: nothing is left", mode)
		}
	}
}
