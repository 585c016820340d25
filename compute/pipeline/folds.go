package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/mitigation"
	"github.com/consilium-fl/consilium/study"
)

// FoldsStep is the step that fits the models that are only to be tried: all of
// them at once, each on the patients that its fold leaves. A round costs hospitals
// far more than the numbers it carries, so five folds side by side take little
// longer than one model, where one after the other they took five times as long.
const FoldsStep = "validation/folds"

// What one round asks of the folds at most. The rest wait for the next one.
const (
	mostFoldFields  = 2048
	mostFoldNumbers = 1 << 22
)

// folds fits models side by side. Each asks its own questions, in its own order,
// as if it were alone.
type folds struct {
	list    []*fold
	abreast int // of them, in a round
}

// fold is one of the models, with what the study's mitigation makes of it: first
// the counts of its patients, then the fit, then the mitigation.
type fold struct {
	course
	within scope
	models []*Model // once there are all; the first is without mitigation. One that could not be fitted is nil.
}

// newFolds begins the models that leave out the given parts.
func newFolds(s *study.Study, parts []leaveOut, knots [][]float64) (*folds, error) {
	f := &folds{abreast: abreast(s)}
	for _, part := range parts {
		one := &fold{course: course{study: s}, within: scope{LeaveOut: part, Knots: knots}}
		if _, err := one.within.study(s); err != nil {
			return nil, err
		}
		one.begin()
		f.list = append(f.list, one)
	}
	return f, nil
}

func (f *fold) begin() {
	f.count(f.within, func(counts *describe.Counts, _ []study.SiteID) error {
		return f.fit(f.within, counts, func(m *Model, counts *describe.Counts, remarks []compute.Diagnosis) error {
			return f.mitigate(f.within, m, counts, remarks, func(m *Model, _ []compute.Diagnosis) error {
				f.now, f.models = nil, []*Model{m}
				if f.mitigation != nil {
					f.models = f.mitigation.models()
				}
				return nil
			})
		})
	})
}

// asking are the folds whose questions the next round carries.
func (f *folds) asking() (open []*fold) {
	for _, one := range f.list {
		if one.models == nil && len(open) < f.abreast {
			open = append(open, one)
		}
	}
	return open
}

// Next puts the questions of the folds side by side.
func (f *folds) Next() (q compute.Question, done bool, err error) {
	open := f.asking()
	if len(open) == 0 {
		return q, true, nil
	}
	var asked foldsAsked
	for i, one := range open {
		own, _, err := one.now.Next()
		if err != nil {
			return q, false, err
		}
		parameters, err := one.now.wrap(own.Parameters)
		if err != nil {
			return q, false, err
		}
		asked.Folds = append(asked.Folds, foldAsked{own.Step, parameters})
		q.Layout = append(q.Layout, alongside(i, own.Layout)...)
	}
	q.Step = FoldsStep
	q.Parameters, err = compute.EncodeParameters(asked)
	return q, false, err
}

// Absorb gives each fold its part of the sum. What one fold cannot go on from
// ends all: the validation is of all patients or of none.
func (f *folds) Absorb(sum compute.Sum) error {
	for i, one := range f.asking() {
		if err := one.absorb(sum.Part(foldSuffix(i))); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) absorb(sum compute.Sum) error {
	if err := f.now.Absorb(sum); err != nil && !f.diagnosed(err) {
		return err
	}
	return f.settle(f.diagnosed)
}

// diagnosed reports whether the fold goes on after an error: without a model of
// the mitigation that was not to be released.
func (f *fold) diagnosed(err error) bool {
	d, ok := errors.AsType[*compute.Diagnosis](err)
	return ok && f.unfitted(d)
}

// tried are the models beside the parts that they leave out: a list for each
// strength of the mitigation, the first without it; nil where a fold has no model.
func (f *folds) tried() [][]trial {
	all := make([][]trial, len(f.list[0].models))
	for i := range all {
		for _, one := range f.list {
			if one.models[i] == nil {
				all[i] = nil
				break
			}
			all[i] = append(all[i], trial{one.within.LeaveOut, one.models[i]})
		}
	}
	return all
}

// foldsAsked are the public parameters of the step.
type foldsAsked struct {
	Folds []foldAsked `json:"folds"`
}

// foldAsked is a question of one fold: a step of the study within a scope.
type foldAsked struct {
	Step       string          `json:"step"`
	Parameters json.RawMessage `json:"parameters"`
}

// readFolds checks that the questions are of different folds of the study's
// validation, in order, and that each is one that a fold asks.
func readFolds(s *study.Study, parameters []byte) (asked foldsAsked, err error) {
	if s.Validation.Kind != study.KFold && s.Validation.Kind != study.LeaveOneSiteOut {
		return asked, errors.New("the study's validation has no folds")
	}
	if err := compute.DecodeParameters(parameters, &asked); err != nil {
		return asked, err
	}
	if len(asked.Folds) == 0 || len(asked.Folds) > abreast(s) {
		return asked, fmt.Errorf("the step asks of %d folds; 1 to %d in a round", len(asked.Folds), abreast(s))
	}
	var last leaveOut
	for _, one := range asked.Folds {
		if err := belongs(s, one.Step); err != nil {
			return asked, err
		}
		q, err := readFold(s, one)
		if err != nil {
			return asked, err
		}
		if q.LeaveOut.nothing() {
			return asked, errors.New("a fold's question leaves out a part of the patients")
		}
		if !last.nothing() && !last.before(q.LeaveOut) {
			return asked, errors.New("the folds are not in order, or one is there twice")
		}
		last = q.LeaveOut
	}
	return asked, nil
}

// readFold reads the scope of one question: of the model, or of the mitigation.
func readFold(s *study.Study, one foldAsked) (scope, error) {
	if mitigation.Predicts(one.Step) {
		q, _, err := readLooked(s, one.Parameters)
		return q.scope, err
	}
	if !mitigates(one.Step) {
		if _, err := halfOf(one.Step); err != nil {
			return scope{}, err
		}
	}
	q, _, err := readScoped(s, one.Parameters)
	return q.scope, err
}

// before orders the parts of one validation.
func (l leaveOut) before(other leaveOut) bool {
	if l.Fold != nil && other.Fold != nil {
		return *l.Fold < *other.Fold
	}
	return slices.Compare(l.Sites, other.Sites) < 0
}

// foldsLayout is the layout of the step: those of the questions, one after the
// other.
func foldsLayout(s *study.Study, parameters []byte) (layout []compute.Field, err error) {
	asked, err := readFolds(s, parameters)
	if err != nil {
		return nil, err
	}
	for i, one := range asked.Folds {
		own, err := Layout(s, one.Step, one.Parameters)
		if err != nil {
			return nil, err
		}
		layout = append(layout, alongside(i, own)...)
	}
	return layout, nil
}

// answerFolds is a site's vector: its answers to the questions, one after the
// other.
func answerFolds(s *study.Study, parameters []byte, site Site) (values []float64, err error) {
	asked, err := readFolds(s, parameters)
	if err != nil {
		return nil, err
	}
	for _, one := range asked.Folds {
		own, err := Answer(s, one.Step, one.Parameters, site)
		if err != nil {
			return nil, err
		}
		values = append(values, own...)
	}
	return values, nil
}

func foldSuffix(i int) string { return fmt.Sprintf("/%d", i) }

// alongside names the fields of the i-th question apart from the others'.
func alongside(i int, layout []compute.Field) []compute.Field {
	own := slices.Clone(layout)
	for k := range own {
		own[k].Name += foldSuffix(i)
	}
	return own
}

// abreast is how many folds one round may carry: what a fold asks at most is
// known from the study.
func abreast(s *study.Study) int {
	fields, numbers := 0, 0
	for _, step := range foldSteps(s) {
		fields, numbers = max(fields, len(step.Fields)), max(numbers, step.Numbers)
	}
	return max(1, min(mostFoldFields/fields, mostFoldNumbers/numbers))
}

// foldSteps are the steps that a fold asks of its own patients.
func foldSteps(s *study.Study) []compute.StepSummary {
	if known, err := s.KnottedEvenly(); err == nil {
		s = known
	}
	counts := compute.StepSummary{Step: describe.Step, Rounds: 1, Fields: describe.CountsLayout(s)}
	return numbered(append([]compute.StepSummary{counts}, mitigationSteps(s, halves[s.Model.Kind].steps(s))...))
}

// foldsSummary tells of the step for so many models beside the one that is
// released. Where a round cannot carry all of them, the first ones go ahead, and
// no round carries fewer as long as so many are open.
func foldsSummary(s *study.Study, models int) compute.StepSummary {
	out := compute.StepSummary{Step: FoldsStep}
	carried := min(models, abreast(s))
	turns, together := 1, "side by side"
	if carried < models {
		turns += models / carried
		together = fmt.Sprintf("%d at a time", carried)
	}
	widest, fewer := 0, false
	var asked []string
	for _, step := range foldSteps(s) {
		part := compute.StepSummary{Step: step.Step, Rounds: turns * step.Rounds, Usual: turns * step.Usual}
		for i := range carried {
			part.Fields = append(part.Fields, alongside(i, step.Fields)...)
		}
		for _, e := range step.Expected {
			e.Rounds *= turns
			var fields []compute.Field
			for i := range carried {
				fields = append(fields, alongside(i, e.Fields)...)
			}
			e.Fields = fields
			part.Expected = append(part.Expected, e)
		}
		out.Parts = append(out.Parts, part)
		out.Rounds += part.Rounds
		if usual := part.Usual; usual != 0 {
			out.Usual, fewer = out.Usual+usual, true
		} else {
			out.Usual += part.Rounds
		}
		if step.Numbers > widest {
			widest, out.Fields = step.Numbers, part.Fields
		}
		asked = append(asked, step.Step)
	}
	if !fewer {
		out.Usual = 0
	}
	out.Purpose = fmt.Sprintf("the %d models that are only tried, %s: what is asked for the one that is released, of the patients that each is fitted to (%s)",
		models, together, strings.Join(asked, ", "))
	return out
}
