package web

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	resultpage "github.com/consilium-fl/consilium/compute/page"
	"github.com/consilium-fl/consilium/compute/page/compare"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

// comparison is two bias audits side by side, and the form that chooses them.
type comparison struct {
	Choices  []studyLine // that have a report
	A, B     string      // chosen digests, empty if not yet
	Sides    [][3]string // name of a line, A, B
	Why      []string    // not like with like
	Criteria []criterionLine
	Metrics  []metricTable
	Gaps     []gapLine
	Both     bool
}

// metricTable is one measure over all groups.
type metricTable struct {
	Title, Meaning string
	Rows           []metricLine
}

type metricLine struct {
	Group  string
	A, B   figure
	Change string
}

// figure is an estimate, or the reason why there is none.
type figure struct {
	Text, Interval string
	None           bool
	value          *float64
}

// gapLine is a gap between the same groups in both reports.
type gapLine struct {
	Measure, Group         string
	ReferenceA, ReferenceB string
	A, B                   verdict
	Changed                bool
}

// criterionLine is what both reports say of one declared criterion; empty words
// where a study did not declare it.
type criterionLine struct {
	Measure, Attribute, Margin string
	A, B                       string
	SentenceA, SentenceB       string
	EffectA, EffectB           string // on the release
	Changed                    bool
}

type verdict struct{ Size, Interval, Word string }

func (s *site) compare(w http.ResponseWriter, r *http.Request) error {
	c := comparison{A: r.URL.Query().Get("a"), B: r.URL.Query().Get("b")}
	for _, st := range s.driver.List() {
		if line := newStudyLine(st); line.Reported {
			c.Choices = append(c.Choices, line)
		}
	}
	f := s.frame(r, "Compare", "What differs between two reports")
	if c.A != "" && c.B != "" {
		a, err := s.reported(c.A)
		if err != nil {
			return err
		}
		b, err := s.reported(c.B)
		if err != nil {
			return err
		}
		if err := s.fill(&c, a, b); err != nil {
			return err
		}
		f.Lead = "A is " + titleOf(a.Status) + ". B is " + titleOf(b.Status) + "."
	}
	f.Page = c
	return write(w, http.StatusOK, "compare", f)
}

func (s *site) fill(c *comparison, a, b *published) error {
	studies, err := s.beside(a, b)
	if err != nil {
		return err
	}
	c.Both, c.Why = true, studies.Why
	x, y := a.found.Audit, b.found.Audit
	side := func(name string, of func(p *published) string) {
		c.Sides = append(c.Sides, [3]string{name, of(a), of(b)})
	}
	side("Study", func(p *published) string {
		return fmt.Sprintf("%s, version %d", p.found.Audit.Name, p.found.Audit.Version)
	})
	side("Digest", func(p *published) string { return p.found.Audit.Study })
	side("Outcome", func(p *published) string { return unitIn(p.found.Audit.Outcome, p.found.Audit.Unit) })
	side("Hospitals", func(p *published) string { return plot.Grouped(p.found.Audit.Contributors) })
	side("Patients", func(p *published) string {
		if p.found.Audit.Noise != nil {
			return "≈ " + plot.Grouped(p.found.Audit.N) + ", a noisy count"
		}
		return plot.Grouped(p.found.Audit.N)
	})
	side("Groups are shown from", func(p *published) string { return plot.Plural(p.found.Audit.MinimumCell, "patient", "patients") })
	side("By its criteria the release is", func(p *published) string { return newStudyLine(p.Status).GateWord() })
	side("Overridden by", func(p *published) string {
		if o := p.Status.Override; o != nil {
			return fmt.Sprintf("%s, on %s: “%s”", o.Auditor, o.Time.UTC().Format("2 January 2006"), o.Reason)
		}
		return "nobody"
	})
	side("Intersections", func(p *published) string { return intersections(p.found.Audit) })
	side("Patients had been seen by the model", func(p *published) string {
		if p.found.Audit.Unseen {
			return "no"
		}
		return "yes"
	})
	unit := ""
	if x.Unit == y.Unit {
		unit = x.Unit
	}
	c.Criteria, c.Metrics, c.Gaps = criteriaBeside(x, y), metricsBeside(x, y, unit), gapsBeside(x, y)
	return nil
}

// intersections lists the combinations of attributes that a report looks at.
func intersections(a *fairness.Audit) string {
	var names []string
	for _, g := range a.Groups {
		if strings.Contains(g.Attribute, " × ") && !slices.Contains(names, g.Attribute) {
			names = append(names, g.Attribute)
		}
	}
	if names == nil {
		return "none were examined"
	}
	return strings.Join(names, ", ")
}

func unitIn(name, unit string) string {
	if unit == "" {
		return name
	}
	return name + ", " + unit
}

// beside compares the studies behind two reports.
func (s *site) beside(a, b *published) (*compare.Comparison, error) {
	var subjects [2]compare.Subject
	for i, p := range []*published{a, b} {
		protocol, err := s.protocol(p)
		if err != nil {
			return nil, err
		}
		subjects[i] = compare.Subject{
			Name: p.Status.Name, Title: p.Status.Title, Version: p.Status.Version,
			Result: p.found, Gaps: p.found.Audit.Gaps, Protocol: protocol,
		}
	}
	return compare.Studies(subjects[0], subjects[1])
}

// compareModels is the page of package compute/page about the two models.
func (s *site) compareModels(w http.ResponseWriter, r *http.Request) error {
	a, err := s.reported(r.URL.Query().Get("a"))
	if err != nil {
		return err
	}
	b, err := s.reported(r.URL.Query().Get("b"))
	if err != nil {
		return err
	}
	c, err := s.beside(a, b)
	if err != nil {
		return err
	}
	html, err := resultpage.RenderComparison(c)
	if err != nil {
		return err
	}
	return document(w, html)
}

// measure says how a metric is shown.
type measure struct {
	title, meaning string
	text           func(float64) string
}

// rates are the shares that only the audit has, between 0 and 1.
var rates = map[string]string{
	"tpr": "True positive rate", "fnr": "False negative rate", "fpr": "False positive rate", "tnr": "True negative rate",
	"ppv": "Positive predictive value", "npv": "Negative predictive value", "fdr": "False discovery rate", "for": "False omission rate",
	"accuracy": "Accuracy", "selection_rate": "Called positive", "calibration_in_the_large": "Predicted minus observed",
	"predicted_risk": "Predicted risk", "observed_risk": "Observed risk", "event_share": "With the event",
}

// percentages are those that the audit gives in percent.
var percentages = map[string]string{
	"within10": "Within 10%", "within30": "Within 30%", "under20": "More than 20% too low", "over20": "More than 20% too high",
	"same_band": "In the same band", "interval_coverage": "Inside the interval", "above_interval": "Above the interval", "below_interval": "Below the interval",
}

// numbers are figures on scales of their own.
var numbers = map[string]string{
	"oe": "Observed over expected", "observed_over_expected": "Observed over expected", "calibration_intercept": "Calibration intercept",
	"ndcg": "NDCG", "ndcg_adjusted": "Gain beyond chance", "ndcg_by_chance": "NDCG by chance",
	"pr_auc": "Average precision", "ece": "Mean calibration error", "mce": "Largest calibration error", "hosmer_lemeshow": "Hosmer-Lemeshow",
	"hosmer_lemeshow_p": "Hosmer-Lemeshow p", "f1": "F1", "mcc": "Matthews' correlation", "gei": "Generalised entropy", "theil": "Theil index",
	"log_loss": "Log loss", "mse": "Mean squared error", "mean_actual": "Mean outcome", "mean_predicted": "Mean prediction",
	"fold_error": "Fold error", "log_fold_error": "Mean log of predicted over actual", "agreement_lower": "Lower limit of agreement", "agreement_upper": "Upper limit of agreement",
	"absolute_error_p10": "Absolute error, 10% below", "absolute_error_p25": "Absolute error, 25% below", "absolute_error_p50": "Absolute error, median",
	"absolute_error_p75": "Absolute error, 75% below", "absolute_error_p90": "Absolute error, 90% below",
	"correlation": "Correlation", "interval_width": "Width of the interval", "interval_score": "Interval score",
}

func measureOf(name, unit string) measure {
	known := map[string]resultpage.Metric{}
	for _, m := range resultpage.Metrics {
		known[m.Name] = m
	}
	if m, ok := known[name]; ok {
		return measure{m.Heading(unit), m.Meaning, m.Text}
	}
	if title, ok := percentages[name]; ok {
		return measure{title: title, text: known["within20"].Text}
	}
	// The same rate is given at several thresholds: tpr, tpr_at_prevalence.
	base, at, several := strings.Cut(name, "_at_")
	if title, ok := rates[base]; ok {
		if several {
			title += " at threshold " + at
		}
		return measure{title: title, text: plot.Percent}
	}
	if title, ok := numbers[base]; ok {
		if several {
			title += " at " + at
		}
		return measure{title: title, text: plot.Number}
	}
	return measure{title: name, text: plot.Number}
}

// metricsBeside is a table for each metric that either audit has, over the
// groups of both.
func metricsBeside(a, b *fairness.Audit, unit string) []metricTable {
	type key struct{ attribute, level string }
	in := [2]map[key]fairness.Group{{}, {}}
	var groups []key
	names := map[string]bool{}
	for i, audit := range []*fairness.Audit{a, b} {
		for _, g := range audit.Groups {
			k := key{g.Attribute, g.Level}
			if _, known := in[0][k]; !known || i == 0 {
				groups = append(groups, k)
			}
			in[i][k] = g
			for name := range g.Metrics {
				names[name] = true
			}
		}
	}
	var tables []metricTable
	for _, name := range ordered(names) {
		m := measureOf(name, unit)
		t := metricTable{Title: m.title, Meaning: m.meaning}
		for _, k := range groups {
			line := metricLine{Group: groupName(k.attribute, k.level)}
			for i, into := range []*figure{&line.A, &line.B} {
				g, there := in[i][k]
				*into = figureOf(g, there, name, m)
			}
			line.Change = "–"
			if line.A.value != nil && line.B.value != nil {
				line.Change = inPoints(resultpage.Signed(*line.B.value-*line.A.value, m.text))
			}
			t.Rows = append(t.Rows, line)
		}
		tables = append(tables, t)
	}
	return tables
}

// inPoints writes a difference of shares: 20% less 15% is five points, which is not
// 5% of anything.
func inPoints(difference string) string {
	if !strings.Contains(difference, "%") {
		return difference
	}
	return strings.ReplaceAll(difference, "%", "") + " points"
}

func groupName(attribute, level string) string {
	if attribute == fairness.All {
		return "All patients"
	}
	return attribute + ", " + level
}

// ordered puts the metrics that are shown first everywhere first.
func ordered(names map[string]bool) []string {
	place := map[string]int{}
	for i, m := range resultpage.Metrics {
		place[m.Name] = i - len(resultpage.Metrics)
	}
	return slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		return cmp.Or(cmp.Compare(place[a], place[b]), cmp.Compare(a, b))
	})
}

func figureOf(g fairness.Group, there bool, name string, m measure) figure {
	if !there {
		return figure{Text: "not in this report", None: true}
	}
	x, ok := g.Metrics[name]
	switch {
	case g.State == fairness.Suppressed, slices.Contains(g.Withheld, name):
		return figure{Text: "withheld", None: true}
	case g.State == fairness.Merged:
		return figure{Text: "counted with another group", None: true}
	case g.State == fairness.Zero:
		return figure{Text: "no patients", None: true}
	case !ok:
		return figure{Text: cmp.Or(g.Undefined[name], "not estimable"), None: true}
	}
	// What is zero but for rounding reads as zero.
	if x.Lower != nil && x.Upper != nil && math.Abs(x.Estimate) < 1e-9*(*x.Upper-*x.Lower) {
		x.Estimate = 0
	}
	f := figure{Text: m.text(x.Estimate), value: &x.Estimate}
	if x.Lower != nil && x.Upper != nil {
		f.Interval = m.text(*x.Lower) + " to " + m.text(*x.Upper)
	}
	return f
}

// criteriaBeside pairs the criteria that the studies have declared.
func criteriaBeside(a, b *fairness.Audit) []criterionLine {
	type key struct {
		metric, attribute, kind string
		margin                  float64
	}
	index := map[key]int{}
	var lines []criterionLine
	at := func(j fairness.Judged) *criterionLine {
		k := key{j.Metric, j.Attribute, j.Kind, j.Margin}
		i, known := index[k]
		if !known {
			i = len(lines)
			index[k] = i
			l := criterionLine{Measure: measureOf(j.Metric, "").title, Attribute: j.Attribute, Margin: marginOf(j)}
			if j.Attribute == fairness.All {
				l.Attribute = "every attribute"
			}
			lines = append(lines, l)
		}
		return &lines[i]
	}
	for _, j := range a.Criteria {
		l := at(j)
		l.A, l.SentenceA, l.EffectA = j.Verdict, j.Sentence, effectIn(a, j)
	}
	for _, j := range b.Criteria {
		l := at(j)
		l.B, l.SentenceB, l.EffectB = j.Verdict, j.Sentence, effectIn(b, j)
	}
	for i := range lines {
		l := &lines[i]
		l.Changed = l.A != "" && l.B != "" && l.A != l.B
	}
	return lines
}

// marginOf is what a criterion lets pass.
func marginOf(j fairness.Judged) string {
	if j.Kind == "ratio" {
		return fmt.Sprintf("ratio within %.2f to %s", 1/(1+j.Margin), plot.Plain(1+j.Margin))
	}
	return j.Kind + " within " + plot.Plain(j.Margin)
}

// effectIn says what a criterion's verdict does to the release of its report.
func effectIn(a *fairness.Audit, j fairness.Judged) string {
	if a.Decision == nil {
		return ""
	}
	for _, r := range a.Decision.Reasons {
		if r.Metric == j.Metric && r.Attribute == j.Attribute && r.Kind == j.Kind && r.Margin == j.Margin {
			return map[string]string{"block": "blocks the release", "warn": "calls for a warning", "offer": "stands in no way"}[r.Effect]
		}
	}
	return ""
}

// gapsBeside pairs the gaps of both audits by groups and measure.
func gapsBeside(a, b *fairness.Audit) []gapLine {
	type key struct{ metric, attribute, level string }
	index := map[key]int{}
	var lines []gapLine
	at := func(g fairness.Gap) *gapLine {
		k := key{g.Metric, g.Attribute, g.Level}
		i, known := index[k]
		if !known {
			i = len(lines)
			index[k] = i
			lines = append(lines, gapLine{Measure: measureOf(g.Metric, "").title, Group: groupName(g.Attribute, g.Level)})
		}
		return &lines[i]
	}
	for _, g := range a.Gaps {
		line := at(g)
		line.A, line.ReferenceA = verdictOf(g), g.Reference
	}
	for _, g := range b.Gaps {
		line := at(g)
		line.B, line.ReferenceB = verdictOf(g), g.Reference
	}
	for i := range lines {
		l := &lines[i]
		l.Changed = l.A.Word != "" && l.B.Word != "" && l.A.Word != l.B.Word
	}
	return lines
}

func verdictOf(g fairness.Gap) verdict {
	text := measureOf(g.Metric, "").text
	if math.IsNaN(g.Estimate) {
		return verdict{Word: g.Verdict}
	}
	return verdict{Size: inPoints(resultpage.Signed(g.Estimate, text)), Interval: inPoints(text(g.Lower) + " to " + text(g.Upper)), Word: g.Verdict}
}
