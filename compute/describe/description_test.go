package describe

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/internal/publicdata"
	"github.com/consilium-fl/consilium/study"
)

func readCSV(t testing.TB, path ...string) (columns []string, records [][]string) {
	t.Helper()
	f, err := os.Open(filepath.Join(append([]string{publicdata.Dir(t)}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[0], all[1:]
}

// run takes a description from the counts to its end.
func run(t *testing.T, s *study.Study, sites []*study.Matrix) (*Counts, *Description) {
	t.Helper()
	answer := func(q compute.Question) compute.Sum {
		return ask(t, q, sites, func(m *study.Matrix) ([]float64, error) { return Answer(s, q.Step, q.Parameters, m) })
	}
	layout, err := Layout(s, Step, nil)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := Read(s, answer(compute.Question{Step: Step, Layout: layout}))
	if err != nil {
		t.Fatal(err)
	}
	d := NewDescription(s, counts)
	for {
		q, done, err := d.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
		if err := d.Absorb(answer(q)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := json.Marshal(d.Description()); err != nil {
		t.Fatal(err)
	}
	return counts, d.Description()
}

const veteran = `
study: veteran
version: 1
outcome: {type: survival, time: {column: time, range: [0, 1020], unit: d, grid: {step: 30}}, event: {column: status, positive: ["1"]}}
features:
  - {column: trt, type: category, levels: ["1", "2"]}
  - {column: celltype, type: category, levels: [squamous, smallcell, adeno, large]}
  - {column: karno, type: number, range: [0, 100]}
  - {column: age, type: number, range: [0, 120]}
model: {kind: describe}
fairness: {attributes: [{column: prior, levels: ["0", "10"]}], minimum_cell: %d, disclosure: primary}
`

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance*max(1, math.Abs(want))) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// The numbers are those of R's survival 3.5-3, of the times rounded up to the
// grid: d$g <- ceiling(d$time/30)*30; survfit(Surv(g,status)~1, d,
// conf.type="log-log"), survdiff, and summary(survfit(...), rmean=300).
func TestSurvivalIsThatOfTheGriddedTimes(t *testing.T) {
	columns, records := readCSV(t, "survival", "veteran.csv")
	s := parse(t, fmt.Sprintf(veteran, 1))
	counts, d := run(t, s, divide(t, s, columns, 5, records, func(i int) int { return i * i % 4 }))
	if counts.Patients != 137 || counts.Events != 128 {
		t.Errorf("%d patients, %d events", counts.Patients, counts.Events)
	}
	at := map[float64]Point{}
	for _, p := range d.Survival.Overall.Points {
		at[p.Time] = p
	}
	for _, want := range [][]float64{
		{30, 137, 0.70072992700729930, 0.03912431025055069, 0.61645511374233286, 0.76994545451088625},
		{90, 73, 0.46469458317326162, 0.04275214581090951, 0.37920733580092442, 0.54569227601491765},
		{180, 34, 0.22650617311275459, 0.03704651725765277, 0.15837685034343546, 0.30220252564164179},
		{510, 4, 0.03685836531710220, 0.01787803454625653, 0.01224786226132937, 0.08419185221350904},
	} {
		p := at[want[0]]
		if *p.AtRisk.N != int(want[1]) {
			t.Errorf("%d at risk at %v", *p.AtRisk.N, want[0])
		}
		near(t, "survival", p.Survival, want[2], 1e-12)
		near(t, "standard error", p.StdError, want[3], 1e-12)
		near(t, "lower", *p.Lower, want[4], 1e-12)
		near(t, "upper", *p.Upper, want[5], 1e-12)
	}
	o := d.Survival.Overall
	if *o.Median != 90 || *o.MedianLower != 60 || *o.MedianUpper != 120 {
		t.Errorf("median %v (%v, %v)", *o.Median, *o.MedianLower, *o.MedianUpper)
	}
	near(t, "log-rank of trt", d.Survival.Groupings[0].LogRank.ChiSquared, 0.01018694691811149, 1e-12)
	near(t, "log-rank of celltype", d.Survival.Groupings[1].LogRank.ChiSquared, 24.02981605464579, 1e-12)
	if got := d.Survival.Groupings[1].LogRank.DF; got != 3 {
		t.Errorf("%d degrees of freedom", got)
	}

	by := []Grouping{ByFeature(s, 0)}
	values := AnswerLifetables(s, by, divide(t, s, columns, 1, records, func(int) int { return 0 })[0])
	sum, err := compute.NewSum(1, LifetableLayout(s, by), values)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := ReadLifetables(s, by, sum)
	if err != nil {
		t.Fatal(err)
	}
	for g, want := range [][2]float64{{129.2302891616393, 11.44006094747020}, {116.2512975778547, 12.16873620856001}} {
		mean, variance := tables[0][g].Restricted(s.Outcome.Grid, 300)
		near(t, "restricted mean", mean, want[0], 1e-12)
		near(t, "its standard error", math.Sqrt(variance), want[1], 1e-12)
	}
	if r := d.Survival.Groupings[0].RMST; r.Reference != "1" || len(r.Differences) != 1 || r.Differences[0].Group != "2" {
		t.Errorf("%+v", r)
	}
	for _, c := range d.Correlations {
		if c.Columns == [2]string{"karno", "age"} {
			near(t, "correlation", *c.Correlation, -0.09498480868208165, 1e-12)
			return
		}
	}
	t.Error("no correlation of karno and age")
}

// Between the points of a curve there are no events or at least the minimum
// cell, and so it is with the censored and the patients at risk.
func TestCurvesShowNoSmallCount(t *testing.T) {
	columns, records := readCSV(t, "survival", "veteran.csv")
	for _, cell := range []int{3, 11, 40} {
		s := parse(t, fmt.Sprintf(veteran, cell))
		_, d := run(t, s, divide(t, s, columns, 3, records, func(i int) int { return i % 3 }))
		curves := []Curve{d.Survival.Overall}
		for _, g := range d.Survival.Groupings {
			curves = append(curves, g.Curves...)
		}
		points := 0
		for _, c := range curves {
			for _, p := range c.Points {
				points++
				for _, n := range []Count{p.AtRisk, p.Events, p.Censored} {
					if n.N != nil && *n.N > 0 && *n.N < cell {
						t.Errorf("a count of %d under a minimum of %d", *n.N, cell)
					}
				}
			}
		}
		if points == 0 {
			t.Error("nothing is shown")
		}
	}
}

const mixed = `
study: mixed
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: a, type: number, range: [0, 1000]}
  - {column: b, type: number, range: [-5, 5]}
  - {column: c, type: category, levels: [u, v, w]}
model: {kind: describe}
fairness: {attributes: [{column: g, levels: [x, z]}], minimum_cell: 10}
`

func TestMissingFeaturesAreCounted(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 9))
	var records [][]string
	var a, b []float64
	missingA, missingC, both := 0, 0, 0
	for i := range 600 {
		x, y := 100+20*random.NormFloat64(), random.NormFloat64()
		r := []string{fmt.Sprint(i % 2), fmt.Sprint(x), fmt.Sprint(y), string("uvw"[i%3]), string("xz"[i/2%2])}
		switch {
		case i%7 == 0:
			r[1] = ""
			missingA++
		case i%100 == 1: // six of them, all with a
			r[3] = "NA"
			missingC++
		}
		if r[1] != "" {
			a, b = append(a, x), append(b, y)
			both++
		}
		records = append(records, r)
	}
	s := parse(t, mixed)
	counts, d := run(t, s, divide(t, s, []string{"y", "a", "b", "c", "g"}, 4, records, func(i int) int { return i % 3 }))
	cohort := counts.Cohort()
	if n := cohort.Features[0].Missing; n.N == nil || *n.N != missingA || *cohort.Features[0].MissingShare != float64(missingA)/600 {
		t.Errorf("a is missing in %+v", n)
	}
	if n := cohort.Features[1].Missing; n.State != Zero || *cohort.Features[1].MissingShare != 0 {
		t.Errorf("b is missing in %+v", n)
	}
	c := cohort.Features[2]
	if missingC == 0 || c.Missing.State != Suppressed || c.MissingShare != nil {
		t.Errorf("c is missing in %+v", c.Missing)
	}
	hidden := 0
	for _, l := range c.Levels {
		if l.Count.State == Suppressed {
			hidden++
		}
	}
	if hidden != 1 {
		t.Errorf("%d levels are withheld, so the others tell how few miss c", hidden)
	}
	mean, squares, cross, squaresB, meanB := 0.0, 0.0, 0.0, 0.0, 0.0
	for i := range a {
		mean += a[i] / float64(both)
		meanB += b[i] / float64(both)
	}
	for i := range a {
		squares += (a[i] - mean) * (a[i] - mean)
		squaresB += (b[i] - meanB) * (b[i] - meanB)
		cross += (a[i] - mean) * (b[i] - meanB)
	}
	near(t, "mean", *cohort.Features[0].Mean, mean, 1e-12)
	near(t, "mean for models", counts.Means()[1], mean, 1e-12)
	near(t, "standard deviation", *cohort.Features[0].SD, math.Sqrt(squares/float64(both-1)), 1e-12)
	near(t, "correlation", *d.Correlations[0].Correlation, cross/math.Sqrt(squares*squaresB), 1e-11)
	if n := d.Correlations[0].Patients; *n.N != both {
		t.Errorf("%d pairs", *n.N)
	}
	total := 0
	for _, b := range d.Numbers[0].Histogram {
		if *b.N < 10 {
			t.Errorf("a bin of %d", *b.N)
		}
		total += *b.N
	}
	if total != both || d.Numbers[0].Histogram[0].From != 0 || d.Numbers[0].Histogram[len(d.Numbers[0].Histogram)-1].To != 1000 {
		t.Errorf("histogram %+v", d.Numbers[0].Histogram)
	}
	if off := math.Abs(float64(rank(a, *d.Numbers[0].Median)) - float64(both)/2); off > 20 {
		t.Errorf("the median is %v patients off", off)
	}
}

func TestCrossTablesCannotBeCompletedFromTotals(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		table := make([][]int, 2+random.IntN(4))
		columns := 2 + random.IntN(4)
		for i := range table {
			for range columns {
				table[i] = append(table[i], random.IntN(30)*random.IntN(2))
			}
		}
		out := suppressTable(table, 11)
		hidden := func(c Count) bool { return c.State == Suppressed }
		for i := range table {
			n := 0
			for j, c := range out[i] {
				if hidden(c) {
					n++
				} else if *c.N != table[i][j] || *c.N > 0 && *c.N < 11 {
					t.Fatalf("%v shows %v", table, out)
				}
			}
			if n == 1 {
				t.Fatalf("row %d of %v has one gap", i, table)
			}
		}
		for j := range columns {
			n := 0
			for i := range table {
				if hidden(out[i][j]) {
					n++
				}
			}
			if n == 1 {
				t.Fatalf("column %d of %v has one gap", j, table)
			}
		}
	}
	if out := suppressTable([][]int{{20, 30}, {11, 40}}, 11); hiddenCells(out) != 0 {
		t.Error("a table of large cells is shown whole")
	}
}

func hiddenCells(table [][]Count) (n int) {
	for _, row := range table {
		for _, c := range row {
			if c.State == Suppressed {
				n++
			}
		}
	}
	return n
}

func TestQuestionsOfADescriptionAreChecked(t *testing.T) {
	s := parse(t, mixed)
	for step, parameters := range map[string]string{
		Step: `{}`, StepSurvival: ``, StepTables: `{"means":[1]}`, "describe/other": ``,
	} {
		if _, err := Layout(s, step, []byte(parameters)); err == nil {
			t.Errorf("taken: %s %s", step, parameters)
		}
	}
	for _, parameters := range []string{`{"means":[1001,0]}`, `{"means":[-0,0]}`, `{"means":[1,0,0]}`, `{"means":[1,0],"x":1}`} {
		if _, err := Layout(s, StepTables, []byte(parameters)); err == nil {
			t.Errorf("taken: %s", parameters)
		}
	}
	if _, err := Layout(s, StepTables, []byte(`{"means":[100,0]}`)); err != nil {
		t.Error(err)
	}
	fitted := parse(t, strings.Replace(mixed, "kind: describe", "kind: glm, family: binomial", 1))
	if _, err := Layout(fitted, StepTables, []byte(`{"means":[100,0]}`)); err == nil {
		t.Error("a study that describes nothing further answers tables")
	}
}

func TestSummaryOfTheStepsHoldsWhatIsAsked(t *testing.T) {
	s := parse(t, fmt.Sprintf(veteran, 3))
	names := ""
	for _, step := range Steps(s) {
		names += step.Step + " "
		if step.Numbers < 1 || step.Rounds < 1 || step.Purpose == "" {
			t.Errorf("%+v", step)
		}
	}
	if names != "describe/quantiles describe/tables describe/survival " {
		t.Error(names)
	}
}

// Whatever the parameters, a vector fits its layout and its bounds, or the
// question is refused.
func FuzzParameters(f *testing.F) {
	s := parse(f, mixed)
	var records [][]string
	for i := range 50 {
		records = append(records, []string{fmt.Sprint(i % 2), fmt.Sprint(20 * i), fmt.Sprint(i%10 - 5), string("uvw"[i%3]), "x"})
	}
	m := divide(f, s, []string{"y", "a", "b", "c", "g"}, 1, records, func(int) int { return 0 })[0]
	f.Add(Step, []byte(nil))
	f.Add(StepTables, []byte(`{"means":[100,0]}`))
	f.Add(StepTables, []byte(`{"means":[1000,-5]}`))
	f.Add(StepQuantiles, []byte(`{"numbers":[{"term":1,"bits":7,"split":6,"bins":[4,5]},{"term":2,"bits":0,"split":7,"bins":[0]}]}`))
	f.Fuzz(func(t *testing.T, step string, parameters []byte) {
		layout, err := Layout(s, step, parameters)
		values, err2 := Answer(s, step, parameters, m)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("layout: %v, answer: %v", err, err2)
		}
		for _, f := range layout {
			if err != nil {
				return
			}
			for _, v := range values[:f.Length] {
				if !(math.Abs(v) <= f.Bound) {
					t.Fatalf("field %s is out of bounds", f.Name)
				}
			}
			values = values[f.Length:]
		}
		if len(values) != 0 {
			t.Fatal("the vector is longer than its layout")
		}
	})
}
