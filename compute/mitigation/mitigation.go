// Package mitigation makes, of the same patients, models that err less
// differently for the groups of one attribute, and sets them beside the model
// without mitigation: a curve of how much error in all is traded for how much
// difference, never one number, and which of them is released was declared
// before any of them existed.
//
// Six methods, each from sums over all hospitals:
//
//   - reweigh: a patient of group a and outcome class y weighs
//     n(a) n(y) / (n n(a,y)), so that in the weighted data every group has the
//     outcome as often as the whole (Kamiran and Calders, Knowledge and
//     Information Systems 33, 2012); or n / (groups n(a)), so that every group
//     counts the same. The sums are counts.
//
//   - bounded-group-loss: groups whose loss is above a bound weigh more, by
//     exponentiated gradient over a declared number of rounds; with a bound of 0
//     the worst group's loss is made small (Agarwal, Dudík and Wu, Fair
//     regression, ICML 2019, section 4). The sums are losses by group.
//
//   - recalibrate: predictions of a group are moved along a line of its own, the
//     least squares line of a number or the logistic line of a probability (Cox,
//     Biometrika 45, 1958). The sums are moments, or those of Newton's method. Of a
//     count, a group's predictions are multiplied by its outcomes over those
//     predicted; of a survival outcome, its hazard by its observed events over those
//     expected (Crowson, Atkinson and Therneau, Statistical Methods in
//     Medical Research 25, 2016).
//
//   - thresholds: of a binary outcome, each group is called positive from a
//     probability of its own, so that a declared rate is the same in all at the
//     least cost (Hardt, Price and Srebro, NeurIPS 2016). The sums are
//     histograms of the probability.
//
//   - q-fedavg: of a network, hospitals where it loses more count more in every
//     round (package neural). It evens out hospitals; what that does for groups
//     is what the curve shows.
//
//   - fairfed: of a network, hospitals whose gap between the reference group and
//     the others is near that of all patients count more in every round (package
//     neural).
//
// A method at strength s goes s of the way: weights are 1 + s (w - 1), a line is
// s of the way from the identity, a group's rate is s of the way to the common
// one.
//
// Only groups that the audit would show take part: first their sizes are opened,
// then whether one hospital dominates them, and what does not pass is in no
// further vector. Its patients weigh 1 and have the model's own prediction and
// the common threshold; the report says so.
//
// The methods of the fit leave a model that does not ask for the group.
// Recalibration and thresholds do, and treat two patients who differ in nothing else differently: whether
// that is permitted is a question to the clinic and the law, not to this package.
package mitigation

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Steps, in the order in which they are asked.
const (
	// StepSizes opens how many patients each group has, and how many hospitals
	// have one.
	StepSizes = "mitigation/sizes"
	// StepShares opens whether a hospital has more than the largest share of a
	// group.
	StepShares = "mitigation/shares"
	// StepClasses opens how many patients of a group have each class of the
	// outcome.
	StepClasses = "mitigation/classes"
	// StepLosses opens what the model's predictions lose in each group.
	StepLosses = "mitigation/losses"
	// StepLines opens the sums that a group's line is made of.
	StepLines = "mitigation/lines"
	// StepScores opens how many patients of a group, with and without the
	// outcome, have a probability in each bin.
	StepScores = "mitigation/scores"
)

const (
	maxRows  = 1 << 24 // of one site
	fracBits = 60
	// Predictions and errors of a number are measured in widths of the outcome's
	// declared range, and cut at this many from it.
	mostWidths = 2
	mostLogit  = 15 // of a probability
	mostLoss   = 64 // log loss of one patient
	mostHazard = 64 // cumulative, of one patient, as in the audit
)

// Predicts reports whether the step is about a model's predictions.
func Predicts(step string) bool {
	return step == StepLosses || step == StepLines || step == StepScores
}

// question is what a step asks: of which groups, and what goes with it.
type question struct {
	Groups   []int        `json:"groups"`
	Patients []int        `json:"patients,omitempty"` // shares: of each group, over all hospitals
	At       [][2]float64 `json:"at,omitempty"`       // lines of a binary outcome: where Newton's method stands
}

// read checks a question.
func read(s *study.Study, step string, parameters []byte) (q question, err error) {
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	groups := len(s.Fairness.Attributes[s.Mitigation.Attribute].Levels) + 1
	if len(q.Groups) == 0 {
		return q, errors.New("a step of a mitigation is about no group")
	}
	for i, g := range q.Groups {
		if g < 0 || g >= groups || i > 0 && g <= q.Groups[i-1] {
			return q, errors.New("the groups of a mitigation are not ascending groups of its attribute")
		}
	}
	if wanted := step == StepShares; wanted != (q.Patients != nil) || wanted && len(q.Patients) != len(q.Groups) {
		return q, errors.New("the sizes are not of the groups")
	}
	for _, n := range q.Patients {
		if n < s.Fairness.MinimumCell {
			return q, errors.New("a group below the minimum cell has no part in a mitigation")
		}
	}
	if wanted := step == StepLines && s.Outcome.Type == study.Binary; wanted != (q.At != nil) || wanted && len(q.At) != len(q.Groups) {
		return q, errors.New("the lines are not of the groups")
	}
	for _, line := range q.At {
		for _, x := range line {
			if !(math.Abs(x) <= mostCoefficient) || x == 0 && math.Signbit(x) {
				return q, errors.New("a line is beyond its bounds, or spelt in a second way")
			}
		}
	}
	return q, nil
}

// steps of a method, in order.
func steps(m *study.Mitigation) []string {
	own := map[string]string{
		study.Reweigh: StepClasses, study.BoundedGroupLoss: StepLosses, study.Recalibrate: StepLines, study.GroupThresholds: StepScores,
	}[m.Method]
	if m.Method == study.QFedAvg {
		return nil // what it asks is asked by the network
	}
	if m.Method == study.FairFed || m.Method == study.Reweigh && m.Balance == study.BalanceSize {
		return []string{StepSizes, StepShares}
	}
	return []string{StepSizes, StepShares, own}
}

// Layout is the vector of a step.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	if s.Mitigation == nil || !slices.Contains(steps(s.Mitigation), step) {
		return nil, fmt.Errorf("the study's mitigation has no step %q", step)
	}
	if step == StepSizes {
		if len(parameters) != 0 {
			return nil, errors.New("the sizes of the groups are asked for without parameters")
		}
		return layout(s, step, groupsOf(s)), nil
	}
	q, err := read(s, step, parameters)
	if err != nil {
		return nil, err
	}
	return layout(s, step, len(q.Groups)), nil
}

func groupsOf(s *study.Study) int {
	return len(s.Fairness.Attributes[s.Mitigation.Attribute].Levels) + 1
}

// layout of a step about so many groups.
func layout(s *study.Study, step string, groups int) []compute.Field {
	count := func(name string, each int) compute.Field {
		return compute.Field{Name: name, Length: groups * each, Bound: maxRows}
	}
	total := func(name string, most float64) compute.Field {
		return compute.Field{Name: name, Length: groups, FracBits: fracBits, Bound: maxRows * most}
	}
	switch step {
	case StepSizes:
		return []compute.Field{count("patients", 1), {Name: "sites", Length: groups, Bound: 1}}
	case StepShares:
		return []compute.Field{{Name: "dominated", Length: groups, Bound: 1}}
	case StepClasses:
		return []compute.Field{count("classes", s.Classes())}
	case StepScores:
		bins := len(edges(s)) - 1
		return []compute.Field{count("positives", bins), count("negatives", bins)}
	case StepLosses:
		most := float64(mostLoss)
		if s.Outcome.Type != study.Binary {
			most = mostWidths * mostWidths
		}
		return []compute.Field{count("patients", 1), total("loss", most)}
	}
	if s.Outcome.Type == study.Binary {
		return []compute.Field{count("patients", 1), count("positives", 1),
			total("slope", 1), total("slope_score", 1), total("curvature", 0.25), total("curvature_score", 0.25), total("curvature_score_squared", 0.25)}
	}
	if s.Outcome.Type == study.Survival {
		return []compute.Field{count("patients", 1), count("events", 1), total("expected", mostHazard)}
	}
	if s.Outcome.Type == study.Count {
		return []compute.Field{count("patients", 1), count("cut", 1), total("predicted", mostWidths), total("outcome", 1)}
	}
	const p = mostWidths + 1
	return []compute.Field{count("patients", 1), count("cut", 1), total("predicted", p), total("outcome", 1), total("predicted_squared", p*p), total("predicted_outcome", p)}
}

// Steps are those of the study's mitigation, but for its fits and the errors of
// its models.
func Steps(s *study.Study) []compute.StepSummary {
	m := s.Mitigation
	purposes := map[string]string{
		StepSizes:   "how many patients each group of the mitigation has, and how many hospitals have one of them",
		StepShares:  "whether one hospital has nearly all patients of a group of the mitigation",
		StepClasses: "how many patients of each group that may be shown have each class of the outcome",
		StepLosses:  "what the model's predictions lose in each group that may be shown",
		StepLines:   "sums of predictions and outcomes of each group that may be shown, from which its line is made",
		StepScores:  "how many patients of each group that may be shown, with and without the outcome, have a probability in each bin",
	}
	var out []compute.StepSummary
	for _, step := range steps(m) {
		rounds := 1
		switch {
		case step == StepLosses:
			rounds = 1 + len(m.Strengths)*(m.Rounds-1)
		case step == StepLines && s.Outcome.Type == study.Binary:
			rounds = newtonRounds
		}
		out = append(out, compute.StepSummary{Step: step, Rounds: rounds, Fields: layout(s, step, groupsOf(s)), Purpose: purposes[step]})
	}
	return out
}

// Fits is the most fits that the study's mitigation makes beside the
// one without.
func Fits(m *study.Mitigation) int {
	switch m.Method {
	case study.Reweigh, study.QFedAvg, study.FairFed:
		return len(m.Strengths)
	case study.BoundedGroupLoss:
		return len(m.Strengths) * m.Rounds
	}
	return 0
}

// Answer is a site's vector. Predictions are those of the step's model, one for
// each record, of a survival outcome its cumulative hazard until the event, the end
// of its follow-up or [Horizon]. They play no part in a step that Predicts denies; a record whose
// prediction is NaN is not counted.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix, predictions []float64) ([]float64, error) {
	fields, err := Layout(s, step, parameters)
	switch {
	case err != nil:
		return nil, err
	case m.Rows() > maxRows:
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	case Predicts(step) && len(predictions) != m.Rows():
		return nil, fmt.Errorf("%d predictions for %d records", len(predictions), m.Rows())
	}
	q := question{Groups: every(groupsOf(s))}
	if step != StepSizes {
		if q, err = read(s, step, parameters); err != nil {
			return nil, err
		}
	}
	v := newVector(fields)
	position := make([]int, groupsOf(s)) // by group
	for g := range position {
		position[g] = slices.Index(q.Groups, g)
	}
	for i := range m.Rows() {
		at := position[m.Group(i, s.Mitigation.Attribute)]
		if at < 0 || Predicts(step) && math.IsNaN(predictions[i]) {
			continue
		}
		switch step {
		case StepSizes, StepShares:
			v.add("patients", at, 1)
		case StepClasses:
			v.add("classes", at*s.Classes()+s.Class(m.Outcome(i)), 1)
		case StepLosses:
			v.add("patients", at, 1)
			v.add("loss", at, loss(s, predictions[i], m.Outcome(i)))
		case StepLines:
			v.line(s, q, at, predictions[i], m.Outcome(i))
			if s.Outcome.Type == study.Survival && m.Event(i) && m.Outcome(i) <= Horizon(s) {
				v.add("events", at, 1)
			}
		case StepScores:
			name, all := "negatives", edges(s)
			if m.Outcome(i) == 1 {
				name = "positives"
			}
			v.add(name, at*(len(all)-1)+bin(all, predictions[i]), 1)
		}
	}
	return v.values(step, q, s), nil
}

func every(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// vector collects a site's sums under the names of their fields.
type vector struct {
	fields []compute.Field
	sums   map[string]*compute.Accumulator
}

func newVector(fields []compute.Field) vector {
	v := vector{fields, map[string]*compute.Accumulator{}}
	for _, f := range fields {
		v.sums[f.Name] = compute.NewAccumulator(f.Length)
	}
	if v.sums["patients"] == nil { // the shares are made of counts
		v.sums["patients"] = compute.NewAccumulator(fields[0].Length)
	}
	return v
}

func (v vector) add(name string, at int, x float64) { v.sums[name].Add(at, x) }

// values in the order of the layout. What hospitals count about themselves is
// made of their patients.
func (v vector) values(step string, q question, s *study.Study) (out []float64) {
	patients := v.sums["patients"].Values()
	for i, n := range patients {
		switch {
		case step == StepSizes && n > 0:
			v.add("sites", i, 1)
		case step == StepShares && n > s.Fairness.LargestShare*float64(q.Patients[i]):
			v.add("dominated", i, 1)
		}
	}
	for _, f := range v.fields {
		out = append(out, v.sums[f.Name].Values()...)
	}
	return out
}

// check makes sure that a sum has the fields of a layout.
func check(fields []compute.Field, sum compute.Sum) error {
	for _, f := range fields {
		if len(sum.Field(f.Name)) != f.Length {
			return fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	return nil
}

// loss of a prediction: the squared error in widths of the outcome's range, or
// the log loss.
func loss(s *study.Study, p, y float64) float64 {
	if s.Outcome.Type == study.Binary {
		if y == 1 {
			return min(-math.Log(p), mostLoss)
		}
		return min(-math.Log1p(-p), mostLoss)
	}
	e := min(math.Abs(p-y)/(s.Outcome.Range.Hi-s.Outcome.Range.Lo), mostWidths)
	return e * e
}
