package glm

import (
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Model is a fitted model in original units. It holds no record and nothing of
// a single site, and marshals to JSON without losing a bit.
type Model struct {
	Kind         string `json:"kind"`
	Family       string `json:"family"`
	Link         string `json:"link"`      // identity, logit or log
	Transform    string `json:"transform"` // of the outcome before the fit: identity, sqrt, log
	Outcome      string `json:"outcome"`   // column
	Unit         string `json:"unit,omitempty"`
	Offset       string `json:"offset,omitempty"`    // column
	Weights      string `json:"weights,omitempty"`   // column
	N            int    `json:"n"`                   // patients, with a weight above 0
	Positives    *int   `json:"positives,omitempty"` // binomial; not where these or the others are below the minimum cell
	Contributors int    `json:"contributors"`
	// Terms begin with the intercept. With fixed site effects it is the mean of
	// the sites' own, weighted with their patients.
	Terms   []Term   `json:"terms"`
	Dropped []string `json:"dropped,omitempty"` // terms that no patient has
	Ridge   float64  `json:"ridge"`

	SiteEffects   string         `json:"site_effects,omitempty"`   // fixed or random
	Sites         *int           `json:"sites,omitempty"`          // that have an effect
	RandomEffects *RandomEffects `json:"random_effects,omitempty"` // of the sites

	// StandardErrors are those of the model or robust, clustered by site: then
	// Clusters is the number G of sites, and the factor G/(G-1) is in them.
	StandardErrors string `json:"standard_errors,omitempty"`
	Clusters       *int   `json:"clusters,omitempty"`

	DFResidual int `json:"df_residual"`
	// Dispersion is sigma^2 = SSE/(n-p) on the transformed scale, of a gamma
	// model Pearson's chi-squared/(n-p), with a random intercept the maximum
	// likelihood's 1/shape, and 1 otherwise.
	Dispersion         float64  `json:"dispersion"`
	DispersionStdError *float64 `json:"dispersion_std_error,omitempty"` // where it is fitted by maximum likelihood
	Theta              *float64 `json:"theta,omitempty"`                // negative binomial: variance mu + mu^2/theta
	ThetaStdError      *float64 `json:"theta_std_error,omitempty"`
	// Deviance is SSE on the transformed scale, or that of the family; without
	// the penalty. That of the null model has an intercept only, or with fixed
	// site effects those of the sites, and the same theta.
	Deviance     float64  `json:"deviance"`
	NullDeviance float64  `json:"null_deviance,omitempty"` // 0, and not in JSON, where no null model is fitted: a random intercept, but of a gaussian model
	R2           *float64 `json:"r2,omitempty"`            // on the transformed scale; gaussian. With fixed site effects, of what varies within sites
	AdjustedR2   *float64 `json:"adjusted_r2,omitempty"`
	McFadden     *float64 `json:"mcfadden_r2,omitempty"` // binomial and counts
	Nagelkerke   *float64 `json:"nagelkerke_r2,omitempty"`
	// LogLike is R's logLik: gaussian at SSE/n, gamma at deviance/n; with a
	// random intercept it is the marginal one, of a gaussian model the restricted
	// one.
	LogLike     float64 `json:"log_likelihood"`
	NullLogLike float64 `json:"null_log_likelihood,omitempty"`
	AIC         float64 `json:"aic"`
	BIC         float64 `json:"bic"`
	Tests       *Tests  `json:"tests,omitempty"`

	PenalisedDeviance *float64 `json:"penalised_deviance,omitempty"` // with a ridge
	EffectiveDF       *float64 `json:"effective_df,omitempty"`

	Iterations int             `json:"iterations"` // rounds of the fit
	Curve      []compute.Point `json:"curve,omitempty"`
	Statistic  string          `json:"statistic"`  // of the terms' tests: t or z
	Covariance []float64       `json:"covariance"` // of the estimates, by rows
}

// Term is a coefficient and the test that it is zero.
type Term struct {
	Name      string  `json:"name"`
	Estimate  float64 `json:"estimate"`
	StdError  float64 `json:"std_error"`
	Statistic float64 `json:"statistic"`
	PValue    float64 `json:"p_value"` // two-sided
	Lower     float64 `json:"lower"`   // of the 95% confidence interval
	Upper     float64 `json:"upper"`
	Mean      float64 `json:"mean"` // of the column over all patients: the baseline of explanations
}

// RandomEffects describe how sites differ in a model with a random intercept.
type RandomEffects struct {
	Method   string   `json:"method"`             // REML, or adaptive Gauss-Hermite quadrature
	Variance float64  `json:"variance"`           // between sites, on the scale of the linear predictor
	Residual float64  `json:"residual,omitempty"` // gaussian: within sites
	ICC      *float64 `json:"icc,omitempty"`      // share of the variance that is between sites; logistic: with pi^2/3 within; none under a log link
	Sites    int      `json:"sites"`
}

// newModel fills in what all families share. beta and covariance are scaled and
// of all kept terms, means are those of all terms in original units.
func (d *design) newModel(beta []float64, covariance *mat.SymDense, n, df, contributors int, means []float64) *Model {
	estimates, cov := d.original(beta, covariance)
	s, p := d.study, len(d.kept)
	m := &Model{
		Kind:         study.GLM,
		Family:       s.Model.Family,
		Transform:    string(s.Outcome.Scale),
		Outcome:      s.Outcome.Column,
		Unit:         s.Outcome.Unit,
		N:            n,
		Contributors: contributors,
		Dropped:      d.dropped(),
		Ridge:        s.Model.Ridge,
		DFResidual:   df,
		Covariance:   make([]float64, 0, p*p),
	}
	if s.Model.Offset != nil {
		m.Offset = s.Model.Offset.Column
	}
	if s.Model.Weights != nil {
		m.Weights = s.Model.Weights.Column
	}
	if s.Model.SiteEffects != study.NoSiteEffects {
		m.SiteEffects = s.Model.SiteEffects
	}
	for i, j := range d.kept {
		m.Terms = append(m.Terms, Term{Name: d.terms[j].Name, Estimate: estimates[i], StdError: math.Sqrt(max(0, cov.At(i, i))), Mean: means[j]})
		for k := range p {
			m.Covariance = append(m.Covariance, cov.At(i, k))
		}
	}
	return m
}

// finish adds what follows from estimates, covariance and likelihoods: tests,
// intervals, shares explained.
func (m *Model) finish(d *design, meat *clusters) {
	m.Statistic = "z"
	if m.RandomEffects == nil && (m.Family == study.Gaussian || m.Family == study.Gamma) {
		m.Statistic = "t" // the dispersion is estimated
	}
	if meat != nil {
		m.StandardErrors, m.Clusters = "robust", &meat.sites
	}
	for i := range m.Terms {
		t := &m.Terms[i]
		t.PValue = 1
		if t.StdError > 0 {
			t.Statistic = t.Estimate / t.StdError
			t.PValue = m.tail(t.Statistic)
		}
		t.Lower, t.Upper = m.Interval(*t)
	}
	m.Tests = m.test(d)
	if m.Family == study.Gaussian || m.Family == study.Gamma || m.RandomEffects != nil || !(m.NullLogLike < 0) {
		return
	}
	mcFadden := 1 - m.LogLike/m.NullLogLike
	n := float64(m.N)
	nagelkerke := math.Expm1(2*(m.NullLogLike-m.LogLike)/n) / math.Expm1(2*m.NullLogLike/n)
	m.McFadden, m.Nagelkerke = &mcFadden, &nagelkerke
}

func (m *Model) tail(statistic float64) float64 {
	if m.Statistic == "t" {
		return studentTail(statistic, float64(m.DFResidual))
	}
	return normalTail(statistic)
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
	if m.Statistic == "t" {
		return distuv.StudentsT{Sigma: 1, Nu: float64(m.DFResidual)}.Quantile((1 + Level) / 2)
	}
	return distuv.UnitNormal.Quantile((1 + Level) / 2)
}
