package fairness

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// A model can err alike in all groups of patients and differ between hospitals.
// That is a distribution over hospitals, and a hospital's own number is not
// opened for it: each says in which of the declared intervals its number lies, as
// a one among zeros, and the sum of these counts hospitals. A study that declares
// fairness.hospitals asks for it, and a hospital consents by approving that study.
//
// What a count of few hospitals reveals: of K hospitals, those who put their own
// intervals together know the counts of the rest. The protocol stands up to a
// coordinator together with t-1 of a committee of K, t = floor(2K/3)+1, and from
// seven hospitals on at least three remain then, fewer than which no group is
// shown with either. Below that nothing is asked. A hospital counts if it has the
// minimum cell of patients, of those with the outcome and of those without, so
// that its number is not about a few of them; how many do is opened first. (They
// can be fewer in the round of the counts, if hospitals drop out between the two.
// Then the report has none of it; the evidence does.)
//
// Beside the counts stand the sums of the hospitals' numbers weighted by their
// precision, which give Cochran's Q, I² and the standard deviation between
// hospitals (DerSimonian and Laird, Controlled Clinical Trials 7, 1986).

// StepHospitals opens how many hospitals have enough patients to be counted.
const StepHospitals = "fairness/hospitals"

// FewestHospitals are counted by a metric of theirs, or none.
const FewestHospitals = 7

// mostRatio cuts a hospital's ratio of observed to expected events.
const mostRatio = 16

func eligibleLayout(s *study.Study) []compute.Field {
	fields := []compute.Field{{Name: "eligible", Length: 1, Bound: 1}}
	if gaps := hospitalGaps(s); gaps != nil {
		fields = append(fields, compute.Field{Name: "eligible_gaps", Length: len(gaps), Bound: 1})
	}
	return fields
}

// hospitalGaps are the positions of those entries of fairness.hospitals that
// compare two groups.
func hospitalGaps(s *study.Study) (out []int) {
	for i, h := range s.Fairness.Hospitals {
		if h.Gap != nil {
			out = append(out, i)
		}
	}
	return out
}

// gapCells are the two groups that an entry compares.
func gapCells(s *study.Study, g *study.HospitalGap) (level, against int) {
	first := crossings(s)[1+g.Attribute].first
	return first + g.Level, first + g.Against
}

// eligible reports whether a site has enough patients, with the event or the
// outcome and without, to be counted among the hospitals; and for each gap, whether
// both of its groups do.
func eligible(s *study.Study, m *study.Matrix, predictions []float64) (whole bool, gaps []bool) {
	n, positives := count(s, nil, m, predictions)
	enough := func(c int) bool {
		least := n[c]
		switch s.Outcome.Type {
		case study.Binary:
			least = min(positives[c], n[c]-positives[c])
		case study.Survival:
			least = positives[c]
		}
		return least >= atLeastInside(s)
	}
	for _, i := range hospitalGaps(s) {
		level, against := gapCells(s, s.Fairness.Hospitals[i].Gap)
		gaps = append(gaps, enough(level) && enough(against))
	}
	return enough(0), gaps
}

func answerEligible(s *study.Study, m *study.Matrix, predictions []float64) []float64 {
	whole, gaps := eligible(s, m, predictions)
	out := []float64{one(whole)}
	for _, g := range gaps {
		out = append(out, one(g))
	}
	return out
}

// enoughHospitals are the gaps by which hospitals are counted: enough of them can
// be, and both groups are open under their own names and with nobody else's
// patients.
func enoughHospitals(s *study.Study, eligible, cells []int, groups grouping) (out []int) {
	for k, i := range hospitalGaps(s) {
		g := s.Fairness.Hospitals[i].Gap
		joined := false
		for from := range len(s.Fairness.Attributes[g.Attribute].Groups()) {
			to := groups.of(g.Attribute, from)
			joined = joined || from != to && (to == g.Level || to == g.Against)
		}
		level, against := gapCells(s, g)
		if !joined && eligible[k] >= FewestHospitals && slices.Contains(cells, level) && slices.Contains(cells, against) {
			out = append(out, i)
		}
	}
	return out
}

// counted are the entries of fairness.hospitals that the question asks for.
func (q question) counted(s *study.Study) (out []int) {
	for i, h := range s.Fairness.Hospitals {
		if h.Gap == nil && q.Hospitals || slices.Contains(q.Gaps, i) {
			out = append(out, i)
		}
	}
	return out
}

// hospitalTerms are one hospital's number, its precision, and the products that
// the heterogeneity is made of.
const (
	hospitalWeight = iota
	hospitalWeighted
	hospitalWeightedSquared
	hospitalWeightSquared
	hospitalTerms
)

var hospitalTermNames = [hospitalTerms]string{"hospital_weight", "hospital_weighted", "hospital_weighted_squared", "hospital_weight_squared"}

// hospitalsField is the name of an entry's counts.
func hospitalsField(h study.Hospitals) string {
	if h.Gap == nil {
		return "hospitals_by_" + h.Metric
	}
	return fmt.Sprintf("hospitals_by_%s_%d_%d_%d", h.Metric, h.Gap.Attribute, h.Gap.Level, h.Gap.Against)
}

func hospitalsLayout(s *study.Study, entries []int) []compute.Field {
	var fields []compute.Field
	for _, i := range entries {
		h := s.Fairness.Hospitals[i]
		fields = append(fields, compute.Field{Name: hospitalsField(h), Length: len(h.Edges) + 1, Bound: 1})
	}
	bounds := [hospitalTerms]float64{mostPrecision, mostPrecision * mostRatio, mostPrecision * mostRatio * mostRatio, mostPrecision * mostPrecision}
	for k, name := range hospitalTermNames {
		fields = append(fields, compute.Field{Name: name, Length: len(entries), Bound: bounds[k], FracBits: withinBits})
	}
	return fields
}

// hospitalUnit is what a number of the vector is multiplied by in the report.
func hospitalUnit(s *study.Study, metric string) float64 {
	switch metric {
	case "mae", "bias":
		return s.Outcome.Range.Hi - s.Outcome.Range.Lo
	case "within20":
		return 100
	}
	return 1
}

// hospitalFigure is the metric of all of a site's patients, and its variance.
func hospitalFigure(metric string, at func(name string, k int) float64) (value, variance float64) {
	n := at("patients", 0)
	rate := func(k, of float64) (float64, float64) {
		p := (k + 0.5) / (of + 1)
		return k / of, p * (1 - p) / of
	}
	average := func(sum, squares string) (float64, float64) {
		x := sample{n, at(sum, 0), at(squares, 0)}
		return x.mean(), x.variance() / n
	}
	switch metric {
	case "mae":
		return average("absolute_error", "error_squared")
	case "bias", "calibration_in_the_large":
		return average("error", "error_squared")
	case "within20":
		return rate(at("within", 1), n)
	case "brier":
		return average("error_squared", "error_fourth")
	case "tpr":
		return rate(at("selected_positives", 0), at("positives", 0))
	case "fpr":
		return rate(at("selected", 0)-at("selected_positives", 0), n-at("positives", 0))
	case "event_share":
		return rate(at("events", 0), n)
	}
	expected := max(at("expected_until", 0), 1e-9)
	return min(at("events_until", 0)/expected, mostRatio), max(at("events_until", 0), 0.5) / expected / expected
}

// hospitalAnswer is a site's part of the vector; zeros where it is not counted.
func hospitalAnswer(s *study.Study, q question, m *study.Matrix, predictions []float64, at func(name string, cell, k int) float64) []float64 {
	var out []float64
	entries := q.counted(s)
	whole, gaps := eligible(s, m, predictions)
	figure := func(metric string, cell int) (value, variance float64) {
		place := slices.Index(q.Cells, cell)
		return hospitalFigure(metric, func(name string, k int) float64 { return at(name, place, k) })
	}
	terms := make([]float64, hospitalTerms*len(entries))
	for e, i := range entries {
		h := s.Fairness.Hospitals[i]
		bins := make([]float64, len(h.Edges)+1)
		if h.Gap == nil && whole || h.Gap != nil && gaps[slices.Index(hospitalGaps(s), i)] {
			value, variance := 0.0, 0.0
			if h.Gap == nil {
				value, variance = figure(h.Metric, 0)
			} else {
				level, against := gapCells(s, h.Gap)
				v1, s1 := figure(h.Metric, level)
				v2, s2 := figure(h.Metric, against)
				value, variance = v1-v2, s1+s2
			}
			bins[band(h.Edges, hospitalUnit(s, h.Metric)*value)] = 1
			w := float64(mostPrecision)
			if variance > 1.0/mostPrecision {
				w = 1 / variance
			}
			for k, v := range [hospitalTerms]float64{w, w * value, w * value * value, w * w} {
				terms[k*len(entries)+e] = v
			}
		}
		out = append(out, bins...)
	}
	return append(out, terms...)
}

// checkHospitals refuses a count of hospitals that the study does not declare.
func (q question) checkHospitals(s *study.Study) error {
	if q.Hospitals && s.Fairness.Hospitals == nil {
		return errors.New("the study does not count hospitals by a metric")
	}
	known := hospitalGaps(s)
	for k, i := range q.Gaps {
		if !slices.Contains(known, i) || k > 0 && i <= q.Gaps[k-1] {
			return errors.New("hospitals are counted by gaps that are not ascending ones of the study")
		}
		level, against := gapCells(s, s.Fairness.Hospitals[i].Gap)
		if !slices.Contains(q.Cells, level) || !slices.Contains(q.Cells, against) {
			return errors.New("hospitals are counted by a gap of a group that is not asked for")
		}
	}
	return nil
}

// Hospitals are how the hospitals differ in a metric of all their patients.
type Hospitals struct {
	Metric    string    `json:"metric"`
	Attribute string    `json:"attribute,omitempty"` // of a gap inside hospitals: level less against
	Level     string    `json:"level,omitempty"`
	Against   string    `json:"against,omitempty"`
	State     string    `json:"state"` // ok, or suppressed
	Why       string    `json:"why,omitempty"`
	Edges     []float64 `json:"edges"`
	Counts    []int     `json:"counts,omitempty"` // of hospitals, one interval more than edges; at an edge is above it
	Hospitals int       `json:"hospitals,omitempty"`
	Left      int       `json:"left_out"`          // that have too few patients to be counted
	Mean      *Metric   `json:"mean,omitempty"`    // weighted by precision
	Between   *float64  `json:"between,omitempty"` // standard deviation between hospitals
	Q         *float64  `json:"q,omitempty"`
	QPValue   *float64  `json:"q_p,omitempty"`
	I2        *float64  `json:"i2,omitempty"`
}

// readHospitals are of the declared metrics in order; suppressed where the counts
// were not asked for.
func readHospitals(s *study.Study, q question, sum compute.Sum) (out []Hospitals) {
	entries := q.counted(s)
	for i, h := range s.Fairness.Hospitals {
		one := Hospitals{Metric: h.Metric, State: OK, Edges: h.Edges}
		patients := "patients"
		if h.Gap != nil {
			groups := s.Fairness.Attributes[h.Gap.Attribute].Groups()
			one.Attribute, one.Level, one.Against = s.Fairness.Attributes[h.Gap.Attribute].Column, groups[h.Gap.Level], groups[h.Gap.Against]
			patients = "patients of both groups, or one of these is withheld"
		}
		counted, place := 0, slices.Index(entries, i)
		asked := place >= 0
		if asked {
			one.Counts = whole(sum.Field(hospitalsField(h)))
			for _, n := range one.Counts {
				counted += n
			}
			one.Hospitals, one.Left = counted, max(0, sum.Contributors-counted)
		}
		if !asked || counted < FewestHospitals {
			one.Counts = nil
			one.State, one.Hospitals, one.Left = Suppressed, 0, 0
			one.Why = fmt.Sprintf("fewer than %d hospitals have enough %s", FewestHospitals, patients)
			out = append(out, one)
			continue
		}
		term := func(k int) float64 { return sum.Field(hospitalTermNames[k])[place] }
		unit, k := hospitalUnit(s, h.Metric), float64(counted)
		if w := term(hospitalWeight); w > 0 {
			mean := unit * term(hospitalWeighted) / w
			lower, upper := mean-normal*unit/math.Sqrt(w), mean+normal*unit/math.Sqrt(w)
			q, i2 := heterogeneity(k, w, term(hospitalWeighted), term(hospitalWeightedSquared))
			p, between := chiSquared(q, k-1), 0.0
			if spare := w - term(hospitalWeightSquared)/w; spare > 0 {
				between = unit * math.Sqrt(max(0, (q-(k-1))/spare))
			}
			one.Mean = &Metric{Estimate: mean, Lower: &lower, Upper: &upper, Method: "inverse variance, one value for all hospitals"}
			one.Q, one.QPValue, one.I2, one.Between = &q, &p, &i2, &between
		}
		out = append(out, one)
	}
	return out
}
