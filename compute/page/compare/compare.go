// Package compare puts the results of two studies side by side: how their
// models do on patients they had not seen, how they fit, where they err more for
// some, and what their coefficients are.
//
// Two numbers can always be subtracted; whether the difference says anything
// about the models is another matter. A comparison is called fair if both
// studies predict the same outcome of patients who, as far as the published
// counts show, are the same, and were tried in the same way. What stands against
// that is said in words.
package compare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// Subject is one of the two studies.
type Subject struct {
	Name     string // for people
	Title    string
	Version  int
	Result   *pipeline.Result
	Gaps     []fairness.Gap
	Protocol *study.Study // nil if it is not at hand
}

// Comparison is what Studies finds.
type Comparison struct {
	A       Side     `json:"a"`
	B       Side     `json:"b"`
	Fair    bool     `json:"fair"`
	Why     []string `json:"why_not,omitempty"` // it is not fair
	Notes   []string `json:"notes,omitempty"`   // on how to read it
	Unit    string   `json:"unit,omitempty"`    // of the outcome, where it is the same
	Metrics []Metric `json:"metrics,omitempty"` // of validation
	// Fit compares what depends on the records of the fit; present only where
	// these and the likelihood are the same.
	Fit          []Number      `json:"fit,omitempty"`
	Coefficients []Coefficient `json:"coefficients,omitempty"`
	Importance   []Number      `json:"importance,omitempty"` // shares
	Gaps         []Gap         `json:"gaps,omitempty"`       // the largest, by their margins
}

// Side names a study.
type Side struct {
	Name       string `json:"name"`
	Study      string `json:"study"` // digest
	Title      string `json:"title,omitempty"`
	Kind       string `json:"kind"`
	Outcome    string `json:"outcome"`
	Patients   *int   `json:"patients,omitempty"`
	Hospitals  int    `json:"hospitals"`
	Fitted     int    `json:"fitted,omitempty"` // patients of the fit
	Validation string `json:"validation"`       // kind, or none
	Tried      int    `json:"tried,omitempty"`  // patients it was tried on
}

// Value is a metric of one study.
type Value struct {
	Estimate float64  `json:"estimate"`
	Lower    *float64 `json:"lower,omitempty"` // 95%
	Upper    *float64 `json:"upper,omitempty"`
}

// Metric of both studies.
type Metric struct {
	Name       string   `json:"name"`
	A          *Value   `json:"a,omitempty"`
	B          *Value   `json:"b,omitempty"`
	Difference *float64 `json:"difference,omitempty"` // B minus A
}

// Number of both studies.
type Number struct {
	Name       string   `json:"name"`
	A          *float64 `json:"a,omitempty"`
	B          *float64 `json:"b,omitempty"`
	Difference *float64 `json:"difference,omitempty"` // B minus A
}

// Estimate is a coefficient and its standard error.
type Estimate struct {
	Estimate float64 `json:"estimate"`
	StdError float64 `json:"std_error"`
}

// Coefficient of both studies, by the name of the term.
type Coefficient struct {
	Name       string    `json:"name"`
	A          *Estimate `json:"a,omitempty"`
	B          *Estimate `json:"b,omitempty"`
	Difference *float64  `json:"difference,omitempty"` // B minus A
}

// Gap of both audits, of the same groups by the same measure.
type Gap struct {
	Metric    string     `json:"metric"`
	Attribute string     `json:"attribute"`
	Level     string     `json:"level"`
	Reference string     `json:"reference"`
	A         *GapOfSide `json:"a,omitempty"`
	B         *GapOfSide `json:"b,omitempty"`
}

// GapOfSide is a gap of one study.
type GapOfSide struct {
	Estimate float64 `json:"estimate"`
	Lower    float64 `json:"lower"`
	Upper    float64 `json:"upper"`
	Margin   float64 `json:"margin"`
	Verdict  string  `json:"verdict"`
}

// Studies compares two that have counted their patients.
func Studies(a, b Subject) (*Comparison, error) {
	for _, s := range []Subject{a, b} {
		if s.Result == nil || s.Result.Cohort == nil {
			return nil, fmt.Errorf("%s has no result: it was abandoned, or is not completed", s.Name)
		}
		if s.Result.Model == nil {
			return nil, fmt.Errorf("%s has no model to compare", s.Name)
		}
	}
	c := &Comparison{A: side(a), B: side(b)}
	c.Why = obstacles(a, b)
	c.Fair = len(c.Why) == 0
	if a.Result.Cohort.Outcome.Unit == b.Result.Cohort.Outcome.Unit {
		c.Unit = a.Result.Cohort.Outcome.Unit
	}
	c.Metrics = metrics(a.Result, b.Result)
	c.Fit = fits(a.Result, b.Result)
	c.Coefficients = coefficients(a.Result.Model, b.Result.Model)
	c.Importance = importance(a.Result.Model, b.Result.Model)
	c.Gaps = gaps(a.Gaps, b.Gaps)
	c.Notes = notes(c, a, b)
	return c, nil
}

func side(s Subject) Side {
	r := s.Result
	out := Side{Name: s.Name, Study: r.Study, Title: s.Title, Outcome: r.Cohort.Outcome.Column, Patients: r.Cohort.Patients.N, Hospitals: r.Cohort.Contributors, Validation: "none"}
	out.Kind, out.Fitted = described(r.Model)
	if r.Validation != nil {
		out.Validation, out.Tried = r.Validation.Kind, r.Validation.N
	}
	return out
}

// described is the kind of a model, for people, and the patients of its fit.
func described(m *pipeline.Model) (kind string, n int) {
	switch {
	case m.GLM != nil:
		return m.GLM.Family + " glm", m.GLM.N
	case m.Cox != nil:
		return "cox", m.Cox.N
	case m.Boost != nil:
		return "boost", m.Boost.N
	case m.Neural != nil:
		return "neural", m.Neural.N
	}
	return "unknown", 0
}

func metrics(a, b *pipeline.Result) []Metric {
	values := func(r *pipeline.Result) map[string]*Value {
		out := map[string]*Value{}
		if r.Validation == nil {
			return out
		}
		for name, x := range r.Validation.Metrics {
			v := &Value{Estimate: x}
			if i, ok := r.Validation.Intervals[name]; ok {
				v.Lower, v.Upper = &i.Lower, &i.Upper
			}
			out[name] = v
		}
		if p := r.Validation.Prediction; p != nil {
			out[HalfWidth] = &Value{Estimate: p.HalfWidth}
		}
		return out
	}
	x, y := values(a), values(b)
	var out []Metric
	for _, name := range union(x, y) {
		m := Metric{Name: name, A: x[name], B: y[name]}
		if m.A != nil && m.B != nil {
			m.Difference = difference(m.A.Estimate, m.B.Estimate)
		}
		out = append(out, m)
	}
	return out
}

// HalfWidth is the name of the metric that is half the width of a prediction's
// interval.
const HalfWidth = "interval_half_width"

// fits compares deviance and information criteria, of fits to the same records
// by the same likelihood.
func fits(a, b *pipeline.Result) []Number {
	if !sameRecords(a, b) {
		return nil
	}
	x, y := a.Model, b.Model
	switch {
	case x.GLM != nil && y.GLM != nil:
		p, q := x.GLM, y.GLM
		if p.Family != q.Family || p.Link != q.Link || p.Transform != q.Transform || p.N != q.N || p.Weights != q.Weights || p.SiteEffects != q.SiteEffects {
			return nil
		}
		return []Number{number("deviance", &p.Deviance, &q.Deviance), number("log_likelihood", &p.LogLike, &q.LogLike),
			number("aic", &p.AIC, &q.AIC), number("bic", &p.BIC, &q.BIC)}
	case x.Cox != nil && y.Cox != nil:
		p, q := x.Cox, y.Cox
		if p.Stratify != q.Stratify || p.Ties != q.Ties || p.N != q.N || !reflect.DeepEqual(p.Events, q.Events) {
			return nil
		}
		return []Number{number("log_likelihood", &p.LogLikelihood, &q.LogLikelihood), number("aic", &p.AIC, &q.AIC)}
	}
	return nil
}

func coefficients(a, b *pipeline.Model) []Coefficient {
	estimates := func(m *pipeline.Model) (names []string, out map[string]*Estimate) {
		out = map[string]*Estimate{}
		switch {
		case m.GLM != nil:
			for _, t := range m.GLM.Terms {
				names, out[t.Name] = append(names, t.Name), &Estimate{t.Estimate, t.StdError}
			}
		case m.Cox != nil:
			for _, t := range m.Cox.Terms {
				names, out[t.Name] = append(names, t.Name), &Estimate{t.Estimate, t.StdError}
			}
		}
		return names, out
	}
	names, x := estimates(a)
	more, y := estimates(b)
	if len(x) == 0 || len(y) == 0 {
		return nil
	}
	for _, name := range more {
		if x[name] == nil {
			names = append(names, name)
		}
	}
	var out []Coefficient
	for _, name := range names {
		c := Coefficient{Name: name, A: x[name], B: y[name]}
		if c.A != nil && c.B != nil && scale(a) == scale(b) {
			c.Difference = difference(c.A.Estimate, c.B.Estimate)
		}
		out = append(out, c)
	}
	return out
}

// importance of features as shares, so that kinds of models can be compared.
func importance(a, b *pipeline.Model) []Number {
	shares := func(m *pipeline.Model) map[string]*float64 {
		values, total := map[string]float64{}, 0.0
		switch {
		case m.Boost != nil:
			for _, i := range m.Boost.Importance {
				values[i.Feature] = i.Gain
			}
		case m.Neural != nil:
			for _, i := range m.Neural.Importance {
				values[i.Feature] = i.Value
			}
		}
		for _, v := range values {
			total += v
		}
		out := map[string]*float64{}
		for name, v := range values {
			if total > 0 {
				share := v / total
				out[name] = &share
			}
		}
		return out
	}
	x, y := shares(a), shares(b)
	if len(x) == 0 || len(y) == 0 {
		return nil
	}
	var out []Number
	for _, name := range union(x, y) {
		out = append(out, number(name, x[name], y[name]))
	}
	slices.SortStableFunc(out, func(p, q Number) int { return cmp.Compare(largest(q), largest(p)) })
	return out
}

func largest(n Number) float64 {
	most := 0.0
	for _, x := range []*float64{n.A, n.B} {
		if x != nil {
			most = max(most, *x)
		}
	}
	return most
}

// mostGaps are enough to see where the models differ; the audits have all.
const mostGaps = 10

// gaps are the largest of either audit against their margins, each beside the
// other's.
func gaps(a, b []fairness.Gap) []Gap {
	var out []Gap
	at := map[[4]string]int{}
	put := func(gaps []fairness.Gap, set func(*Gap, *GapOfSide)) {
		for _, g := range gaps {
			key := [4]string{g.Metric, g.Attribute, g.Level, g.Reference}
			i, known := at[key]
			if !known {
				i = len(out)
				at[key] = i
				out = append(out, Gap{Metric: g.Metric, Attribute: g.Attribute, Level: g.Level, Reference: g.Reference})
			}
			set(&out[i], &GapOfSide{g.Estimate, g.Lower, g.Upper, g.Margin, g.Verdict})
		}
	}
	put(a, func(g *Gap, x *GapOfSide) { g.A = x })
	put(b, func(g *Gap, x *GapOfSide) { g.B = x })
	size := func(g Gap) float64 {
		most := 0.0
		for _, x := range []*GapOfSide{g.A, g.B} {
			if x != nil && x.Margin > 0 {
				most = max(most, math.Abs(x.Estimate)/x.Margin)
			}
		}
		return most
	}
	slices.SortStableFunc(out, func(p, q Gap) int { return cmp.Compare(size(q), size(p)) })
	return out[:min(len(out), mostGaps)]
}

func number(name string, a, b *float64) Number {
	n := Number{Name: name, A: a, B: b}
	if a != nil && b != nil {
		n.Difference = difference(*a, *b)
	}
	return n
}

// difference is nil where JSON could not hold it.
func difference(a, b float64) *float64 {
	d := b - a
	if math.IsInf(d, 0) || math.IsNaN(d) {
		return nil
	}
	return &d
}

func union[V any](a, b map[string]V) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name := range maps.Keys(a) {
			if !yield(name) {
				return
			}
		}
		for name := range maps.Keys(b) {
			if _, both := a[name]; !both && !yield(name) {
				return
			}
		}
	})
}
