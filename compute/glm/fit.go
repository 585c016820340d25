package glm

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
	"gonum.org/v1/gonum/mat"
)

// Fit is the coordinator's half: it asks for means where the counts do not know
// them, then for what the family needs, then for the scores of robust standard
// errors. The same sums lead it through the same questions.
type Fit struct {
	study   *study.Study
	counts  *describe.Counts
	step    string // of the open question; empty when done
	design  *design
	linear  *linear
	newton  *iteration
	between *between
	mixed   *mixed
	model   *Model
	remarks []compute.Diagnosis
}

// New begins a fit. The counts are those of the study's first sum.
func New(s *study.Study, counts *describe.Counts) (*Fit, error) {
	if err := checkStudy(s); err != nil {
		return nil, err
	}
	f := &Fit{study: s, counts: counts}
	if needsMeans(s) {
		f.step = StepMeans
		return f, nil
	}
	return f, f.begin(&start{means: counts.Means(), outcome: f.meanOutcome()})
}

// meanOutcome is what the counts know of it, on the scale of the fit.
func (f *Fit) meanOutcome() float64 {
	if f.study.Model.Family == study.Binomial {
		return float64(f.counts.Positives) / float64(f.counts.Patients)
	}
	r := f.study.Outcome.Range
	return f.study.Outcome.Transform(min(max(f.counts.MeanOutcome(), r.Lo), r.Hi))
}

// checkStudy refuses ranges that leave a sum no room. All else that has no exact
// answer here the study's parser refuses.
func checkStudy(s *study.Study) error {
	for _, step := range Steps(s) {
		for _, field := range step.Fields {
			if field.Bound > 1 && field.FracBits < leastBits && field.FracBits != 0 || field.FracBits < 0 {
				return fmt.Errorf("the declared ranges are so wide that a sum of %s has no room for digits; narrow the range of the outcome, the weights or the offset", field.Name)
			}
		}
	}
	return nil
}

// leastBits of the fraction that any sum needs.
const leastBits = 12

// begin the fit proper.
func (f *Fit) begin(from *start) error {
	s := f.study
	empty, remarks := f.counts.Empty()
	f.remarks = append(f.remarks, remarks...)
	known := len(empty)
	for _, j := range from.empty {
		if !slices.Contains(empty, j) {
			empty = append(empty, j)
		}
	}
	f.design = newDesign(s, empty, newCentre(s, from.means, from.outcome))
	if names := f.design.namesOf(empty[known:]); len(names) > 0 {
		f.remarks = append(f.remarks, compute.Diagnosis{Kind: compute.EmptyLevel, Terms: names,
			Message: "no patient has these values together, so they have no effect to estimate: left out of the model, which cannot predict for such a patient"})
	}
	if s.Model.Family == study.Gaussian {
		f.step = StepGram
		return nil
	}
	intercept, err := from.intercept(s)
	if err != nil {
		return err
	}
	if s.Model.SiteEffects == study.RandomSiteEffects {
		theta, err := from.firstDispersion(s)
		if err != nil {
			return err
		}
		f.mixed, f.step = newMixed(f.design, intercept, theta, from.means), StepQuadrature
		return nil
	}
	f.newton, f.step = newIteration(f.design, intercept, from.theta(s), from.means), StepNewton
	return nil
}

// intercept of the null model, about.
func (a *start) intercept(s *study.Study) (float64, error) {
	lo, hi := s.Outcome.Bounds()
	if s.Model.Family == study.Binomial {
		if !(a.outcome > 0 && a.outcome < 1) {
			return 0, &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "the outcome is the same for every patient, so nothing distinguishes those who respond"}
		}
		return math.Log(a.outcome/(1-a.outcome)) - a.offset, nil
	}
	if !(a.outcome > 0) {
		return 0, &compute.Diagnosis{Kind: compute.ConstantTarget, Message: "the count is zero for every patient, so there is nothing to explain"}
	}
	return math.Log(min(max(a.outcome, lo/2), hi)) - a.offset, nil
}

// theta of a negative binomial with this mean and variance, about.
func (a *start) theta(s *study.Study) float64 {
	if s.Model.Family != study.NegativeBinomial {
		return 0
	}
	if a.spread <= a.outcome {
		return 100
	}
	return min(max(a.outcome*a.outcome/(a.spread-a.outcome), 0.05), 100)
}

// Next is the question whose sum Absorb expects; asked again it is the same.
func (f *Fit) Next() (q compute.Question, done bool, err error) {
	if f.step == "" {
		return q, true, nil
	}
	q.Step = f.step
	switch f.step {
	case StepGram:
		q.Parameters, err = compute.EncodeParameters(gramParameters{f.design.centre})
	case StepNewton:
		q.Parameters, err = f.newton.parameters()
	case StepBetween:
		q.Parameters, err = f.between.parameters()
	case StepQuadrature:
		q.Parameters, err = f.mixed.parameters()
	case StepScores:
		beta, theta, information := f.estimate()
		q.Parameters, err = scoreQuestion(f.design, beta, theta, information)
	}
	if err != nil {
		return q, false, err
	}
	q.Layout, err = Layout(f.study, q.Step, q.Parameters)
	return q, false, err
}

// Absorb takes the opened sum of the question of Next. An error that is a
// *compute.Diagnosis says why there is no model.
func (f *Fit) Absorb(sum compute.Sum) (err error) {
	switch f.step {
	case StepMeans:
		from, err := readMeans(f.study, sum)
		if err != nil {
			return err
		}
		return f.begin(from)
	case StepGram:
		if f.linear, err = solveLinear(f.design, sum); err != nil {
			return err
		}
		f.remarks = append(f.remarks, f.linear.remarks...)
		if f.study.Model.SiteEffects == study.RandomSiteEffects {
			f.between, f.step = newBetween(f.linear), StepBetween
			return nil
		}
		return f.conclude()
	case StepNewton:
		if err := f.newton.absorb(sum); err != nil || !f.newton.done {
			return err
		}
		return f.conclude()
	case StepBetween:
		if err := f.between.absorb(sum); err != nil || f.between.model == nil {
			return err
		}
		f.model, f.step = f.between.model, ""
		return nil
	case StepQuadrature:
		if err := f.mixed.absorb(sum); err != nil || f.mixed.model == nil {
			return err
		}
		f.model, f.step = f.mixed.model, ""
		return nil
	case StepScores:
		return f.absorbScores(sum)
	}
	return errors.New("the fit is over: no sum is expected")
}

// conclude asks for the scores of robust standard errors, or reports.
func (f *Fit) conclude() error {
	if f.study.Model.Robust {
		f.step = StepScores
		return nil
	}
	f.report(nil)
	return nil
}

func (f *Fit) absorbScores(sum compute.Sum) error {
	_, _, information := f.estimate()
	meat, err := readClusters(f.design, sum, information)
	if err != nil {
		return err
	}
	f.report(meat)
	return nil
}

// estimate is what the fit has arrived at, scaled, with the information there.
func (f *Fit) estimate() (beta []float64, theta float64, information *mat.SymDense) {
	if f.linear != nil {
		return f.linear.beta, 0, f.linear.xtx
	}
	last := f.newton.last
	return last.beta, last.theta, last.information
}

func (f *Fit) report(meat *clusters) {
	if f.linear != nil {
		f.model = f.linear.report(meat)
	} else {
		f.model = f.newton.report(meat)
	}
	f.step = ""
}

// Model is the result, nil until Next says that the fit is done.
func (f *Fit) Model() *Model { return f.model }

// Remarks are diagnoses that did not prevent the fit.
func (f *Fit) Remarks() []compute.Diagnosis { return f.remarks }
