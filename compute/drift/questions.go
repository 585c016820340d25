package drift

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// Steps of a window, in their order.
const (
	// StepSizes opens how many patients each group has in the window, and how many
	// hospitals have one.
	StepSizes = "monitor/sizes"
	// StepShares opens how many hospitals have more than the largest share of a
	// group: none or one.
	StepShares = "monitor/shares"
	// StepWindow opens what was observed and expected, and the histograms.
	StepWindow = "monitor/window"
)

const (
	maxRows  = 1 << 24 // of one site
	fracBits = 60
	// A prediction beyond this many widths of the outcome's declared range counts
	// as this far off, so that one absurd prediction cannot burst the encoding.
	mostWidths = 2
	mostHazard = 64 // expected events of one patient
	closeness  = 0.2
)

// question is what is asked about a window.
type question struct {
	Window   int   `json:"window"`
	Cells    []int `json:"cells,omitempty"`    // that are large enough; 0 is all patients
	Patients []int `json:"patients,omitempty"` // of each, where shares are asked for
}

func readQuestion(s *study.Study, step string, parameters []byte) (q question, err error) {
	if s.Monitor == nil {
		return q, errors.New("the study watches no release")
	}
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if q.Window < 0 || q.Window >= s.Monitor.Windows() {
		return q, errors.New("the study has no such window")
	}
	if (step == StepSizes) != (q.Cells == nil) {
		return q, errors.New("the groups of a window are named once their sizes are known")
	}
	if q.Cells != nil && q.Cells[0] != 0 {
		return q, errors.New("a window begins with all patients")
	}
	all := fairness.NewGroups(s).Len()
	for i, c := range q.Cells {
		if c >= all || i > 0 && c <= q.Cells[i-1] {
			return q, errors.New("the groups of the window are not ascending groups of the study")
		}
	}
	if (step == StepShares) != (q.Patients != nil) || q.Patients != nil && len(q.Patients) != len(q.Cells) {
		return q, errors.New("the sizes of the groups belong to the question about shares")
	}
	for _, n := range q.Patients {
		if n < s.Fairness.MinimumCell {
			return q, errors.New("a group below the minimum cell has no part in a window")
		}
	}
	return q, nil
}

// quantity is a field of the vector: width numbers per group.
type quantity struct {
	name  string
	width int
	bound float64 // on the magnitude for one patient; 0 for a count
}

// quantities of a window. A number and a count are measured in widths of the
// outcome's range from its bottom.
func quantities(s *study.Study) []quantity {
	out := []quantity{{"patients", 1, 0}}
	switch s.Outcome.Type {
	case study.Survival:
		out = append(out, quantity{"observed", 1, 0}, quantity{"expected", 1, mostHazard})
	case study.Binary:
		out = append(out, quantity{"observed", 1, 0}, quantity{"expected", 1, 1}, quantity{"variance", 1, 1}, quantity{"squared", 1, 1})
	default:
		out = append(out, quantity{"observed", 1, 1}, quantity{"expected", 1, mostWidths + 1}, quantity{"squared", 1, mostWidths * mostWidths},
			quantity{"absolute", 1, mostWidths}, quantity{"within", 1, 0})
	}
	out = append(out, quantity{"predictions", len(s.HistogramCuts(study.Predictions)) + 1, 0})
	for f := range s.Features {
		out = append(out, quantity{histogramOf(f), featureBins(s, f), 0})
	}
	return out
}

func histogramOf(feature int) string { return fmt.Sprintf("feature%d", feature) }

// featureBins are the bins of a feature, with one for missing values where the
// model keeps them.
func featureBins(s *study.Study, feature int) int {
	f := s.Features[feature]
	bins := len(f.Levels)
	if f.Type == study.Number {
		bins = len(s.HistogramCuts(f.Column)) + 1
	}
	if s.KeepsMissing() {
		bins++
	}
	return bins
}

func layout(s *study.Study, step string, cells int) []compute.Field {
	switch step {
	case StepSizes:
		all := fairness.NewGroups(s).Len()
		return []compute.Field{{Name: "patients", Length: all, Bound: maxRows}, {Name: "sites", Length: all, Bound: 1}}
	case StepShares:
		return []compute.Field{{Name: "dominated", Length: cells, Bound: 1}}
	}
	var fields []compute.Field
	for _, q := range quantities(s) {
		f := compute.Field{Name: q.name, Length: cells * q.width, Bound: maxRows}
		if q.bound > 0 {
			f.FracBits, f.Bound = fracBits, maxRows*q.bound
		}
		fields = append(fields, f)
	}
	return fields
}

// Layout is the vector of a step.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	q, err := readQuestion(s, step, parameters)
	if err != nil {
		return nil, err
	}
	return layout(s, step, len(q.Cells)), nil
}

// Steps are those of a study that monitors.
func Steps(s *study.Study) []compute.StepSummary {
	all, windows := fairness.NewGroups(s).Len(), s.Monitor.Windows()
	steps := []compute.StepSummary{
		{Step: StepSizes, Purpose: "how many patients each group has in a window of time, and how many hospitals have one of them"},
		{Step: StepShares, Purpose: "whether one hospital has nearly all patients of a group in the window"},
		{Step: StepWindow, Purpose: "of each group that is large enough: what was observed, what the installed model expected, and how many patients are in each bin of its predictions and of each feature"},
	}
	for i := range steps {
		steps[i].Rounds, steps[i].Fields = windows, layout(s, steps[i].Step, all)
	}
	return steps
}

// Forecast is what the installed model says of a site's records.
type Forecast struct {
	Values []float64 // by record, as a compute.Predictor gives them; NaN for one that it cannot know
	// Survival is that of a compute.Survivor, of a survival outcome.
	Survival func(logHazard, time float64) float64
}

// Answer is a site's vector.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix, f Forecast) ([]float64, error) {
	q, err := readQuestion(s, step, parameters)
	switch {
	case err != nil:
		return nil, err
	case m.Rows() > maxRows:
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	case len(f.Values) != m.Rows():
		return nil, fmt.Errorf("%d predictions for %d records", len(f.Values), m.Rows())
	case s.Outcome.Type == study.Survival && f.Survival == nil:
		return nil, errors.New("the release has no baseline, so it expects no number of events")
	}
	groups := fairness.NewGroups(s)
	if step == StepWindow {
		return q.answer(s, groups, m, f), nil
	}
	n := make([]float64, groups.Len())
	var member []int
	for i := range m.Rows() {
		if m.Window(i) != q.Window || math.IsNaN(f.Values[i]) {
			continue
		}
		member = groups.Append(member[:0], m, i)
		for _, c := range member {
			n[c]++
		}
	}
	out := make([]float64, 0, 2*len(n))
	if step == StepSizes {
		out = append(out, n...)
		for _, k := range n {
			out = append(out, one(k > 0))
		}
		return out, nil
	}
	for i, c := range q.Cells {
		out = append(out, one(n[c] > s.Fairness.LargestShare*float64(q.Patients[i])))
	}
	return out, nil
}

func (q question) answer(s *study.Study, groups *fairness.Groups, m *study.Matrix, f Forecast) []float64 {
	list := quantities(s)
	start := make(map[string]int, len(list))
	width := make(map[string]int, len(list))
	length := 0
	for _, x := range list {
		start[x.name], width[x.name] = length, x.width
		length += len(q.Cells) * x.width
	}
	position := make([]int, groups.Len())
	for c := range position {
		position[c] = slices.Index(q.Cells, c)
	}
	sums := compute.NewAccumulator(length)
	cuts := newHistograms(s)
	var member []int
	for i := range m.Rows() {
		if m.Window(i) != q.Window || math.IsNaN(f.Values[i]) {
			continue
		}
		member = groups.Append(member[:0], m, i)
		patient(s, cuts, m, i, f, func(name string, at int, value float64) {
			for _, c := range member {
				if p := position[c]; p >= 0 {
					sums.Add(start[name]+p*width[name]+at, value)
				}
			}
		})
	}
	return sums.Values()
}

// histograms are the cuts of a study's histograms.
type histograms struct {
	predictions []float64
	features    [][]float64 // nil of a category
	missing     []int       // bin of a missing value, by feature
	names       []string
}

func newHistograms(s *study.Study) *histograms {
	h := &histograms{predictions: s.HistogramCuts(study.Predictions)}
	for k, f := range s.Features {
		var cuts []float64
		if f.Type == study.Number {
			cuts = s.HistogramCuts(f.Column)
		}
		h.features, h.missing, h.names = append(h.features, cuts), append(h.missing, featureBins(s, k)-1), append(h.names, histogramOf(k))
	}
	return h
}

// patient adds one patient's quantities.
func patient(s *study.Study, cuts *histograms, m *study.Matrix, i int, f Forecast, add func(name string, at int, value float64)) {
	add("patients", 0, 1)
	predicted, shown := f.Values[i], f.Values[i]
	switch s.Outcome.Type {
	case study.Survival:
		// A baseline counts whoever is there when an interval of the grid begins as
		// at risk in all of it: so does what is expected of it.
		horizon := s.Monitor.Horizon
		until := s.Outcome.Grid[slices.IndexFunc(s.Outcome.Grid, func(end float64) bool { return end >= min(m.Outcome(i), horizon) })]
		add("observed", 0, one(m.Event(i) && m.Outcome(i) <= horizon))
		add("expected", 0, min(-math.Log(f.Survival(predicted, until)), mostHazard))
		shown = 1 - f.Survival(predicted, horizon)
	case study.Binary:
		e := m.Outcome(i) - predicted
		add("observed", 0, m.Outcome(i))
		add("expected", 0, predicted)
		add("variance", 0, predicted*(1-predicted))
		add("squared", 0, e*e)
	default:
		within := *s.Outcome.Range
		actual := (m.Outcome(i) - within.Lo) / (within.Hi - within.Lo)
		e := (predicted - m.Outcome(i)) / (within.Hi - within.Lo)
		e = max(-mostWidths, min(mostWidths, e))
		add("observed", 0, actual)
		add("expected", 0, actual+e)
		add("squared", 0, e*e)
		add("absolute", 0, math.Abs(e))
		add("within", 0, one(math.Abs(predicted-m.Outcome(i)) <= closeness*math.Abs(m.Outcome(i))))
	}
	add("predictions", bin(cuts.predictions, shown), 1)
	for k, feature := range s.Features {
		value := m.Value(i, k)
		at := cuts.missing[k]
		switch {
		case math.IsNaN(value):
		case feature.Type == study.Number:
			at = bin(cuts.features[k], value)
		default:
			at = int(value)
		}
		add(cuts.names[k], at, 1)
	}
}

// bin is how many cuts are at or below x.
func bin(cuts []float64, x float64) int {
	n := 0
	for n < len(cuts) && cuts[n] <= x {
		n++
	}
	return n
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
