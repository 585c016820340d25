package page_test

import (
	"encoding/json"
	"html"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/page/compare"
	"github.com/consilium-fl/consilium/compute/page/pagetest"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

func render(t *testing.T, s *study.Study, r *pipeline.Result) string {
	t.Helper()
	html, err := page.Render(page.Document{Title: s.Title, Version: s.Version, Result: r, Protocol: s, Evidence: []page.Fact{{Name: "release", Value: "00ff"}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(html)
}

// pages of every kind of study, and of a study that ends without a model.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, src := range kinds {
		s, r := complete(t, src)
		if (r.Model == nil) != (s.Model.Kind == study.Describe) {
			t.Fatalf("%s ends without its model: %v", name, r.Diagnoses)
		}
		out[name] = render(t, s, r)
	}
	s, r := complete(t, diagnosed)
	out["diagnosed"] = render(t, s, r)
	return out
}

// diagnosed has two columns that say the same.
var diagnosed = strings.Replace(kinds["gaussian"], `  - {column: b, type: number, range: [-10, 10]}`, `  - {column: twice, type: number, range: [-20, 20]}`+"\n"+`  - {column: b, type: number, range: [-10, 10]}`, 1)

// Nothing in a page runs or is fetched, any reader shows the same, and what a
// researcher writes is text.
func TestPagesHaveNoFaults(t *testing.T) {
	for name, html := range pages(t) {
		for _, fault := range pagetest.Faults(html) {
			t.Errorf("%s: %s", name, fault)
		}
		if strings.Contains(html, "<b>") || strings.Contains(html, "<i>u") || !strings.Contains(html, "Dose &lt;b&gt;of&lt;/b&gt; &#34;a drug&#34; &amp; &lt;script&gt;") {
			t.Errorf("%s does not show its title as text", name)
		}
		if strings.Count(html, "</desc>") != strings.Count(html, `role="img"`) {
			t.Errorf("%s: of its drawings, not all are described", name)
		}
	}
}

// Each page shows its own kind's numbers, as the result has them.
func TestPagesShowTheNumbers(t *testing.T) {
	for name, src := range kinds {
		s, r := complete(t, src)
		html := render(t, s, r)
		wants := []string{"What was asked", "Who is in the data", "consilium audit verify", r.Study, "00ff", "450"}
		number := func(values ...float64) {
			for _, v := range values {
				wants = append(wants, plot.Number(v))
			}
		}
		if m := r.Model; m != nil {
			switch {
			case m.GLM != nil:
				for _, term := range m.GLM.Terms {
					number(term.Estimate, term.StdError, term.Lower, term.Upper)
					if s.Model.Family == study.Binomial || s.Model.Family == study.Poisson {
						number(math.Exp(term.Estimate), math.Exp(term.Lower))
					}
				}
				wants = append(wants, plot.Likelihood(m.GLM.Deviance), plot.Likelihood(m.GLM.AIC))
			case m.Cox != nil:
				if joined := "of the study&#39;s grid: they were joined"; strings.Contains(html, joined) != (s.Model.Stratify == study.StratifyNone) {
					t.Errorf("%s: what is said of joined intervals", name)
				}
				for _, term := range m.Cox.Terms {
					number(term.HazardRatio, term.Lower, term.Upper, term.StdError)
				}
				for _, p := range m.Cox.Baseline {
					number(p.Hazard)
				}
				number(m.Cox.Concordance.Estimate)
				wants = append(wants, "Baseline survival", "Hazard ratio", plot.Likelihood(m.Cox.LogLikelihood))
			case m.Boost != nil:
				for _, i := range m.Boost.Importance {
					number(i.Gain)
				}
				for _, p := range m.Boost.Curve {
					number(p.Loss, *p.HeldOut)
				}
			case m.Neural != nil:
				for _, i := range m.Neural.Importance {
					number(i.Value)
				}
				for _, p := range m.Neural.Curve {
					number(p.Loss)
				}
			}
			for _, knots := range m.Knots {
				number(knots...)
			}
		}
		if v := r.Validation; v != nil {
			for name, x := range v.Metrics {
				if name != "within20" && name != "events" && name != "prevalence" {
					number(x)
				}
			}
			for name, b := range v.Bounds {
				if b > 0 {
					wants = append(wants, plot.Number(b))
				}
				_ = name
			}
			if v.Prediction != nil {
				wants = append(wants, "± "+plot.Number(v.Prediction.HalfWidth))
			}
			for _, b := range v.Calibration {
				if b.N != nil && s.Outcome.Type == study.Number {
					number(*b.Predicted, *b.Actual)
				}
			}
		}
		if d := r.Description; d != nil {
			for _, n := range d.Numbers {
				for _, q := range n.Quantiles {
					number(q.Value)
				}
				for _, b := range n.Histogram {
					wants = append(wants, plot.Percent(b.Share))
				}
			}
			if d.Survival != nil {
				for _, p := range d.Survival.Overall.Points {
					wants = append(wants, plot.Percent(p.Survival), plot.Grouped(*p.AtRisk.N))
				}
				number(d.Survival.Groupings[0].LogRank.ChiSquared)
			}
		}
		for _, want := range wants {
			if !strings.Contains(html, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
	}
}

// Of nine patients nothing is shown: they read "withheld" in every table.
func TestFewPatientsStayWithheld(t *testing.T) {
	for name, html := range pages(t) {
		for _, label := range []string{"c=rare", "g=few"} {
			line := html[strings.Index(html, ">"+label+"<"):]
			if name != "diagnosed" {
				line = html[strings.LastIndex(html, ">"+label+"<"):] // in the cohort
			}
			line, _, _ = strings.Cut(line, "</tr>")
			if !strings.Contains(line, "<em>withheld</em>") || strings.ContainsAny(strings.ReplaceAll(line, label, ""), "0123456789") {
				t.Errorf("%s: %s reads %s", name, label, line)
			}
		}
	}
	for _, name := range []string{"describe", "tables"} {
		s, r := complete(t, kinds[name])
		html := render(t, s, r)
		suppressed := 0
		for _, table := range r.Description.CrossTables {
			for _, line := range table.Cells {
				for _, c := range line {
					if c.N == nil {
						suppressed++
					}
				}
			}
		}
		cross := html[strings.Index(html, "Cross tables"):strings.Index(html, "Who is in the data")]
		if got := strings.Count(cross, "<em>withheld</em>"); suppressed == 0 || got != suppressed {
			t.Errorf("%s: %d cells of cross tables are withheld, the page shows %d", name, suppressed, got)
		}
	}
}

// A study that the data does not answer has a page that says why.
func TestADiagnosisIsExplained(t *testing.T) {
	s, r := complete(t, diagnosed)
	if html := render(t, s, r); r.Model != nil || !strings.Contains(html, "Why there is no model") || !strings.Contains(html, strings.Split(r.Diagnoses[0].Message, "'")[0][:20]) {
		t.Errorf("diagnoses %v", r.Diagnoses)
	}
	if _, err := page.Render(page.Document{Result: &pipeline.Result{}}); err == nil {
		t.Error("a page of nothing")
	}
}

// The page is made of what result.json holds, and of nothing else.
func TestPageIsAFunctionOfTheResult(t *testing.T) {
	for name, src := range kinds {
		s, r := complete(t, src)
		encoded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back pipeline.Result
		if err := json.Unmarshal(encoded, &back); err != nil {
			t.Fatal(err)
		}
		if render(t, s, r) != render(t, s, &back) {
			t.Errorf("%s: the page of the decoded result differs", name)
		}
		if html, err := page.Render(page.Document{Result: &back}); err != nil || !strings.Contains(string(html), "What was asked") {
			t.Errorf("%s: no page without the protocol: %v", name, err)
		}
	}
}

// A result comes from a coordinator, which is not trusted: whatever finite
// numbers it holds, there is a page of bounded size or an error.
func TestAnyNumbersMakeAPage(t *testing.T) {
	for name, src := range kinds {
		s, r := complete(t, src)
		encoded, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{"0", "-1", "1e300", "-1e308", "5e-324"} {
			for _, key := range []string{"estimate", "std_error", "hazard_ratio", "lower", "upper", "survival", "time", "loss", "gain", "value", "predicted", "actual", "half_width", "from", "to", "share", "mean", "sd", "round", "correlation", "n"} {
				spoilt := regexp.MustCompile(`"`+key+`":-?[0-9.e+-]+`).ReplaceAll(encoded, []byte(`"`+key+`":`+value))
				var back pipeline.Result
				if json.Unmarshal(spoilt, &back) != nil {
					continue
				}
				html, err := page.Render(page.Document{Result: &back, Protocol: s})
				if err == nil && (len(html) > 1<<20 || strings.Contains(string(html), "NaN\"")) {
					t.Errorf("%s with %s %s: a page of %d bytes", name, key, value, len(html))
				}
			}
		}
	}
}

// Every diagnosis that a study can end with is explained.
func TestEveryDiagnosisHasAdvice(t *testing.T) {
	_, r := complete(t, kinds["gaussian"])
	for _, kind := range []string{compute.Separation, compute.Collinearity, compute.EmptyLevel, compute.TooFewPatients, compute.NoConvergence, compute.ConstantTarget,
		compute.PerfectFit, compute.NoValidation, compute.Divergence, compute.ClippedUpdate, compute.NoSplit, compute.UnusedColumn} {
		with, without := *r, *r
		with.Diagnoses = []compute.Diagnosis{{Kind: kind, Message: "m"}}
		without.Diagnoses = []compute.Diagnosis{{Kind: strings.Repeat("x", len(kind)), Message: "m"}}
		a, err := page.Render(page.Document{Result: &with})
		b, _ := page.Render(page.Document{Result: &without})
		if err != nil || len(a) <= len(b)+20 {
			t.Errorf("%s is not explained", kind)
		}
	}
}

// The page of a comparison has both sides' numbers, is well formed, and says
// what is not alike.
func TestComparisonPage(t *testing.T) {
	subject := func(name string) compare.Subject {
		s, r := complete(t, kinds[name])
		return compare.Subject{Name: name, Title: s.Title, Result: r, Gaps: r.Audit.Gaps, Protocol: s}
	}
	for _, pair := range [][2]string{{"gaussian", "curves"}, {"gaussian", "boost"}, {"boost", "neural"}, {"cox", "pooled"}, {"binomial", "binomial"}} {
		a, b := subject(pair[0]), subject(pair[1])
		c, err := compare.Studies(a, b)
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := page.RenderComparison(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, fault := range pagetest.Faults(string(encoded)) {
			t.Errorf("%v: %s", pair, fault)
		}
		html := html.UnescapeString(string(encoded))
		if strings.Contains(string(encoded), "<script>alert") || strings.Contains(html, "NaN") || strings.Contains(html, "%!") || c.Fair != (pair[0] == pair[1]) {
			t.Errorf("%v: fair %v: %v", pair, c.Fair, c.Why)
		}
		for _, why := range c.Why {
			if !strings.Contains(html, why) {
				t.Errorf("%v: the page does not say that %s", pair, why)
			}
		}
		for _, x := range c.Coefficients {
			if x.Difference != nil && !strings.Contains(html, page.Signed(*x.Difference, plot.Number)) {
				t.Errorf("%v: the page lacks the difference of %s", pair, x.Name)
			}
		}
		for _, m := range c.Metrics {
			if m.A != nil && m.Name != "within20" && m.Name != "events" && m.Name != "prevalence" && !strings.Contains(html, plot.Number(m.A.Estimate)) {
				t.Errorf("%v: the page lacks %s", pair, m.Name)
			}
		}
	}
}
