package fairness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/noise"
	"github.com/consilium-fl/consilium/study"
)

// StepNoisy opens all that an audit under noise asks: one sum, in which every
// number of every hospital carries its share of the noise.
//
// The patients are divided once, into base cells, the finest combinations of the
// declared attributes; groups are sums of these. Of each cell three things are
// asked, and a patient is in one cell:
//
//   - how many patients are of each class. The classes exclude each other: of a
//     binary outcome whether the patient has it and between which thresholds the
//     prediction lies; of a number how far off it is, and to which side; of a survival
//     outcome when the follow-up ended, and whether with the event. Sizes, confusion
//     matrices and shares are sums of classes. One patient changes one count, by 1.
//   - the sum of the errors: of those that are too high and of those that are too
//     low apart, so that one patient changes one of the two, by at most the clip; of
//     a binary outcome the sum of the predictions, of a survival outcome that of the
//     expected events.
//   - the sum of their squares; of a survival outcome that of the predicted risks at
//     the declared times, where there are any.
//
// Half of epsilon goes to the counts, the rest in equal parts to the sums. That is all
// that leaves a hospital about the groups, so it is all that has to be paid for.
const StepNoisy = "fairness/noisy"

// steps of the grid on which errors and their squares are added up: fixed-point
// numbers, since noise of floating-point numbers does not hide what it should.
const steps = 1024

// noisyField is a run of the vector, width numbers for each base cell.
type noisyField struct {
	name  string
	width int
	scale noise.Scale
	bound float64 // with the noise
	unit  float64 // what 1 is in the report
}

func noisyFields(s *study.Study) []noisyField {
	epsilon := uint64(s.Fairness.Noise.Epsilon) // thousandths
	counted := noise.Scale{Epsilon: epsilon, Sensitivity: 2 * 1000}
	summed := noise.Scale{Epsilon: epsilon, Sensitivity: 4 * 1000 * steps}
	// As much room for the noise as for the patients: e^-400000 is the chance of more.
	fields := []noisyField{{"classes", Classes(s), counted, 2 * maxRows, 1}}
	clip := clip(s)
	if s.Outcome.Type == study.Survival {
		times := len(s.Fairness.Times)
		if times == 0 {
			summed.Sensitivity /= 2 // the one sum has the other half of epsilon
		}
		fields = append(fields, noisyField{"expected", len(horizons(s)), summed, 2 * maxRows * steps, clip / steps})
		if times > 0 {
			fields = append(fields, noisyField{"risks", times, summed, 2 * maxRows * steps, 1.0 / steps})
		}
		return fields
	}
	if s.Outcome.Type == study.Binary {
		fields = append(fields, noisyField{"predicted", 1, summed, 2 * maxRows * steps, 1.0 / steps})
	} else {
		fields = append(fields, noisyField{"high", 1, summed, 2 * maxRows * steps, clip / steps}, noisyField{"low", 1, summed, 2 * maxRows * steps, clip / steps})
	}
	return append(fields, noisyField{"squares", 1, summed, 2 * maxRows * steps, clip * clip / steps})
}

// clip is the largest error that counts as such, in the outcome's unit or as a
// probability; of a survival outcome the most events that are expected of a patient.
func clip(s *study.Study) float64 {
	if s.Outcome.Type == study.Binary {
		return 1
	}
	return s.Fairness.Noise.Clip
}

// Classes of a patient whose outcome is a number.
const (
	within10 = iota // of the actual outcome
	within20
	low30 // beyond 20% and within 30%, too low
	high30
	lower // beyond 30%
	higher
	doseClasses
)

// Classes is how many there are of patients in each base cell.
func Classes(s *study.Study) int {
	switch s.Outcome.Type {
	case study.Binary:
		return 2 * (len(s.Fairness.Thresholds) + 1)
	case study.Survival:
		return 2 * (len(noisyEnds(s)) + 1) * (len(s.Fairness.Noise.Risks) + 1)
	}
	return doseClasses
}

// classOf is the class of a patient.
func classOf(s *study.Study, predicted, y float64) int {
	if s.Outcome.Type == study.Binary {
		// those without the outcome first; then by how many thresholds are reached
		return int(y)*(len(s.Fairness.Thresholds)+1) + band(s.Fairness.Thresholds, predicted)
	}
	e := predicted - y
	low := e < 0
	for i, share := range closeness {
		if math.Abs(e) > share*math.Abs(y) {
			continue
		}
		switch {
		case i == 0:
			return within10
		case i == 1:
			return within20
		case low:
			return low30
		}
		return high30
	}
	if low {
		return lower
	}
	return higher
}

func noisyLayout(s *study.Study) (out []compute.Field) {
	cells := s.Fairness.BaseCells()
	for _, f := range noisyFields(s) {
		out = append(out, compute.Field{Name: f.name, Length: cells * f.width, Bound: f.bound})
	}
	return out
}

func noisyParameters(s *study.Study, parameters []byte) error {
	if s.Fairness.Noise == nil || len(parameters) != 0 {
		return errors.New("noisy sums are asked for without parameters, in a study that declares noise")
	}
	return nil
}

func noisySteps(s *study.Study) []compute.StepSummary {
	return []compute.StepSummary{{Step: StepNoisy, Rounds: 1, Fields: noisyLayout(s),
		Purpose: "how far the model is off in each combination of groups: counts and sums of errors, to which every hospital adds its share of random noise"}}
}

// base is the crossing of all attributes.
func base(s *study.Study) crossing {
	c := crossing{size: s.Fairness.BaseCells()}
	stride := c.size
	for a, attribute := range s.Fairness.Attributes {
		stride /= len(attribute.Levels) + 1
		c.attributes, c.strides = append(c.attributes, a), append(c.strides, stride)
	}
	return c
}

// AnswerNoisy is a site's vector under noise. It needs a source of randomness, which
// outside of tests is crypto/rand: there is no form of the step without noise. The sum
// is not opened over fewer hospitals than are required, who make the noise together; 0
// is the study's minimum.
func AnswerNoisy(s *study.Study, parameters []byte, m *study.Matrix, f Forecast, required int, random io.Reader) ([]float64, error) {
	switch {
	case m.Rows() > maxRows:
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	case len(f.Values) != m.Rows():
		return nil, fmt.Errorf("%d predictions for %d records", len(f.Values), m.Rows())
	case s.HasBaseline() && f.Free == nil:
		return nil, errors.New("the model predicts no survival")
	case random == nil:
		return nil, errors.New("noise needs a source of randomness")
	}
	if err := noisyParameters(s, parameters); err != nil {
		return nil, err
	}
	values, err := quiet(s, m, f, random)
	if err != nil {
		return nil, fmt.Errorf("the sums cannot be rounded: %w", err)
	}
	left := values
	for _, field := range noisyFields(s) {
		length := s.Fairness.BaseCells() * field.width
		if err := noise.Add(left[:length], field.scale, s.Holders(required), field.bound, random); err != nil {
			clear(values)
			return nil, err
		}
		left = left[length:]
	}
	return values, nil
}

// quiet is the vector before the noise.
func quiet(s *study.Study, m *study.Matrix, f Forecast, random io.Reader) ([]float64, error) {
	if s.Outcome.Type == study.Survival {
		return quietSurvival(s, m, f, bufio.NewReader(random))
	}
	cells, width, clip := base(s), Classes(s), clip(s)
	binary := s.Outcome.Type == study.Binary
	counts := make([]float64, cells.size*width)
	first, low, squares := make([]float64, cells.size), make([]float64, cells.size), make([]float64, cells.size)
	for i, p := range f.Values {
		if math.IsNaN(p) {
			continue
		}
		at, y := cells.at(func(a int) int { return m.Group(i, a) }), m.Outcome(i)
		counts[at*width+classOf(s, p, y)]++
		e := min(max((p-y)/clip, -1), 1)
		squares[at] += math.Round(steps * e * e)
		switch {
		case binary:
			first[at] += math.Round(steps * p)
		case e < 0:
			low[at] += math.Round(steps * -e)
		default:
			first[at] += math.Round(steps * e)
		}
	}
	if binary {
		return slices.Concat(counts, first, squares), nil
	}
	return slices.Concat(counts, first, low, squares), nil
}
