package fairness

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// A group can fare worse than another over all hospitals although it fares no
// worse in any: because more of it are treated where everyone fares worse. So
// groups are compared inside hospitals too, and only the sums over hospitals of
// the terms of that comparison are opened: the number of hospitals, and weights
// with the difference and its square. A hospital is a term if it has the minimum
// cell of both groups; a comparison is asked for only if enough hospitals are.

// paired are the measures that are compared inside hospitals.
type paired struct {
	metric string
	rate   bool
}

func pairedMeasures(s *study.Study) []paired {
	switch s.Outcome.Type {
	case study.Binary:
		return []paired{{"tpr", true}, {"fpr", true}, {"calibration_in_the_large", false}}
	case study.Survival:
		return nil
	}
	return []paired{{"mae", false}, {"bias", false}, {"within20", true}}
}

// Terms of one comparison of one measure: hospitals; the Mantel-Haenszel weight
// and weighted difference; the inverse variance, with the difference and its
// square; the variance of the weighted difference. Differences are at most twice the most widths; an inverse variance is
// cut, which hospitals without any spread reach.
const (
	termSites = iota
	termWeight
	termWeighted
	termPrecision
	termPrecise
	termPreciseSquared
	termVariance
	terms
)

const (
	mostPrecision = 1 << 30
	withinBits    = 24
)

var termNames = [terms]string{"within_sites", "within_weight", "within_weighted", "within_precision", "within_precise", "within_precise_squared", "within_variance"}

func withinLayout(s *study.Study, compared int) []compute.Field {
	n := len(pairedMeasures(s))
	if n == 0 {
		return nil
	}
	const d = 2 * mostWidths
	bounds := [terms]float64{1, maxRows, maxRows * d, mostPrecision, mostPrecision * d, mostPrecision * d * d, maxRows * d * d}
	var fields []compute.Field
	for k, name := range termNames {
		f := compute.Field{Name: name, Length: n * compared, Bound: bounds[k], FracBits: withinBits}
		if k == termSites {
			f.FracBits = 0
		}
		fields = append(fields, f)
	}
	return fields
}

// withinSite are this site's terms, made of its own sums.
func (q question) withinSite(s *study.Study, list []quantity, start []int, values []float64) []float64 {
	measures := pairedMeasures(s)
	compared := q.compared()
	out := make([]float64, terms*len(measures)*compared)
	at := func(name string, i, k int) float64 {
		for j, x := range list {
			if x.name == name {
				return values[start[j]+i*x.width+k]
			}
		}
		return 0
	}
	of := func(measure string, i int) sample {
		n := at("patients", i, 0)
		switch measure {
		case "tpr":
			k := at("selected_positives", i, 0)
			return sample{at("positives", i, 0), k, k}
		case "fpr":
			k := at("selected", i, 0) - at("selected_positives", i, 0)
			return sample{n - at("positives", i, 0), k, k}
		case "within20":
			k := at("within", i, 1)
			return sample{n, k, k}
		case "mae":
			return sample{n, at("absolute_error", i, 0), at("error_squared", i, 0)}
		}
		return sample{n, at("error", i, 0), at("error_squared", i, 0)}
	}
	position := make(map[int]int, len(q.Cells))
	for i, c := range q.Cells {
		position[c] = i
	}
	enough := func(i int) bool {
		for _, measure := range measures {
			if of(measure.metric, i).n < atLeastInside(s) {
				return false
			}
		}
		return true
	}
	next := 0
	for i, r := range q.Against {
		if r < 0 {
			continue
		}
		for k, measure := range measures {
			a, b := of(measure.metric, i), of(measure.metric, position[r])
			if !enough(i) || !enough(position[r]) {
				break
			}
			for term, value := range siteTerms(a, b, measure.rate) {
				out[term*len(measures)*compared+next*len(measures)+k] = value
			}
		}
		next++
	}
	return out
}

// siteTerms of one hospital. The weight n1 n2/(n1+n2) is Mantel and Haenszel's
// for risk differences (Greenland and Robins, Biometrics 41, 1985). A rate's
// variance has a half added to each count, so that a rate of 0 or 1 is not
// without doubt.
func siteTerms(a, b sample, rate bool) [terms]float64 {
	d := a.mean() - b.mean()
	weight := a.n * b.n / (a.n + b.n)
	variance := func(s sample) float64 {
		if rate {
			p := (s.sum + 0.5) / (s.n + 1)
			return p * (1 - p) / s.n
		}
		return s.variance() / s.n
	}
	both := variance(a) + variance(b)
	precision := float64(mostPrecision)
	if both > 1.0/mostPrecision {
		precision = 1 / both
	}
	return [terms]float64{1, weight, weight * d, precision, precision * d, precision * d * d, weight * weight * both}
}

// Within compares a group with its reference inside hospitals.
type Within struct {
	Metric     string  `json:"metric"`
	Attribute  string  `json:"attribute"`
	Level      string  `json:"level"`
	Reference  string  `json:"reference"`
	Sites      int     `json:"sites"` // that have enough of both groups
	Adjusted   Metric  `json:"adjusted"`
	Crude      float64 `json:"crude"`                // over all hospitals
	Detectable float64 `json:"detectable,omitempty"` // smallest difference inside them that would be found in four of five studies
	Q          float64 `json:"q"`                    // Cochran's
	QPValue    float64 `json:"q_p"`
	I2         float64 `json:"i2"`
	// Reversal: the differences inside hospitals and over all of them point in
	// opposite directions (Simpson's paradox).
	Reversal bool `json:"reversal,omitempty"`
}

// atLeastInside is how many patients of a group, with the outcome and without,
// a hospital needs to be a term.
func atLeastInside(s *study.Study) float64 { return float64(max(s.Fairness.MinimumCell, 2)) }

// heterogeneity of so many differences, from Σw, Σwθ and Σwθ² with w the inverse
// variances: Cochran's Q (Biometrics 10, 1954) and I² (Higgins and Thompson,
// Statistics in Medicine 21, 2002).
func heterogeneity(sites, w, wt, wtt float64) (q, i2 float64) {
	if sites < 2 || w <= 0 {
		return 0, 0
	}
	q = max(0, wtt-wt*wt/w)
	if q > 0 {
		i2 = max(0, (q-(sites-1))/q)
	}
	return q, i2
}

// readWithin takes the terms of the comparisons inside hospitals apart.
func readWithin(s *study.Study, q question, groups []Group, gaps map[[2]int]float64, sum compute.Sum, minimum int) (out []Within) {
	measures := pairedMeasures(s)
	next := 0
	for i, r := range q.Against {
		if r < 0 {
			continue
		}
		for k, measure := range measures {
			term := func(which int) float64 { return sum.Field(termNames[which])[next*len(measures)+k] }
			sites := math.Round(term(termSites))
			crude, known := gaps[[2]int{q.Cells[i], k}]
			if sites < float64(minimum) || !known || term(termWeight) <= 0 {
				continue
			}
			unit := 1.0
			switch {
			case s.Outcome.Type == study.Binary:
			case measure.rate:
				unit = 100
			default:
				unit = s.Outcome.Range.Hi - s.Outcome.Range.Lo
			}
			w := Within{Metric: measure.metric, Attribute: groups[q.Cells[i]].Attribute, Level: groups[q.Cells[i]].Level,
				Reference: groups[r].Level, Sites: int(sites), Crude: crude}
			d, margin := term(termWeighted)/term(termWeight), normal*math.Sqrt(max(0, term(termVariance)))/term(termWeight)
			lower, upper := unit*(d-margin), unit*(d+margin)
			w.Adjusted = Metric{Estimate: unit * d, Lower: &lower, Upper: &upper, Method: "Mantel-Haenszel weights, normal"}
			w.Detectable = Detectable(lower, upper)
			w.Q, w.I2 = heterogeneity(sites, term(termPrecision), term(termPrecise), term(termPreciseSquared))
			w.QPValue = chiSquared(w.Q, sites-1)
			w.Reversal = crude*d < 0
			out = append(out, w)
		}
		next++
	}
	return out
}
