package glm

import (
	"errors"
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/study"
)

// Level of every interval.
const Level = 0.95

// Prediction for one patient, in outcome units or as a probability.
type Prediction struct {
	Value float64 `json:"value"`
	// Lower and Upper bound a 95% interval. Gaussian: of the patient's outcome
	// (prediction interval). Others: of the probability or the mean (confidence
	// interval, symmetric on the scale of the linear predictor).
	Lower         float64        `json:"lower"`
	Upper         float64        `json:"upper"`
	Baseline      float64        `json:"baseline"` // prediction at the mean of every feature
	Contributions []Contribution `json:"contributions"`
}

// Contribution is what a feature's value does to a prediction, against the
// mean of that feature over the patients of the study. It says how the model
// works, not what causes the outcome.
type Contribution struct {
	Feature string `json:"feature"`
	// Link: sum over the feature's terms of b*(x - mean), on the scale of the
	// linear predictor; that of a product is divided evenly between its features.
	// The contributions of all features add up exactly to the linear predictor
	// minus that of the baseline.
	Link float64 `json:"link"`
	// Change: the prediction minus the prediction with this feature at its mean
	// and the others as they are, in the prediction's units.
	Change float64 `json:"change"`
}

// UnseenLevel says that a patient has a level that no patient of the study had.
type UnseenLevel struct{ Term string }

func (e *UnseenLevel) Error() string {
	return fmt.Sprintf("no patient of the study had %s, so the model cannot predict for this one", e.Term)
}

// Predictor applies a model. It is immutable and safe for concurrent use.
type Predictor struct {
	model    *Model
	study    *study.Study
	family   *family
	terms    []study.Term
	belongs  [][]int // by term of the study: the features whose value it holds
	at       []int   // by term of the study: index in the model, -1 if left out
	quantile float64
	center   float64 // linear predictor at the means
}

// NewPredictor checks that the model belongs to the study.
func NewPredictor(m *Model, s *study.Study) (*Predictor, error) {
	if m.Kind != study.GLM || m.Family != s.Model.Family || m.Outcome != s.Outcome.Column {
		return nil, errors.New("the model is not one of this study")
	}
	p := len(m.Terms)
	if len(m.Covariance) != p*p || m.DFResidual < 1 {
		return nil, errors.New("the model is damaged: its covariance does not fit its terms")
	}
	index := make(map[string]int, p)
	for i, t := range m.Terms {
		index[t.Name] = i
	}
	dropped := make(map[string]bool)
	for _, name := range m.Dropped {
		dropped[name] = true
	}
	out := &Predictor{model: m, study: s, terms: s.Terms(), family: familyOf(s, 0)}
	known := 0
	for _, t := range out.terms {
		i, ok := index[t.Name]
		switch {
		case ok:
			known++
		case dropped[t.Name]:
			i = -1
		default:
			return nil, fmt.Errorf("the model has no term %s, which the study declares", t.Name)
		}
		out.at = append(out.at, i)
		out.belongs = append(out.belongs, featuresOf(out.terms, t))
	}
	if known != p {
		return nil, errors.New("the model has terms that the study does not declare")
	}
	out.quantile = m.quantile()
	for _, t := range m.Terms {
		out.center += t.Estimate * t.Mean
	}
	return out, nil
}

// featuresOf lists the features in a term: one, or the factors of a product.
func featuresOf(terms []study.Term, t study.Term) []int {
	if t.Feature >= 0 {
		return []int{t.Feature}
	}
	var out []int
	for _, factor := range t.Product {
		out = append(out, featuresOf(terms, terms[factor])...)
	}
	return out
}

// Predict takes a row in the order of the study's terms, in original units, of a
// patient whose offset is zero.
func (p *Predictor) Predict(row []float64) (Prediction, error) { return p.PredictWith(row, 0) }

// PredictWith is Predict for a patient with an offset. The baseline has it too.
func (p *Predictor) PredictWith(row []float64, offset float64) (Prediction, error) {
	if len(row) != len(p.terms) {
		return Prediction{}, fmt.Errorf("the row has %d values, the study %d terms", len(row), len(p.terms))
	}
	x := make([]float64, len(p.model.Terms))
	link := make([]float64, len(p.study.Features))
	eta, center := offset, p.center+offset
	for j, t := range p.terms {
		i := p.at[j]
		if i < 0 {
			if row[j] != 0 {
				return Prediction{}, &UnseenLevel{t.Name}
			}
			continue
		}
		x[i] = row[j]
		term := p.model.Terms[i]
		eta += term.Estimate * row[j]
		for _, f := range p.belongs[j] {
			link[f] += term.Estimate * (row[j] - term.Mean) / float64(len(p.belongs[j]))
		}
	}
	variance := 0.0
	for i := range x {
		for k := range x {
			variance += x[i] * p.model.Covariance[i*len(x)+k] * x[k]
		}
	}
	variance = math.Max(variance, 0)
	if p.model.Family == study.Gaussian {
		variance += p.model.Dispersion
		if e := p.model.RandomEffects; e != nil {
			variance += e.Variance
		}
	}
	margin := p.quantile * math.Sqrt(variance)
	out := Prediction{Value: p.inverse(eta), Lower: p.inverse(eta - margin), Upper: p.inverse(eta + margin), Baseline: p.inverse(center)}
	for f, feature := range p.study.Features {
		out.Contributions = append(out.Contributions, Contribution{feature.Column, link[f], out.Value - p.inverse(eta-link[f])})
	}
	return out, nil
}

func (p *Predictor) inverse(eta float64) float64 {
	if p.model.Family == study.Gaussian {
		return p.study.Outcome.Inverse(eta)
	}
	return p.family.mean(eta)
}

// Predict applies a model to one row. To apply it to many, make a Predictor.
func Predict(m *Model, s *study.Study, row []float64) (Prediction, error) {
	p, err := NewPredictor(m, s)
	if err != nil {
		return Prediction{}, err
	}
	return p.Predict(row)
}
