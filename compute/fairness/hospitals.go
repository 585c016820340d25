package fairness

import (
	"errors"
	"fmt"
	"math"

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

func eligibleLayout() []compute.Field {
	return []compute.Field{{Name: "eligible", Length: 1, Bound: 1}}
}

// eligible reports whether a site has enough patients, with the event or the
// outcome and without, to be counted among the hospitals.
func eligible(s *study.Study, m *study.Matrix, predictions []float64) bool {
	n, positives := count(s, nil, m, predictions)
	least := n[0]
	switch s.Outcome.Type {
	case study.Binary:
		least = min(positives[0], n[0]-positives[0])
	case study.Survival:
		least = positives[0]
	}
	return least >= atLeastInside(s)
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

func hospitalsLayout(s *study.Study) []compute.Field {
	var fields []compute.Field
	for _, h := range s.Fairness.Hospitals {
		fields = append(fields, compute.Field{Name: "hospitals_by_" + h.Metric, Length: len(h.Edges) + 1, Bound: 1})
	}
	bounds := [hospitalTerms]float64{mostPrecision, mostPrecision * mostRatio, mostPrecision * mostRatio * mostRatio, mostPrecision * mostPrecision}
	for k, name := range hospitalTermNames {
		fields = append(fields, compute.Field{Name: name, Length: len(s.Fairness.Hospitals), Bound: bounds[k], FracBits: withinBits})
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
func hospitalAnswer(s *study.Study, counted bool, at func(name string, k int) float64) []float64 {
	var out []float64
	terms := make([]float64, hospitalTerms*len(s.Fairness.Hospitals))
	for i, h := range s.Fairness.Hospitals {
		bins := make([]float64, len(h.Edges)+1)
		if counted {
			value, variance := hospitalFigure(h.Metric, at)
			bins[band(h.Edges, hospitalUnit(s, h.Metric)*value)] = 1
			w := float64(mostPrecision)
			if variance > 1.0/mostPrecision {
				w = 1 / variance
			}
			for k, v := range [hospitalTerms]float64{w, w * value, w * value * value, w * w} {
				terms[k*len(s.Fairness.Hospitals)+i] = v
			}
		}
		out = append(out, bins...)
	}
	return append(out, terms...)
}

// checkHospitals refuses a count of hospitals that the study does not declare.
func checkHospitals(s *study.Study, asked bool) error {
	if asked && s.Fairness.Hospitals == nil {
		return errors.New("the study does not count hospitals by a metric")
	}
	return nil
}

// Hospitals are how the hospitals differ in a metric of all their patients.
type Hospitals struct {
	Metric    string    `json:"metric"`
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
func readHospitals(s *study.Study, asked bool, sum compute.Sum) (out []Hospitals) {
	for i, h := range s.Fairness.Hospitals {
		one := Hospitals{Metric: h.Metric, State: OK, Edges: h.Edges}
		counted := 0
		if asked {
			one.Counts = whole(sum.Field("hospitals_by_" + h.Metric))
			for _, n := range one.Counts {
				counted += n
			}
			one.Hospitals, one.Left = counted, max(0, sum.Contributors-counted)
		}
		if !asked || counted < FewestHospitals {
			one.Counts = nil
			one.State, one.Hospitals, one.Left = Suppressed, 0, 0
			one.Why = fmt.Sprintf("fewer than %d hospitals have enough patients", FewestHospitals)
			out = append(out, one)
			continue
		}
		term := func(k int) float64 { return sum.Field(hospitalTermNames[k])[i] }
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
