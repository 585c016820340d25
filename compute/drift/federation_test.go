package drift

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// protocol of a study that watches a model of a binary outcome.
const protocol = `
study: watch
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: marker, type: number, range: [-4, 4]}
  - {column: ward, type: category, levels: [a, b, c]}
model: {kind: glm, family: binomial}
fairness:
  disclosure: primary
  minimum_cell: 11
  largest_share: 0.85
  attributes:
    - {column: sex, levels: [f, m]}
monitor:
  release: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  periods: {column: visit, type: date, from: 2026-01-01, every: 30d, times: 8}
`

func parse(t testing.TB, src string) *study.Study {
	t.Helper()
	s, err := study.Parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// patientsOf are made-up patients of one window.
type patientsOf struct {
	window, site int
	n            int
	shift        float64 // of the marker
	drift        float64 // of the log odds, beyond what the model expects
	sex          string
}

// hospital is a matrix and what the installed model says of it: the truth, but
// for a drift.
type hospital struct {
	records  *study.Matrix
	forecast Forecast
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// hospitals makes up the records of so many.
func hospitals(t testing.TB, s *study.Study, r *rand.Rand, many int, groups []patientsOf) []hospital {
	t.Helper()
	out := make([]hospital, many)
	builders := make([]*study.Builder, many)
	for i := range builders {
		var err error
		if builders[i], err = s.NewBuilder([]string{"visit", "y", "marker", "ward", "sex", "time"}); err != nil {
			t.Fatal(err)
		}
	}
	for _, g := range groups {
		from, _ := s.Monitor.Window(g.window)
		for range g.n {
			marker := max(-4, min(4, g.shift+r.NormFloat64()))
			p := logistic(-1 + 0.8*marker)
			y, value := 0, ""
			if r.Float64() < logistic(-1+0.8*marker+g.drift) {
				y = 1
			}
			value = strconv.Itoa(y)
			switch s.Outcome.Type {
			case study.Number:
				dose := max(1, min(99, 40+10*marker+5*g.drift+6*r.NormFloat64()))
				p, value = 40+10*marker, fmt.Sprint(dose)
			case study.Count:
				p = math.Exp(0.5 + 0.3*marker)
				value = strconv.Itoa(poissonDraw(r, math.Exp(0.5+0.3*marker+g.drift)))
			}
			time := "1"
			if s.Outcome.Type == study.Survival {
				p = 0.5 * marker // log hazard, of the baseline below
				at := r.ExpFloat64() / (baseline * math.Exp(0.5*marker+g.drift))
				censored := 3 + 9*r.Float64()
				value = "1"
				if at > censored {
					value = "0"
				}
				time = fmt.Sprint(max(0.001, min(at, censored, 11.9)))
				if at > 11.9 {
					value = "0"
				}
			}
			sex := g.sex
			if sex == "" {
				sex = []string{"f", "m"}[r.IntN(2)]
			}
			builders[g.site].Add([]string{from + "T10:00:00Z", value, fmt.Sprint(marker), []string{"a", "b", "c"}[r.IntN(3)], sex, time})
			out[g.site].forecast.Values = append(out[g.site].forecast.Values, p)
		}
	}
	for i := range out {
		out[i].records = builders[i].Matrix()
		out[i].forecast.Survival = func(logHazard, time float64) float64 {
			return math.Exp(-baseline * time * math.Exp(logHazard))
		}
		if out[i].records.Rows() != len(out[i].forecast.Values) {
			t.Fatalf("%d records, %d predictions: %v", out[i].records.Rows(), len(out[i].forecast.Values), builders[i].Skipped())
		}
	}
	return out
}

const baseline = 0.08

func poissonDraw(r *rand.Rand, mean float64) int {
	n, p := 0, r.Float64()
	for p > math.Exp(-mean) {
		n++
		p *= r.Float64()
	}
	return n
}

// steady are so many patients in every window at every hospital.
func steady(s *study.Study, sites, n int) (out []patientsOf) {
	for w := range s.Monitor.Windows() {
		for site := range sites {
			out = append(out, patientsOf{window: w, site: site, n: n})
		}
	}
	return out
}

// federate runs the windows to their end.
func federate(t testing.TB, s *study.Study, sites []hospital) *Report {
	t.Helper()
	return federateBut(t, s, sites, func(int, string) bool { return false })
}

// federateBut runs the windows without those that are missed at a step.
func federateBut(t testing.TB, s *study.Study, sites []hospital, missed func(window int, step string) bool) *Report {
	t.Helper()
	session := New(s)
	for range 3*s.Monitor.Windows() + 1 {
		q, done, err := session.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			if session.Miss(TooFew) == nil {
				t.Error("a window was missed after the last one")
			}
			return session.Report()
		}
		if window, _ := session.Window(); missed(window, q.Step) {
			if err := session.Miss(TooFew); err != nil {
				t.Fatal(err)
			}
			continue
		}
		layout, err := Layout(s, q.Step, q.Parameters)
		if err != nil || !reflect.DeepEqual(layout, q.Layout) {
			t.Fatalf("step %s: a site computes another layout than the coordinator: %v", q.Step, err)
		}
		var totals []float64
		for _, h := range sites {
			values, err := Answer(s, q.Step, q.Parameters, h.records, h.forecast)
			if err != nil {
				t.Fatal(err)
			}
			at := 0
			for _, f := range layout {
				for range f.Length {
					if math.Abs(values[at]) > f.Bound {
						t.Fatalf("field %s passes its bound", f.Name)
					}
					at++
				}
			}
			if totals == nil {
				totals = make([]float64, len(values))
			}
			for i, v := range values {
				totals[i] += v
			}
		}
		sum, err := compute.NewSum(len(sites), layout, totals)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the windows do not end")
	return nil
}

func group(t testing.TB, r *Report, attribute, level string) Group {
	t.Helper()
	for _, g := range r.Groups {
		if g.Attribute == attribute && g.Level == level {
			return g
		}
	}
	t.Fatalf("no group %s %s", attribute, level)
	return Group{}
}

var outcomes = map[string]func(string) string{
	"binary": func(p string) string { return p },
	"count": func(p string) string {
		p = strings.Replace(p, `type: binary, positive: ["1"]`, "type: count, range: [0, 60]", 1)
		return strings.Replace(p, "binomial", "poisson", 1)
	},
	"dose": func(p string) string {
		p = strings.Replace(p, `type: binary, positive: ["1"]`, "type: number, range: [1, 99], unit: mg", 1)
		return strings.Replace(p, "binomial", "gaussian", 1) + "  margin: 2\n"
	},
	"survival": func(p string) string {
		p = strings.Replace(p, `{column: y, type: binary, positive: ["1"]}`,
			`{type: survival, time: {column: time, range: [0, 12], grid: {step: 0.05}}, event: {column: y, positive: ["1"]}}`, 1)
		return strings.Replace(p, "{kind: glm, family: binomial}", "{kind: cox, stratify: none}", 1)
	},
}

// Rule: what hospitals find together is what one would find with all records.
func TestFederatedIsPooled(t *testing.T) {
	for name, of := range outcomes {
		t.Run(name, func(t *testing.T) {
			src := strings.Replace(of(protocol), "minimum_cell: 11", "minimum_cell: 11\n  minimum_sites: 1", 1)
			src = strings.Replace(src, "largest_share: 0.85", "largest_share: 1", 1)
			s := parse(t, src)
			groups := steady(s, 4, 40)
			apart := federate(t, s, hospitals(t, s, rand.New(rand.NewPCG(1, 2)), 4, groups))
			for i := range groups {
				groups[i].site = 0
			}
			pooled := federate(t, s, hospitals(t, s, rand.New(rand.NewPCG(1, 2)), 1, groups))
			for g := range pooled.Groups {
				for w := range pooled.Groups[g].Points {
					a, b := apart.Groups[g].Points[w], pooled.Groups[g].Points[w]
					if (a.Z == nil) != (b.Z == nil) || a.Z != nil && math.Abs(*a.Z-*b.Z) > 1e-9 {
						t.Fatalf("group %d, window %d: deviation %v, pooled %v", g, w, *a.Z, *b.Z)
					}
					// Histograms are whole numbers: what is made of them is the same to the bit.
					if !reflect.DeepEqual(a.Shifts, b.Shifts) || !reflect.DeepEqual(a.N, b.N) {
						t.Fatalf("group %d, window %d: shifts differ", g, w)
					}
				}
			}
			if apart.Verdict != pooled.Verdict {
				t.Errorf("%s, pooled %s", apart.Verdict, pooled.Verdict)
			}
		})
	}
}

// Rule: observed, expected and their ratio are those of the records.
func TestRatioIsThatOfTheRecords(t *testing.T) {
	s := parse(t, protocol)
	sites := hospitals(t, s, rand.New(rand.NewPCG(5, 5)), 3, steady(s, 3, 60))
	report := federate(t, s, sites)
	observed, expected, variance := 0.0, 0.0, 0.0
	for _, h := range sites {
		for i := range h.records.Rows() {
			if p := h.forecast.Values[i]; h.records.Window(i) == 3 && h.records.Group(i, 0) == 1 {
				observed, expected, variance = observed+h.records.Outcome(i), expected+p, variance+p*(1-p)
			}
		}
	}
	p := group(t, report, "sex", "m").Points[3]
	if math.Abs(p.Ratio.Estimate-observed/expected) > 1e-12 || math.Abs(*p.Z-(observed-expected)/math.Sqrt(variance)) > 1e-9 {
		t.Errorf("ratio %v and deviation %v, want %v and %v", p.Ratio.Estimate, *p.Z, observed/expected, (observed-expected)/math.Sqrt(variance))
	}
}

// Rule: a planted drift of the outcomes in one group is found there, as soon as
// the report says it is; a planted shift of a feature is found in the feature.
func TestPlantedDriftIsFound(t *testing.T) {
	for name, of := range outcomes {
		t.Run(name, func(t *testing.T) {
			s := parse(t, of(protocol))
			var groups []patientsOf
			for _, g := range steady(s, 4, 100) {
				g.sex = "f"
				groups = append(groups, g)
				g.sex = "m"
				if g.window >= 3 {
					g.drift = 0.8
				}
				groups = append(groups, g)
			}
			report := federate(t, s, hospitals(t, s, rand.New(rand.NewPCG(3, 4)), 4, groups))
			m, f := group(t, report, "sex", "m"), group(t, report, "sex", "f")
			if report.Verdict != Alert || m.Verdict != Alert || f.Verdict != NoAlert {
				t.Errorf("verdict %q, of m %q, of f %q (%s)", report.Verdict, m.Verdict, f.Verdict, f.Why)
			}
			for _, alert := range report.Alerts {
				if alert.Level == "m" && (alert.Chart != "cusum" || alert.Direction != "up" || alert.Window < 3 || alert.Window > 5) {
					t.Errorf("the drift begins in window 3 and the alert is %+v", alert)
				}
			}
		})
	}
}

func TestPlantedShiftIsFound(t *testing.T) {
	s := parse(t, protocol)
	groups := steady(s, 4, 150)
	for i := range groups {
		if groups[i].window >= 5 {
			groups[i].shift = 1.2
		}
	}
	report := federate(t, s, hospitals(t, s, rand.New(rand.NewPCG(8, 4)), 4, groups))
	for i, p := range group(t, report, "all", "all").Points {
		found := map[string]string{}
		for _, shift := range p.Shifts {
			found[shift.Of] = shift.Verdict
		}
		want := map[string]string{"prediction": NoAlert, "marker": NoAlert, "ward": NoAlert}
		if i >= 5 {
			want["prediction"], want["marker"] = Alert, Alert
		}
		if i == 0 {
			want = map[string]string{}
		}
		if !reflect.DeepEqual(found, want) {
			t.Errorf("window %d: %v, want %v", i, found, want)
		}
	}
	// The model still knows these patients: no drift of the outcomes.
	for _, alert := range report.Alerts {
		if alert.Chart != "psi" {
			t.Errorf("patients changed, not outcomes: %+v", alert)
		}
	}
}

// Rule: the false-alarm rate is the stated one, and a drift of the size that the
// report names is found after as many windows as it says: over seeded runs of the
// whole computation.
func TestRatesOverSeededRuns(t *testing.T) {
	const runs = 80
	s := parse(t, strings.Replace(protocol, "times: 8", "times: 12", 1))
	r := rand.New(rand.NewPCG(77, 1))
	alarms, shifted, after, stated := 0.0, 0.0, 0.0, 0.0
	for range runs {
		quiet := federate(t, s, hospitals(t, s, r, 3, steady(s, 3, 20)))
		is := func(chart string) func(Signal) bool {
			return func(a Signal) bool { return a.Chart == chart && (chart == "psi" || a.Level == "all") }
		}
		if slices.ContainsFunc(quiet.Alerts, is("cusum")) {
			alarms++
		}
		if slices.ContainsFunc(quiet.Alerts, is("psi")) {
			shifted++
		}
		stated = quiet.Limits.FalseAlarm
	}
	if rate := alarms / runs; math.Abs(rate-stated) > 3.5*math.Sqrt(stated*(1-stated)/runs) {
		t.Errorf("false alarms in %.3f of runs, %.3f stated", rate, stated)
	}
	if rate := shifted / runs; rate > 0.05+3.5*math.Sqrt(0.05*0.95/runs) {
		t.Errorf("an index calls in %.3f of runs without a shift, at most 0.05 stated", rate)
	}
	for range runs {
		groups := steady(s, 3, 20)
		for i := range groups {
			groups[i].drift = 0.28 // about a fifth more events
		}
		report := federate(t, s, hospitals(t, s, r, 3, groups))
		all := group(t, report, "all", "all")
		stated = *all.FoundAfter
		for i, p := range all.Points {
			if *p.Up > s.Monitor.H || *p.Down > s.Monitor.H || i == len(all.Points)-1 {
				after += float64(i+1) / runs
				break
			}
		}
	}
	if math.Abs(after-stated) > 0.2*stated {
		t.Errorf("found after %.2f windows, %.2f stated", after, stated)
	}
}

// Rule: a group that is too small in a window, at too few hospitals, or nearly
// all at one has no figures there, not even its size, and zero is told apart.
func TestSuppression(t *testing.T) {
	s := parse(t, protocol)
	groups := []patientsOf{}
	for _, g := range steady(s, 4, 40) {
		g.sex = "f"
		groups = append(groups, g)
	}
	for site := range 4 {
		groups = append(groups,
			patientsOf{window: 0, site: site, n: 20, sex: "m"},
			patientsOf{window: 1, site: site, n: 2, sex: "m"})
	}
	groups = append(groups,
		patientsOf{window: 2, site: 0, n: 30, sex: "m"}, patientsOf{window: 2, site: 1, n: 30, sex: "m"}, // two hospitals
		patientsOf{window: 3, site: 0, n: 98, sex: "m"}, patientsOf{window: 3, site: 1, n: 1, sex: "m"}, patientsOf{window: 3, site: 2, n: 1, sex: "m"}, // nearly all at one
		patientsOf{window: 5, site: 0, n: 4, sex: "x"}, patientsOf{window: 5, site: 1, n: 4, sex: "x"}, patientsOf{window: 5, site: 2, n: 4, sex: "x"})
	report := federate(t, s, hospitals(t, s, rand.New(rand.NewPCG(1, 1)), 4, groups))
	m := group(t, report, "sex", "m")
	for i, want := range []string{OK, Suppressed, Suppressed, Suppressed, Zero, Zero, Zero, Zero} {
		p := m.Points[i]
		if p.State != want {
			t.Errorf("window %d: %s, want %s", i, p.State, want)
		}
		if p.State == Suppressed {
			if data, _ := json.Marshal(p); string(data) != `{"state":"suppressed"}` {
				t.Errorf("window %d shows %s", i, data)
			}
		}
	}
	if m.Verdict != Insufficient {
		t.Errorf("one window is %q", m.Verdict)
	}
	if u := group(t, report, "sex", "unknown").Points[5]; u.State != OK || *u.N != 12 {
		t.Errorf("undeclared values are the group unknown: %+v", u)
	}
}

// Rule: with complementary disclosure the size of a group that is withheld cannot
// be had as the whole less the others, and a share of a few is not shown.
func TestComplementary(t *testing.T) {
	s := parse(t, strings.Replace(protocol, "disclosure: primary", "disclosure: complementary", 1))
	var groups []patientsOf
	for _, g := range steady(s, 4, 40) {
		g.sex = "f"
		groups = append(groups, g)
	}
	for site := range 4 {
		groups = append(groups, patientsOf{window: 2, site: site, n: 2, sex: "m"}, patientsOf{window: 4, site: site, n: 40, sex: "m", drift: -2.6})
	}
	report := federate(t, s, hospitals(t, s, rand.New(rand.NewPCG(1, 1)), 4, groups))
	if p := group(t, report, "sex", "f").Points[2]; p.State != Suppressed || p.N != nil {
		t.Errorf("the whole less this group is the other one: %+v", p)
	}
	if p := group(t, report, "sex", "m").Points[4]; p.State != OK || p.Ratio != nil || p.Z != nil || p.Error != nil {
		t.Errorf("hardly anybody has the outcome, and the figures tell who: %+v", p)
	}
}

// Rule: small groups are never asked for: nothing of them is part of a vector.
func TestSmallGroupsAreNotPartOfAVector(t *testing.T) {
	s := parse(t, protocol)
	sites := hospitals(t, s, rand.New(rand.NewPCG(1, 1)), 4, []patientsOf{{site: 0, n: 60, sex: "f"}, {site: 1, n: 60, sex: "f"}, {site: 2, n: 60, sex: "f"}, {site: 3, n: 4, sex: "m"}})
	session := New(s)
	for {
		q, _, err := session.Next()
		if err != nil {
			t.Fatal(err)
		}
		var asked question
		if err := json.Unmarshal(q.Parameters, &asked); err != nil {
			t.Fatal(err)
		}
		if q.Step == StepWindow {
			if !reflect.DeepEqual(asked.Cells, []int{0, 1}) { // all, f
				t.Errorf("asked about %v", asked.Cells)
			}
			return
		}
		var totals []float64
		for _, h := range sites {
			values, _ := Answer(s, q.Step, q.Parameters, h.records, h.forecast)
			if totals == nil {
				totals = make([]float64, len(values))
			}
			for i := range values {
				totals[i] += values[i]
			}
		}
		sum, _ := compute.NewSum(4, q.Layout, totals)
		if err := session.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
}

// Rule: a site refuses parameters that the study does not lead to.
func TestHostileParameters(t *testing.T) {
	s := parse(t, protocol)
	h := hospitals(t, s, rand.New(rand.NewPCG(1, 1)), 1, steady(s, 1, 5))[0]
	for _, c := range []struct{ step, parameters string }{
		{StepSizes, `{"window":-1}`}, {StepSizes, `{"window":8}`}, {StepSizes, `{"window":0,"cells":[0]}`}, {StepSizes, ``},
		{StepSizes, ` {"window":0}`}, {StepSizes, `{"window":0,"more":1}`}, {StepSizes, `{"window":0} `}, {StepSizes, `{"window":1e400}`},
		{StepWindow, `{"window":0}`}, {StepWindow, `{"window":0,"cells":[1]}`}, {StepWindow, `{"window":0,"cells":[0,0]}`},
		{StepWindow, `{"window":0,"cells":[0,2,1]}`}, {StepWindow, `{"window":0,"cells":[0,4]}`}, {StepWindow, `{"window":0,"cells":[]}`},
		{StepWindow, `{"window":0,"cells":[0],"patients":[50]}`}, {StepWindow, `{"window":0,"cells":[0,-1]}`},
		{StepShares, `{"window":0,"cells":[0]}`}, {StepShares, `{"window":0,"cells":[0],"patients":[10]}`},
		{StepShares, `{"window":0,"cells":[0],"patients":[50,50]}`}, {StepShares, `{"window":9,"cells":[0],"patients":[50]}`},
	} {
		if _, err := Layout(s, c.step, []byte(c.parameters)); err == nil {
			t.Errorf("%s %s: a layout", c.step, c.parameters)
		}
		if _, err := Answer(s, c.step, []byte(c.parameters), h.records, h.forecast); err == nil {
			t.Errorf("%s %s: answered", c.step, c.parameters)
		}
	}
	if _, err := Answer(s, StepSizes, []byte(`{"window":0}`), h.records, Forecast{}); err == nil {
		t.Error("answered without predictions")
	}
}
