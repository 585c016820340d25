package cox

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/cholesky"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/compute/hazard"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Model is a fitted model in original units. It holds no record and nothing of
// a single site, and marshals to JSON without losing a bit.
type Model struct {
	Kind         string   `json:"kind"`
	Outcome      string   `json:"outcome"` // column of the time
	Unit         string   `json:"unit,omitempty"`
	N            int      `json:"n"`
	Events       *int     `json:"events,omitempty"` // nil where they, or the censored, are too few to be told
	Contributors int      `json:"contributors"`
	Stratify     string   `json:"stratify"` // site or none
	Ties         string   `json:"ties"`     // efron or breslow
	Ridge        float64  `json:"ridge"`
	Terms        []Term   `json:"terms"`
	Dropped      []string `json:"dropped,omitempty"` // terms of levels no patient has
	// Covariance of the estimates, by rows; where Robust is set, its sandwich.
	Covariance []float64 `json:"covariance"`

	LogLikelihood        float64         `json:"log_likelihood"` // partial, without the penalty
	NullLogLikelihood    float64         `json:"null_log_likelihood"`
	LikelihoodRatio      *Test           `json:"likelihood_ratio,omitempty"` // none under a ridge
	Wald                 *Test           `json:"wald,omitempty"`             // with the covariance of the model
	Score                *Test           `json:"score,omitempty"`
	AIC                  float64         `json:"aic"`
	EffectiveDF          *float64        `json:"effective_df,omitempty"`           // under a ridge
	EventsPerCoefficient *float64        `json:"events_per_coefficient,omitempty"` // below about ten estimates are unsteady; nil with Events
	Iterations           int             `json:"iterations"`                       // rounds of the fit
	Curve                []compute.Point `json:"curve,omitempty"`

	Robust *Robust `json:"robust,omitempty"`

	// Baseline of the patient with the mean of every column. Stratified by site:
	// what each interval of the grid adds to the cumulative hazard is the mean over
	// sites, weighted by their patients who are at risk when it begins; a site with
	// fewer than two of them is not asked. Else that of the shared baseline, by
	// Efron's or Breslow's estimator, at the ends of the merged intervals.
	Baseline     []hazard.Point     `json:"baseline"`
	Concordance  *Concordance       `json:"concordance,omitempty"`
	Proportional []ProportionalTest `json:"proportional_hazards,omitempty"` // by feature, then GLOBAL; none under a ridge
	// TimeTransform of these tests, where it is not the identity.
	TimeTransform string         `json:"time_transform,omitempty"`
	RMST          *describe.RMST `json:"rmst,omitempty"` // by the first category
}

// Term is a coefficient, the test that it is zero, and its hazard ratio.
type Term struct {
	Name        string   `json:"name"`
	Estimate    float64  `json:"estimate"` // log hazard ratio of one unit
	StdError    float64  `json:"std_error"`
	ModelError  *float64 `json:"model_std_error,omitempty"` // where StdError is robust
	Statistic   float64  `json:"statistic"`                 // z
	PValue      float64  `json:"p_value"`                   // two-sided
	HazardRatio float64  `json:"hazard_ratio"`
	Lower       float64  `json:"lower"` // 95% interval of the hazard ratio
	Upper       float64  `json:"upper"`
	Mean        float64  `json:"mean"` // of the column over all patients
}

// Test is a chi-squared test that all coefficients are zero.
type Test struct {
	Statistic float64 `json:"statistic"`
	DF        int     `json:"df"`
	PValue    float64 `json:"p_value"`
}

// Robust says on how many clusters robust standard errors rest.
type Robust struct {
	By       string `json:"by,omitempty"` // patient; empty for hospitals
	Clusters int    `json:"clusters"`
	Caveat   string `json:"caveat"`
	// Wald is the test with the sandwich; nil where there are not more clusters than
	// coefficients.
	Wald *Test `json:"wald,omitempty"`
}

// ProportionalTest is the score test that the coefficients of a feature do not
// change linearly with the transformed time; cox.zph(fit, transform = ...).
type ProportionalTest struct {
	Term string `json:"term"` // column, interaction, or GLOBAL
	Test
}

const (
	confidence = 1.959963984540054 // normal quantile of two-sided 95% intervals
	// mostHazardRatio keeps a hazard ratio of a huge unit a number in JSON.
	mostHazardRatio = 1e300
)

func chiSquared(statistic float64, df int) *Test {
	return &Test{Statistic: statistic, DF: df, PValue: distuv.ChiSquared{K: float64(df)}.Survival(max(statistic, 0))}
}

// finish makes the model of the last evaluation and the checks.
func (f *Fit) finish(sum compute.Sum) error {
	s, e := f.study, f.final
	p := len(f.kept)
	m := &Model{
		Kind: study.Cox, Outcome: s.Outcome.Column, Unit: s.Outcome.Unit,
		N: e.patients, Contributors: e.contributors,
		Stratify: s.Model.Stratify, Ties: s.Model.Ties, Ridge: s.Model.Ridge,
		LogLikelihood: e.likelihood, NullLogLikelihood: f.null.likelihood,
		Iterations: f.rounds, Curve: f.curve,
	}
	if disclosure.Share(e.events, e.patients, s.Fairness.MinimumCell) {
		each := float64(e.events) / float64(p)
		m.Events, m.EventsPerCoefficient = &e.events, &each
	}
	covariance := f.factor.Inverse()
	df := float64(p)
	if s.Model.Ridge > 0 {
		var hat mat.Dense
		hat.Mul(e.information, covariance)
		df = mat.Trace(&hat)
		m.EffectiveDF = &df
	} else {
		m.LikelihoodRatio = chiSquared(2*(m.LogLikelihood-m.NullLogLikelihood), p)
		m.Score = chiSquared(f.nullScore, p)
		var image mat.VecDense
		beta := mat.NewVecDense(p, f.beta)
		image.MulVec(e.information, beta)
		m.Wald = chiSquared(mat.Dot(beta, &image), p)
		f.proportional(m, sum)
		if s.Model.TimeTransform != study.TimeIdentity {
			m.TimeTransform = s.Model.TimeTransform
		}
	}
	m.AIC = -2*m.LogLikelihood + 2*df
	model := covariance
	if s.Model.Robust {
		covariance = f.sandwich(covariance, sum.Field("site_scores"))
		m.Robust = &Robust{Clusters: sum.Contributors,
			Caveat: "a sandwich of so many clusters; with fewer than about 30 it is too small on average, and tests of more coefficients than clusters do not exist"}
	}
	if byPatient(s) {
		covariance = f.sandwich(covariance, sum.Field("patient_scores"))
		m.Robust = &Robust{By: "patient", Clusters: m.N, Caveat: "patients weigh, and the inverse information would take a weight for as many patients"}
	}
	if m.Robust != nil && df == float64(p) {
		m.Robust.Wald = f.robustWald(covariance, m.Robust.Clusters)
	}
	f.describeTerms(m, model, covariance)
	f.baseline(m, sum)
	m.Concordance = newConcordance(sum.Field("pairs"), sum.Field("pair_squares"))
	if by := trial(s); by != nil {
		tables, err := describe.ReadLifetables(s, by, sum)
		if err != nil {
			return err
		}
		m.RMST = describe.CompareRMST(s, by[0], tables[0], s.Features[by[0].Feature()].Reference)
	}
	if s.Model.Robust && m.Concordance != nil {
		f.unclustered, f.paired, f.step = m, sum, StepConcordance
		return nil
	}
	f.model = m
	return nil
}

// describeTerms takes scaled estimates to original units.
func (f *Fit) describeTerms(m *Model, model, covariance *mat.SymDense) {
	next := 0
	for j, t := range f.terms {
		if next == len(f.kept) || f.kept[next] != j {
			m.Dropped = append(m.Dropped, t.Name)
			continue
		}
		half := f.scale.half[j]
		b, se := f.beta[next]/half, math.Sqrt(covariance.At(next, next))/half
		term := Term{Name: t.Name, Estimate: b, StdError: se, Mean: f.centre[j],
			HazardRatio: hazardRatio(b), Lower: hazardRatio(b - confidence*se), Upper: hazardRatio(b + confidence*se)}
		if se > 0 {
			term.Statistic = b / se
		}
		term.PValue = math.Erfc(math.Abs(term.Statistic) / math.Sqrt2)
		if m.Robust != nil {
			own := math.Sqrt(model.At(next, next)) / half
			term.ModelError = &own
		}
		m.Terms = append(m.Terms, term)
		for k, other := range f.kept {
			m.Covariance = append(m.Covariance, covariance.At(next, k)/half/f.scale.half[other])
		}
		next++
	}
}

func hazardRatio(b float64) float64 { return min(math.Exp(b), mostHazardRatio) }

// sandwich is the sum over sites, or patients, of the products of their scores
// between two inverse informations.
func (f *Fit) sandwich(inverse *mat.SymDense, scores []float64) *mat.SymDense {
	var left, both mat.Dense
	left.Mul(inverse, f.keepMatrix(scores))
	both.Mul(&left, inverse)
	out := mat.NewSymDense(len(f.kept), nil)
	for i := range f.kept {
		for j := i; j < len(f.kept); j++ {
			out.SetSym(i, j, both.At(i, j)/2+both.At(j, i)/2)
		}
	}
	return out
}

// robustWald is the test that no coefficient differs from zero, by the sandwich.
// The sum of the products of as many scores as there are clusters has at most one
// rank less than these where the scores sum to zero, as they do at the fit; with as
// many coefficients there is no test.
func (f *Fit) robustWald(covariance *mat.SymDense, clusters int) *Test {
	p := len(f.kept)
	if p >= clusters {
		return nil
	}
	factor, ok := cholesky.Factorise(covariance)
	if !ok {
		return nil
	}
	statistic := 0.0
	for i, v := range factor.Solve(f.beta) {
		statistic += v * f.beta[i]
	}
	return chiSquared(statistic, p)
}

// baseline at the mean of every column, where the columns are centred.
func (f *Fit) baseline(m *Model, sum compute.Sum) {
	highest := 0.0 // a cumulative hazard does not fall, not by rounding either
	add := func(time, h float64) {
		highest = max(highest, min(h, highestHazard))
		m.Baseline = append(m.Baseline, hazard.Point{Time: time, Survival: math.Exp(-highest), Hazard: highest})
	}
	cumulative := 0.0
	if f.study.Model.Stratify == study.StratifySite {
		added := sum.Field("hazards")
		for k, n := range sum.Field("at_risk") {
			cumulative += added[k] / max(math.Round(n), 1)
			add(f.study.Outcome.Grid[k], cumulative)
		}
		return
	}
	next := 0
	for in, end := range f.merged.Intervals {
		if next < len(f.final.intervals) && f.final.intervals[next] == in {
			cumulative += f.final.moments[next].hazards
			next++
		}
		add(f.study.Outcome.Grid[end], cumulative)
	}
}

// proportional tests, feature by feature and all together, whether a
// coefficient changes with time: the score test of a term times t added to the
// fitted model, with the information of both.
func (f *Fit) proportional(m *Model, sum compute.Sum) {
	score, cross, square := f.timeSums(sum)
	p := len(f.kept)
	// What the terms leave of the information of the terms times t.
	rest := mat.NewSymDense(p, nil)
	for i := range p {
		explained := f.factor.Solve(mat.Col(nil, i, cross))
		for j := i; j < p; j++ {
			rest.SetSym(i, j, square.At(i, j)-dot(mat.Col(nil, j, cross), explained))
		}
	}
	test := func(name string, columns []int) {
		part, u := mat.NewSymDense(len(columns), nil), make([]float64, len(columns))
		for a, i := range columns {
			u[a] = score[i]
			for b, j := range columns[a:] {
				part.SetSym(a, a+b, rest.At(i, j))
			}
		}
		// All events at one time, or too few of them, leave nothing to test.
		for a, i := range columns {
			if !(part.At(a, a) > collinear*square.At(i, i)) {
				return
			}
		}
		if factor, ok := cholesky.Factorise(part); ok {
			m.Proportional = append(m.Proportional, ProportionalTest{name, *chiSquared(quadratic(factor, u), len(columns))})
		}
	}
	var all []int
	for first := 0; first < p; first++ {
		t := f.terms[f.kept[first]]
		all = append(all, first)
		if t.Feature < 0 {
			test(t.Name, []int{first})
			continue
		}
		columns := []int{}
		for i, j := range f.kept {
			if f.terms[j].Feature == t.Feature {
				columns = append(columns, i)
			}
		}
		if columns[0] == first {
			test(f.study.Features[t.Feature].Column, columns)
		}
	}
	test("GLOBAL", all)
}

// timeSums are the score, and the informations, of columns times t.
func (f *Fit) timeSums(sum compute.Sum) (score []float64, cross, square *mat.SymDense) {
	if f.study.Model.Stratify == study.StratifySite {
		return f.keep(sum.Field("time_score")), f.keepMatrix(sum.Field("time_cross")), f.keepMatrix(sum.Field("time_square"))
	}
	p := len(f.terms)
	t := triangle(p)
	total := compute.NewAccumulator(p + 2*t)
	for j, x := range sum.Field("event_times") {
		total.Add(j, x)
	}
	clocks := f.clocks()
	for k, m := range f.final.moments {
		g := clocks[f.final.intervals[k]]
		for j, v := range m.mean {
			total.Add(j, -g*v)
		}
		for j, v := range m.variance {
			total.Add(p+j, g*v)
			total.Add(p+t+j, g*g*v)
		}
	}
	values := total.Values()
	return f.keep(values[:p]), f.keepMatrix(values[p : p+t]), f.keepMatrix(values[p+t:])
}
