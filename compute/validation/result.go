package validation

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Result is what the opened sum says about new patients.
type Result struct {
	Kind      string              `json:"kind"`
	Models    int                 `json:"models"` // how many were fitted to parts of the patients and tried on the rest
	N         int                 `json:"n"`      // patients predicted by a model that had not seen them
	Metrics   map[string]float64  `json:"metrics"`
	Intervals map[string]Interval `json:"intervals,omitempty"` // 95%, by metric
	// Bounds are how far a metric that was taken from bins can be from its value
	// without them.
	Bounds      map[string]float64 `json:"bounds,omitempty"`
	Undefined   map[string]string  `json:"undefined,omitempty"` // metrics without a value, and why
	Calibration []Bin              `json:"calibration,omitempty"`
	Prediction  *Prediction        `json:"prediction,omitempty"`
	Remarks     []string           `json:"remarks,omitempty"`

	Cut int `json:"-"` // errors beyond the range, of which a remark speaks
}

// CutRemark says that so many errors count as less than they were.
func CutRemark(cut int) string {
	return fmt.Sprintf("%d errors were larger than twice the declared range of the outcome and count as exactly that.", cut)
}

// Interval is a range of plausible values.
type Interval struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

// Bin is a step of the calibration curve, by predicted probability or outcome. It
// has the minimum cell of patients or more; results of older versions have smaller
// ones too, without figures.
type Bin struct {
	From      float64  `json:"from"`
	To        float64  `json:"to"`
	N         *int     `json:"n,omitempty"`
	Predicted *float64 `json:"predicted,omitempty"` // mean
	Actual    *float64 `json:"actual,omitempty"`    // mean, or share with the outcome
}

// Prediction is how wide an interval around a new prediction must be: the
// (n+1)Level-th smallest absolute error of patients the model had not seen
// (split conformal prediction). HalfWidth is the upper edge of that error's bin,
// in the outcome's unit.
type Prediction struct {
	Level     float64 `json:"level"`
	HalfWidth float64 `json:"half_width"`
	Coverage  float64 `json:"coverage"` // share of the tried patients inside
}

// OnTheLogit is the interval of a share between 0 and 1 of pairs of patients that
// are in the right order, by its standard error on the scale of the logit: near 1
// the interval on the scale of the share leaves the truth out too often (Pepe, The
// Statistical Evaluation of Medical Tests, 2003, section 5.2.3).
func OnTheLogit(share, se float64) Interval {
	odds, factor := share/(1-share), math.Exp(normal*se/(share*(1-share)))
	return Interval{odds / (odds + factor), odds * factor / (1 + odds*factor)}
}

// Level of the prediction interval and of every other.
const Level = 0.95

const normal = 1.959963984540054 // 0.975 quantile of the standard normal

// Read takes the opened sum of a question apart. Kind and models say how it came
// about.
func Read(s *study.Study, kind string, models int, parameters []byte, sum compute.Sum) (*Result, error) {
	g, err := readGrid(s, parameters)
	if err != nil {
		return nil, err
	}
	for _, f := range Layout(s) {
		if len(sum.Field(f.Name)) != f.Length {
			return nil, fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	n := math.Round(sum.Field("patients")[0])
	if minimum := s.Fairness.MinimumCell; n < float64(minimum) {
		return nil, &compute.Diagnosis{Kind: compute.TooFewPatients, Message: fmt.Sprintf("fewer than %d patients are left to try the model on", minimum)}
	}
	r := &reader{study: s, sum: sum, n: n, Result: &Result{
		Kind: kind, Models: models, N: int(n),
		Metrics: map[string]float64{}, Intervals: map[string]Interval{}, Bounds: map[string]float64{}, Undefined: map[string]string{},
	}}
	switch s.Outcome.Type {
	case study.Binary:
		r.binary(g)
	case study.Survival:
		r.survival()
	default:
		r.number(g)
	}
	return r.Result, nil
}

type reader struct {
	*Result
	study *study.Study
	sum   compute.Sum
	n     float64
}

func (r *reader) at(name string) float64 { return r.sum.Field(name)[0] }

// mean records a mean with Student's interval replaced by the normal one, which
// for the numbers of patients that a minimum cell lets through differs little.
func (r *reader) mean(name string, scale, sum, squares float64) {
	m := sum / r.n
	r.Metrics[name] = scale * m
	if r.n < 2 {
		return
	}
	margin := normal * math.Sqrt(max(0, squares/r.n-m*m)/(r.n-1))
	r.Intervals[name] = Interval{scale * (m - margin), scale * (m + margin)}
}

// root records the root of a mean of squares; se(sqrt(m)) = se(m)/(2 sqrt(m)).
func (r *reader) root(name string, scale, squares, fourths float64) {
	m := squares / r.n
	root := math.Sqrt(max(0, m))
	r.Metrics[name] = scale * root
	if r.n < 2 || root == 0 {
		return
	}
	margin := normal * math.Sqrt(max(0, fourths/r.n-m*m)/(r.n-1)) / (2 * root)
	r.Intervals[name] = Interval{scale * max(0, root-margin), scale * (root + margin)}
}

// share records a proportion with Wilson's interval (Journal of the American
// Statistical Association 22, 1927).
func (r *reader) share(name string, k, scale float64) {
	p, z := k/r.n, normal*normal
	middle, half := (p+z/(2*r.n))/(1+z/r.n), normal*math.Sqrt(p*(1-p)/r.n+z/(4*r.n*r.n))/(1+z/r.n)
	r.Metrics[name] = scale * p
	r.Intervals[name] = Interval{scale * max(0, middle-half), scale * min(1, middle+half)}
}

func (r *reader) number(g grid) {
	o := r.study.Outcome.Range
	width := o.Hi - o.Lo
	r.mean("mae", width, r.at("absolute_error"), r.at("error_squared"))
	r.mean("bias", width, r.at("error"), r.at("error_squared"))
	r.root("rmse", width, r.at("error_squared"), r.at("error_fourth"))
	r.share("within20", math.Round(r.at("within")), 100)

	actual, predicted := r.at("actual")/r.n, r.at("predicted")/r.n
	spread := r.at("actual_squared") - r.n*actual*actual
	predictedSpread := r.at("predicted_squared") - r.n*predicted*predicted
	if rounding := 1e-13 * r.n; spread > rounding {
		r.Metrics["r2"] = 1 - r.at("error_squared")/spread
	} else {
		r.Undefined["r2"] = "everyone has the same outcome"
	}
	if predictedSpread > 1e-13*r.n {
		slope := (r.at("predicted_actual") - r.n*predicted*actual) / predictedSpread
		r.Metrics["calibration_slope"] = slope
	} else {
		r.Undefined["calibration_slope"] = "everyone has the same prediction"
	}
	if r.study.Outcome.Type == study.Count {
		r.Metrics["deviance"] = r.at("deviance") / r.n
	}
	if r.Cut = int(math.Round(r.at("cut"))); r.Cut > 0 {
		r.Remarks = append(r.Remarks, CutRemark(r.Cut))
	}
	r.interval(width)
	r.curve(g)
}

// interval finds the bin of the rank ceil((n+1)Level) among absolute errors.
func (r *reader) interval(width float64) {
	rank := math.Ceil((r.n + 1) * Level)
	if rank > r.n {
		return // too few patients for an interval of this level
	}
	below := 0.0
	for bin, count := range r.sum.Field("error_sizes") {
		if below += math.Round(count); below >= rank {
			r.Prediction = &Prediction{Level: Level, HalfWidth: width * errorEdge(bin), Coverage: below / r.n}
			return
		}
	}
}

func (r *reader) binary(g grid) {
	positives := math.Round(r.at("positives"))
	r.mean("logloss", 1, r.at("log_loss"), r.at("log_loss_squared"))
	r.mean("brier", 1, r.at("error_squared"), r.at("error_fourth"))
	r.Metrics["prevalence"] = positives / r.n
	if negatives := r.n - positives; positives > 0 && negatives > 0 {
		r.area(positives, negatives)
	} else {
		r.Undefined["auc"] = "everyone has the same outcome"
	}
	r.curve(g)
}

// area under the receiver operating characteristic from counts by score, ties
// within a bin counting half, with DeLong's variance of the binned scores
// (Biometrics 44, 1988).
func (r *reader) area(positives, negatives float64) {
	up, down := r.sum.Field("scores_positive"), r.sum.Field("scores_negative")
	area, bound := 0.0, 0.0
	var placedUp, placedDown float64 // sums of squared placement values
	below, above := 0.0, positives
	for b := range up {
		p, n := math.Round(up[b]), math.Round(down[b])
		above -= p
		area += p * (below + n/2)
		bound += p * n / 2
		v, w := (below+n/2)/negatives, (above+p/2)/positives
		placedUp += p * v * v
		placedDown += n * w * w
		below += n
	}
	auc := area / (positives * negatives)
	r.Metrics["auc"] = auc
	r.Bounds["auc"] = bound / (positives * negatives)
	if positives > 1 && negatives > 1 {
		variance := max(0, placedUp-positives*auc*auc)/(positives*(positives-1)) + max(0, placedDown-negatives*auc*auc)/(negatives*(negatives-1))
		if variance > 0 && auc > 0 && auc < 1 {
			r.Intervals["auc"] = OnTheLogit(auc, math.Sqrt(variance))
		}
	}
}

func (r *reader) survival() {
	r.Metrics["events"] = math.Round(r.at("events"))
	comparable := math.Round(r.at("comparable"))
	if comparable == 0 {
		r.Undefined["cindex"] = "no two patients of one hospital can be compared"
		return
	}
	r.Metrics["cindex"] = (math.Round(r.at("concordant")) + math.Round(r.at("tied"))/2) / comparable
	r.Remarks = append(r.Remarks, "Patients are compared within their hospital and among those whom the same model predicts; no two hospitals' patients are put in order.")
}
