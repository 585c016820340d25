package describe

import (
	"fmt"
	"math"
	"strconv"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

const rare = `
study: rare
version: 1
outcome: {column: admissions, type: count, range: [0, 50]}
features:
  - {column: carrier, type: number, range: [0, 1]}
  - {column: treated, type: number, range: [-1, 1]}
  - {column: change, type: number, range: [-10, 10]}
  - {column: ward, type: number, range: [0, 1]}
model: {kind: describe}
fairness: {attributes: [{column: ward, levels: ["0", "1"]}], minimum_cell: 11, disclosure: %s}
`

// rareCohort has so many carriers, treated and admitted of 300 patients, and two who
// are in neither ward.
func rareCohort(t *testing.T, disclosure string, carriers, treated, admitted int) *Cohort {
	t.Helper()
	s := parse(t, fmt.Sprintf(rare, disclosure))
	var records [][]string
	for i := range 300 {
		is := func(k int) string { return strconv.Itoa(min(max(k-i, 0), 1)) }
		ward := strconv.Itoa(i % 2)
		if i < 2 {
			ward = "0.5"
		}
		records = append(records, []string{is(admitted), is(carriers), is(treated), strconv.FormatFloat(10*math.Sin(float64(i)), 'f', 6, 64), ward})
	}
	sites := divide(t, s, []string{"admissions", "carrier", "treated", "change", "ward"}, 3, records, func(i int) int { return i % 3 })
	counts, err := Read(s, ask(t, compute.Question{Step: Step, Layout: CountsLayout(s)}, sites, func(m *study.Matrix) ([]float64, error) { return AnswerCounts(s, m) }))
	if err != nil {
		t.Fatal(err)
	}
	return counts.Cohort()
}

// totals are what a reader makes of the means: how many patients have the column.
func (c *Cohort) totals() map[string]int {
	out := map[string]int{}
	for _, v := range append(c.Features, c.Outcome) {
		if v.Mean != nil {
			out[v.Column] = int(math.Round(*v.Mean * float64(*c.Patients.N)))
		}
	}
	return out
}

// With primary disclosure the attack succeeds: the mean of a column of zeros and ones
// is how many have it.
func TestMeansTellHowFew(t *testing.T) {
	got := rareCohort(t, "primary", 4, 3, 2).totals()
	if got["carrier"] != 4 || got["treated"] != 3 || got["admissions"] != 2 {
		t.Errorf("from the means of primary disclosure follow %v", got)
	}
}

// Rule: no mean tells of fewer patients than the minimum cell who have a column, or do
// not, or who are divided by an attribute of the same column.
func TestMeansDoNotTellHowFew(t *testing.T) {
	for _, c := range []struct{ few, enough int }{{4, 11}, {10, 11}, {296, 289}, {290, 289}} {
		for column, got := range map[string]*Cohort{"carrier": rareCohort(t, "complementary", c.few, 150, 150),
			"treated": rareCohort(t, "complementary", 150, min(c.few, 300-c.few), 150), "admissions": rareCohort(t, "complementary", 150, 150, min(c.few, 300-c.few))} {
			for k := range got.totals() {
				if k == column || k == "ward" {
					t.Errorf("%d: %s follows from its mean", c.few, k)
				}
			}
		}
		shown := rareCohort(t, "complementary", c.enough, 150, 150).totals()
		if n, ok := shown["carrier"]; !ok || n != c.enough {
			t.Errorf("%d carriers: %v", c.enough, shown)
		}
		if _, ok := shown["change"]; !ok {
			t.Errorf("a number about zero has no mean: %v", shown)
		}
	}
}

const gaps = `
study: gaps
version: 1
outcome: {column: y, type: count, range: [0, 50]}
features:
  - {column: level, type: number, range: [0, 400]}
model: {kind: describe}
fairness: {attributes: [{column: sex, levels: [f, m]}], minimum_cell: 11, disclosure: %s}
`

// Rule: the digits of a mean of whole numbers do not tell how few are missing. With
// all of them, only one number of missing patients goes with a mean.
func TestMeansDoNotTellHowFewAreMissing(t *testing.T) {
	for _, test := range []struct {
		disclosure string
		follows    bool
	}{{"primary", true}, {"complementary", false}} {
		found := 0
		for missing := 1; missing <= 10; missing++ {
			for _, spread := range []int{200, 3, 2} {
				s := parse(t, fmt.Sprintf(gaps, test.disclosure))
				var records [][]string
				for i := range 160 {
					level := strconv.Itoa(i * i % 157 % spread)
					if i < missing {
						level = ""
					}
					records = append(records, []string{strconv.Itoa(i % 20), level, "fm"[i%2 : i%2+1]})
				}
				sites := divide(t, s, []string{"y", "level", "sex"}, 3, records, func(i int) int { return i % 3 })
				counts, err := Read(s, ask(t, compute.Question{Step: Step, Layout: CountsLayout(s)}, sites, func(m *study.Matrix) ([]float64, error) { return AnswerCounts(s, m) }))
				if err != nil {
					t.Fatal(err)
				}
				v := counts.Cohort().Features[0]
				if v.Mean == nil || v.Missing.State != Suppressed {
					t.Fatalf("%s, %d missing: mean %v, %+v", test.disclosure, missing, v.Mean, v.Missing)
				}
				// The reader's tolerance: what is cut off from the digits that are there.
				off := 1e-9
				if !test.follows {
					off = *v.SD / math.Sqrt(160) / 4
				}
				possible := 0
				for m := 1; m <= 10; m++ {
					n := float64(160 - m)
					if math.Abs(math.Round(*v.Mean*n)/n-*v.Mean) <= off {
						possible++
					}
				}
				if possible <= 2 {
					found++
				}
				if !test.follows && possible < 9 {
					t.Errorf("%d missing of numbers below %d: the mean %v goes with %d numbers of missing patients", missing, spread, *v.Mean, possible)
				}
			}
		}
		if test.follows != (found > 20) { // of 30; some means are whole numbers by chance
			t.Errorf("%s: how many are missing follows %d times", test.disclosure, found)
		}
	}
}
