package fairness

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/internal/publicdata"
	"github.com/consilium-fl/consilium/study"
)

const lung = `
study: lung
version: 1
outcome: {type: survival, time: {column: time, range: [0, 1000], grid: {step: 1}, unit: d}, event: {column: status, positive: ["2"], negative: ["1"]}}
features:
  - {column: age, type: number, range: [18, 100]}
  - {column: sex, type: number, range: [1, 2]}
model: {kind: cox, stratify: site}
fairness:
  disclosure: primary
  attributes: [{column: sex, levels: ["1", "2"]}]
  minimum_cell: 5
  largest_share: 1
  times: [365, 730]
  criteria: [{metric: oe, attribute: sex, margin: 0.5}, {metric: cindex, attribute: sex, margin: 0.2}, {metric: calibration_in_the_large, attribute: all, margin: 0.3}, {metric: oe, attribute: all, margin: 1, kind: ratio}]
`

// byColumn divides the records of a file by a column; those without it are left
// out.
func byColumn(t *testing.T, s *study.Study, file, column string, keep func(value func(string) string) bool) []*study.Matrix {
	t.Helper()
	data, err := os.Open(filepath.Join(publicdata.Dir(t), filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	records, err := csv.NewReader(data).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	columns := records[0]
	builders := map[string]*study.Builder{}
	for _, r := range records[1:] {
		value := func(name string) string { return r[slices.Index(columns, name)] }
		site := value(column)
		if site == "" || site == "NA" || !keep(value) {
			continue
		}
		if builders[site] == nil {
			if builders[site], err = s.NewBuilder(columns); err != nil {
				t.Fatal(err)
			}
		}
		builders[site].Add(r)
	}
	var names []string
	for name := range builders {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []*study.Matrix
	for _, name := range names {
		out = append(out, builders[name].Matrix())
	}
	return out
}

// foretold are predictions of a made-up model of the lung patients, the same as
// in the reference: log hazard 0.02 (age - 62) - 0.5 (sex = 2), baseline 0.0022 a
// day.
func foretold(m *study.Matrix) Forecast {
	f := Forecast{Values: make([]float64, m.Rows())}
	var row []float64
	for r := range f.Values {
		row = m.AppendRow(row[:0], r)
		f.Values[r] = 0.02*(row[1]-62) - 0.5*(row[2]-1)
	}
	f.Free = func(r int, time float64) float64 { return math.Exp(-0.0022 * time * math.Exp(f.Values[r])) }
	return f
}

// R's survival 3.8 on lung.csv without the patients of unknown hospital or
// beyond 1000 days: sum(event & time <= t) over sum(0.0022 pmin(time, t)
// exp(lp)) with poisson.test's interval, survfit(conf.type = "log-log"), and
// concordance(Surv(time, event) ~ lp + strata(inst), reverse = TRUE), by sex.
func TestSurvivalEqualsR(t *testing.T) {
	s := parsed(t, lung)
	sites := byColumn(t, s, "survival/lung.csv", "inst", func(value func(string) string) bool {
		days, _ := strconv.Atoi(value("time"))
		return days <= 1000
	})
	a, _ := auditedBy(t, s, Sizes{Unseen: true}, sites, func(i int) Forecast { return foretold(sites[i]) })
	for _, want := range []struct {
		level, suffix                                                   string
		oe, oeLower, oeUpper, observed, lower, upper, predicted, c, seC float64
	}{
		{All, "", 1.1892208975, 0.9859823, 1.4220167, 0.5941529399, 0.52447535, 0.66512342, 0.4903869745, 0.6237785016, 0.0312086788},
		{All, "_at_730", 1.2980263607, 1.1035197, 1.5169435, 0.8978201609, 0.83639866, 0.94353331, 0.7289498311, 0.6237785016, 0.0312086788},
		{"1", "", 1.2217416483, 0.9745090, 1.5125993, 0.6712928460, 0.58517213, 0.75507995, 0.5623487784, 0.5851562500, 0.0398540288},
		{"2", "", 1.1196782512, 0.7842089, 1.5501067, 0.4735369698, 0.36468377, 0.59642018, 0.3824442686, 0.5341614907, 0.0612475792},
		{"2", "_at_730", 1.2436214919, 0.9230398, 1.6395599, 0.8127675021, 0.67916732, 0.91534035, 0.6159611086, 0.5341614907, 0.0612475792},
	} {
		attribute := "sex"
		if want.level == All {
			attribute = All
		}
		g := a.Group(attribute, want.level)
		oe, observed, c := g.Metrics["oe"+want.suffix], g.Metrics["observed_risk"+want.suffix], g.Metrics["cindex"]
		near(t, "O/E of "+want.level, oe.Estimate, want.oe, 1e-9)
		near(t, "O/E lower", *oe.Lower, want.oeLower, 1e-6)
		near(t, "O/E upper", *oe.Upper, want.oeUpper, 1e-6)
		near(t, "observed risk", observed.Estimate, want.observed, 1e-9)
		near(t, "observed risk lower", *observed.Lower, want.lower, 1e-7)
		near(t, "observed risk upper", *observed.Upper, want.upper, 1e-7)
		near(t, "predicted risk", g.Metrics["predicted_risk"+want.suffix].Estimate, want.predicted, 1e-9)
		near(t, "predicted minus observed", g.Metrics["calibration_in_the_large"+want.suffix].Estimate, want.predicted-want.observed, 1e-9)
		near(t, "C", c.Estimate, want.c, 1e-9)
		near(t, "C lower", *c.Lower, 1/(1+(1-want.c)/want.c*math.Exp(normal*want.seC/(want.c*(1-want.c)))), 1e-8)
	}
	if len(a.Criteria) != 4 || a.Criteria[0].Verdict == "" || a.Criteria[0].Groups[0].Estimate == nil || a.Criteria[1].Groups[0].Detectable == nil {
		t.Errorf("criteria of a survival study: %+v", a.Criteria)
	}
	metrics := map[string]bool{}
	for _, g := range a.Gaps {
		metrics[g.Metric] = true
	}
	if len(metrics) != 3 {
		t.Errorf("gaps of %v", metrics)
	}
}

// Whatever the order of events and leaving inside an interval of the grid,
// Kaplan and Meier's estimate of the exact times is within the bound that is
// printed beside the one on the grid.
func TestObservedRiskIsWithinItsBound(t *testing.T) {
	s := parsed(t, strings.NewReplacer("step: 1}", "step: 100}", "[365, 730]", "[400]").Replace(lung))
	random := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		b, err := s.NewBuilder([]string{"time", "status", "age", "sex"})
		if err != nil {
			t.Fatal(err)
		}
		type patient struct {
			time  float64
			event bool
		}
		var all []patient
		for i := range 200 {
			p := patient{math.Min(random.ExpFloat64()*400, 999), random.IntN(2) == 0}
			all = append(all, p)
			b.Add([]string{strconv.FormatFloat(p.time, 'g', -1, 64), []string{"1", "2"}[int(one(p.event))], "60", strconv.Itoa(1 + i%2)})
		}
		m := b.Matrix()
		a, err := Local(s, &Audit{}, m, foretold(m))
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(all, func(a, b patient) int { return int(math.Copysign(1, a.time-b.time)) })
		free := 1.0
		for i, p := range all {
			if p.event && p.time <= 400 {
				free *= 1 - 1/float64(len(all)-i)
			}
		}
		g := a.Groups[0].Metrics["observed_risk"]
		if exact := 1 - free; g.Bound == nil || exact < g.Estimate-1e-12 || exact > g.Estimate+*g.Bound+1e-12 {
			t.Errorf("the exact risk is %v, that on the grid %v within %v", exact, g.Estimate, *g.Bound)
		}
	}
}

// Fewer than the minimum cell are followed beyond the time: no risk is observed.
func TestTooFewFollowedHaveNoObservedRisk(t *testing.T) {
	f := newFollowed(20, 10, []float64{3, 2}, []float64{5, 5}, 11)
	if f.known() || f.beyond != 5 {
		t.Errorf("%+v", f)
	}
	f = newFollowed(4, 2, []float64{4}, []float64{0}, 0)
	if f.known() {
		t.Error("nobody is followed beyond the time")
	}
}
