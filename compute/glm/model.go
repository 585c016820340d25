package glm

import (
	"math"

	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Model is a fitted model in original units. It holds no record and nothing of
// a single site, and marshals to JSON without losing a bit.
type Model struct {
	Kind         string   `json:"kind"`
	Family       string   `json:"family"`    // gaussian or binomial
	Link         string   `json:"link"`      // identity or logit
	Transform    string   `json:"transform"` // of the outcome before the fit: identity, sqrt, log
	Outcome      string   `json:"outcome"`   // column
	Unit         string   `json:"unit,omitempty"`
	N            int      `json:"n"`
	Positives    *int     `json:"positives,omitempty"` // binomial
	Contributors int      `json:"contributors"`
	Terms        []Term   `json:"terms"`
	Dropped      []string `json:"dropped,omitempty"` // terms of levels no patient has
	Ridge        float64  `json:"ridge"`

	DFResidual   int      `json:"df_residual"`
	Dispersion   float64  `json:"dispersion"` // sigma^2 = SSE/(n-p) on the transformed scale; 1 if binomial
	Deviance     float64  `json:"deviance"`   // SSE on the transformed scale, or -2 log-likelihood; without the penalty
	NullDeviance float64  `json:"null_deviance"`
	R2           *float64 `json:"r2,omitempty"` // on the transformed scale; gaussian
	AdjustedR2   *float64 `json:"adjusted_r2,omitempty"`
	LogLike      float64  `json:"log_likelihood"` // gaussian: at SSE/n
	AIC          float64  `json:"aic"`
	BIC          float64  `json:"bic"`

	PenalisedDeviance *float64 `json:"penalised_deviance,omitempty"` // with a ridge
	EffectiveDF       *float64 `json:"effective_df,omitempty"`

	Iterations int       `json:"iterations"` // rounds of the fit
	Statistic  string    `json:"statistic"`  // of the tests: t or z
	Covariance []float64 `json:"covariance"` // of the estimates, by rows
}

// Term is a coefficient and the test that it is zero.
type Term struct {
	Name      string  `json:"name"`
	Estimate  float64 `json:"estimate"`
	StdError  float64 `json:"std_error"`
	Statistic float64 `json:"statistic"`
	PValue    float64 `json:"p_value"` // two-sided
	Mean      float64 `json:"mean"`    // of the column over all patients: the baseline of explanations
}

// newModel fills in what both families share. beta and covariance are scaled,
// means are those of all terms in original units.
func (d *Design) newModel(beta []float64, covariance *mat.SymDense, n, contributors int, means []float64) *Model {
	estimates, cov := d.original(beta, covariance)
	p := len(d.kept)
	m := &Model{
		Kind:         study.GLM,
		Family:       d.study.Model.Family,
		Transform:    string(d.study.Outcome.Scale),
		Outcome:      d.study.Outcome.Column,
		Unit:         d.study.Outcome.Unit,
		N:            n,
		Contributors: contributors,
		Dropped:      d.dropped(),
		Ridge:        d.study.Model.Ridge,
		DFResidual:   n - p,
		Covariance:   make([]float64, 0, p*p),
	}
	for i, j := range d.kept {
		se := math.Sqrt(cov.At(i, i))
		statistic := estimates[i] / se
		m.Terms = append(m.Terms, Term{Name: d.terms[j].Name, Estimate: estimates[i], StdError: se, Statistic: statistic, Mean: means[j]})
		for k := range p {
			m.Covariance = append(m.Covariance, cov.At(i, k))
		}
	}
	return m
}

// Coefficients of the model over all terms of the study; 0 for one left out.
func (m *Model) Coefficients(s *study.Study) []float64 {
	byName := make(map[string]float64, len(m.Terms))
	for _, t := range m.Terms {
		byName[t.Name] = t.Estimate
	}
	terms := s.Terms()
	out := make([]float64, len(terms))
	for j, t := range terms {
		out[j] = byName[t.Name]
	}
	return out
}

// Interval is the 95% confidence interval of a term's coefficient.
func (m *Model) Interval(t Term) (lower, upper float64) {
	margin := m.quantile() * t.StdError
	return t.Estimate - margin, t.Estimate + margin
}

// quantile of the distribution behind the model's intervals: Student's t with
// the residual degrees of freedom, or the normal.
func (m *Model) quantile() float64 {
	if m.Family == study.Gaussian {
		return distuv.StudentsT{Sigma: 1, Nu: float64(m.DFResidual)}.Quantile((1 + Level) / 2)
	}
	return distuv.UnitNormal.Quantile((1 + Level) / 2)
}
