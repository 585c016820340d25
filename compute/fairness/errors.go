// Package fairness audits for whom a model errs, and how sure that is.
//
// After the fit every hospital computes, for each declared group of its own
// patients, the sums that the error measures are made of: vectors in the secure
// sum. Only totals over all hospitals are opened, so the audit tells about
// groups of patients and never about a hospital; each hospital can compare its
// own figures with the whole's on its own machine (Local).
//
// What is opened is decided before any error is. First the sizes of the groups
// are opened, and in how many hospitals they have patients; then, of those that
// are large enough, whether one hospital dominates them. A group that does not
// pass is not part of any further vector. Where a single small group of an
// attribute could be had as the rest of the others, it is counted with the
// largest of them, which changes that one least; what else would give a withheld
// group away is withheld too (package disclosure). Then the errors are opened,
// and each rate passes the same gate before it is in the report.
//
// A study can declare noise instead. Then one sum is opened, over the finest
// combinations of the attributes, which every hospital has made noisy before it
// encrypts; nothing about a group is exact, so nothing needs to be gated (StepNoisy).
//
// The audit never says that a model is fair. For each pair of groups it says
// whether a disparity beyond a stated margin was found, was not found, or
// cannot be told from so few patients.
//
// Intervals are at 95%: Wilson for proportions, Newcombe's hybrid for their
// differences, Student's t for means, of the logarithm for those that cannot be
// negative, the delta method for ratios and R², draws of the opened counts for what
// is made of several counts. What each covers, of few patients and of outcomes that
// are rare, is measured: TestIntervalsHold, TestLimitsOfTheRankingHold.
package fairness

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Step opens the errors.
const Step = "fairness/errors"

const (
	maxRows  = 1 << 24 // of one site
	fracBits = 60
	// An error beyond this many widths of the outcome's declared range counts
	// as this large, so that one absurd prediction cannot burst the encoding.
	// How many were cut is part of the report.
	mostWidths = 2
	bins       = 10  // of the calibration curve of probabilities
	scores     = 100 // bins of the probabilities, for the area under the curve
	mostLoss   = 64  // log loss of one patient
	// mostFold cuts the logarithm of predicted over actual; a prediction of zero
	// or less has it too.
	mostFold = 8
)

// question is what an audit asks: which groups are part of the vector, and which
// of them are compared within hospitals. The predictions that it judges are
// asked for beside it.
type question struct {
	Prevalence *float64 `json:"prevalence,omitempty"` // binary, where the study declares no thresholds: the second one
	HalfWidth  *float64 `json:"half_width,omitempty"` // of the released prediction interval, where there is one
	Hospitals  bool     `json:"hospitals,omitempty"`  // are counted by a metric of theirs
	Gaps       []int    `json:"gaps,omitempty"`       // entries of fairness.hospitals by whose gap they are counted
	Groups     grouping `json:"groups,omitempty"`
	Against    []int    `json:"against,omitempty"` // by cell: the one that it is compared with inside each hospital, -1 for none
	Cells      []int    `json:"cells"`             // 0 is all patients; then each attribute's groups, then the intersections'
	// Cuts are, by group of the mitigation's attribute, what stands for the first
	// threshold; nil where it is the same for all.
	Cuts []float64 `json:"cuts,omitempty"`
}

func readQuestion(s *study.Study, parameters []byte) (question, error) {
	var q question
	if err := compute.DecodeParameters(parameters, &q); err != nil {
		return q, err
	}
	if wanted := s.Outcome.Type == study.Binary && s.Fairness.Thresholds == nil; wanted != (q.Prevalence != nil) {
		return q, errors.New("a threshold at the prevalence belongs to a binary outcome without thresholds, and only there")
	}
	if q.Prevalence != nil && !(*q.Prevalence > 0 && *q.Prevalence < 1) {
		return q, errors.New("the prevalence is not between 0 and 1")
	}
	if err := errors.Join(checkHalfWidth(s, q.HalfWidth), q.checkHospitals(s)); err != nil {
		return q, err
	}
	if err := errors.Join(checkCells(s, q.Groups, q.Cells), checkCuts(s, q.Cuts)); err != nil {
		return q, err
	}
	if q.Against == nil {
		return q, nil
	}
	if !slices.ContainsFunc(q.Against, func(r int) bool { return r >= 0 }) {
		return q, errors.New("comparisons of none are a second spelling of no comparisons")
	}
	return q, checkAgainst(s, q.Cells, q.Against)
}

// thresholds of a binary outcome, in the order of the report.
func (q question) thresholds(s *study.Study) []float64 {
	if q.Prevalence != nil {
		return []float64{0.5, *q.Prevalence}
	}
	return s.Fairness.Thresholds
}

// quantity is a field of the vector: width numbers per cell.
type quantity struct {
	name  string
	width int
	bound float64 // on the magnitude for one patient; 0 for a count
}

// Errors are measured in widths of the outcome's range, or as probabilities.
func (q question) quantities(s *study.Study) []quantity {
	switch s.Outcome.Type {
	case study.Survival:
		return survivalQuantities(s)
	case study.Binary:
		t := len(s.Fairness.Thresholds)
		if t == 0 {
			t = 2
		}
		return []quantity{
			{"patients", 1, 0}, {"positives", 1, 0}, {"selected", t, 0}, {"selected_positives", t, 0},
			{"predicted", 1, 1}, {"error", 1, 1}, {"error_squared", 1, 1}, {"error_fourth", 1, 1},
			{"log_loss", 1, mostLoss}, {"log_loss_squared", 1, mostLoss * mostLoss},
			{"bin_patients", bins, 0}, {"bin_positives", bins, 0}, {"bin_predicted", bins, 1},
			{"scores_positive", scores, 0}, {"scores_negative", scores, 0},
		}
	}
	const e, p = mostWidths, mostWidths + 1
	out := []quantity{
		{"patients", 1, 0}, {"within", 3, 0}, {"under", 1, 0}, {"over", 1, 0}, {"cut", 1, 0},
		{"error", 1, e}, {"absolute_error", 1, e}, {"error_squared", 1, e * e}, {"error_fourth", 1, e * e * e * e},
		{"outcome", 1, 1}, {"outcome_squared", 1, 1}, {"outcome_cubed", 1, 1}, {"outcome_fourth", 1, 1},
		{"error_squared_outcome", 1, e * e}, {"error_squared_outcome_squared", 1, e * e},
		{spreadName, spreadBins, 0},
		{"predicted", 1, p}, {"predicted_squared", 1, p * p}, {"predicted_outcome", 1, p},
	}
	if s.Outcome.Range.Lo > 0 {
		out = append(out, quantity{"fold", 1, mostFold}, quantity{"absolute_fold", 1, mostFold}, quantity{"fold_squared", 1, mostFold * mostFold})
	}
	if k := len(s.Fairness.Bands) + 1; k > 1 {
		out = append(out, quantity{"bands", k * k, 0}) // actual by predicted
	}
	if q.HalfWidth != nil {
		out = append(out, intervalQuantities()...)
	}
	return out
}

// layout is the vector of the question.
func (q question) layout(s *study.Study) []compute.Field {
	var fields []compute.Field
	for _, x := range q.quantities(s) {
		f := compute.Field{Name: x.name, Length: q.cellsOf(s, x) * x.width, Bound: maxRows}
		if x.bound > 0 {
			f.FracBits, f.Bound = fracBits, maxRows*x.bound
		}
		if x.bound >= maxRows { // pairs of patients, or their squares
			f.FracBits = 0
		}
		fields = append(fields, f)
	}
	if compared := q.compared(); compared > 0 {
		fields = append(fields, withinLayout(s, compared)...)
	}
	if entries := q.counted(s); entries != nil {
		fields = append(fields, hospitalsLayout(s, entries)...)
	}
	return fields
}

// check makes sure that the sum is one of the question.
func (q question) check(s *study.Study, sum compute.Sum) error {
	for _, f := range q.layout(s) {
		if len(sum.Field(f.Name)) != f.Length {
			return fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	for i := range q.Cells {
		if n := sum.Field("patients")[i]; n < -0.5 {
			return errors.New("the opened sums are not counts")
		}
	}
	return nil
}

func (q question) compared() (n int) {
	for _, r := range q.Against {
		if r >= 0 {
			n++
		}
	}
	return n
}

// Layout is the vector of a step.
func Layout(s *study.Study, step string, parameters []byte) ([]compute.Field, error) {
	switch step {
	case StepNoisy:
		if err := noisyParameters(s, parameters); err != nil {
			return nil, err
		}
		return noisyLayout(s), nil
	case StepSizes:
		return sizesLayout(s), noParameters(s, parameters)
	case StepShares:
		q, err := readShares(s, parameters)
		if err != nil || s.Fairness.Attributes == nil {
			return nil, errors.Join(err, errors.New("the study has no groups"))
		}
		return sharesLayout(len(q.Cells)), nil
	case StepHospitals:
		if len(parameters) != 0 || s.Fairness.Hospitals == nil {
			return nil, errors.New("hospitals are counted without parameters, in a study that declares it")
		}
		return eligibleLayout(s), nil
	case Step:
		q, err := readQuestion(s, parameters)
		if err != nil {
			return nil, err
		}
		return q.layout(s), nil
	case StepRecalibration:
		q, err := readRecalibration(s, parameters)
		if err != nil {
			return nil, err
		}
		return recalibrationLayout(len(q.Cells)), nil
	}
	return nil, fmt.Errorf("the audit has no step %q", step)
}

func noParameters(s *study.Study, parameters []byte) error {
	if len(parameters) != 0 {
		return errors.New("the sizes of the groups are asked for without parameters")
	}
	if s.Fairness.Attributes == nil {
		return errors.New("the study has no groups")
	}
	return nil
}

// Steps are those of the audit.
func Steps(s *study.Study) []compute.StepSummary {
	if s.Fairness.Noise != nil {
		return noisySteps(s)
	}
	all := len(cells(s))
	most := question{Cells: make([]int, all), Hospitals: s.Fairness.Hospitals != nil, Gaps: hospitalGaps(s)}
	for i := range most.Cells {
		most.Cells[i] = i
	}
	if s.Validation.Kind != "" {
		most.HalfWidth = new(float64)
	}
	if pairedMeasures(s) != nil {
		most.Against = make([]int, all)
		most.Against[0] = -1
	}
	errors := compute.StepSummary{Step: Step, Rounds: 1, Fields: most.layout(s),
		Purpose: "how far the model is off in each group of patients that may be shown: counts and sums of errors"}
	var steps []compute.StepSummary
	if s.Fairness.Attributes != nil {
		steps = append(steps,
			compute.StepSummary{Step: StepSizes, Rounds: 1, Fields: sizesLayout(s),
				Purpose: "how many patients each group of the audit has, and how many hospitals have one of them"},
			compute.StepSummary{Step: StepShares, Rounds: 1, Fields: sharesLayout(all),
				Purpose: "whether one hospital has nearly all patients of a group, and how many hospitals have enough of it for a comparison"})
	}
	if s.Fairness.Hospitals != nil {
		steps = append(steps, compute.StepSummary{Step: StepHospitals, Rounds: 1, Fields: eligibleLayout(s),
			Purpose: "how many hospitals have enough patients to be counted by a figure of their own"})
	}
	steps = append(steps, errors)
	if s.Outcome.Type == study.Binary {
		steps = append(steps, compute.StepSummary{Step: StepRecalibration, Rounds: mostSteps, Fields: recalibrationLayout(all),
			Purpose: "whether probabilities are too extreme or not extreme enough in each large group: sums of a logistic regression on the predicted odds"})
	}
	return steps
}

// Forecast is what models say of a site's records.
type Forecast struct {
	// Values are those of a compute.Predictor, one for each record; a record whose
	// prediction is NaN is not part of the audit.
	Values []float64
	// Free is the predicted chance of a record to be free of the event at a time;
	// nil where the study's model has no baseline.
	Free func(record int, time float64) float64
}

// Answer is a site's vector.
func Answer(s *study.Study, step string, parameters []byte, m *study.Matrix, f Forecast) ([]float64, error) {
	predictions := f.Values
	switch {
	case m.Rows() > maxRows:
		return nil, fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	case len(predictions) != m.Rows():
		return nil, fmt.Errorf("%d predictions for %d records", len(predictions), m.Rows())
	case s.HasBaseline() && f.Free == nil:
		return nil, errors.New("the model predicts no survival")
	}
	if _, err := Layout(s, step, parameters); err != nil {
		return nil, err
	}
	switch step {
	case StepNoisy:
		return nil, errors.New("a step under noise is answered with randomness of the site")
	case StepSizes:
		return answerSizes(s, m, predictions), nil
	case StepHospitals:
		return answerEligible(s, m, predictions), nil
	case StepShares:
		q, err := readShares(s, parameters)
		if err != nil {
			return nil, err
		}
		return q.answer(s, m, predictions), nil
	case StepRecalibration:
		q, err := readRecalibration(s, parameters)
		if err != nil {
			return nil, err
		}
		return q.answer(s, m, predictions), nil
	}
	q, err := readQuestion(s, parameters)
	if err != nil {
		return nil, err
	}
	return q.answer(s, m, f), nil
}

// entry is what one patient adds to a quantity.
type entry struct {
	quantity, at int
	value        float64
}

func (q question) answer(s *study.Study, m *study.Matrix, f Forecast) []float64 {
	predictions := f.Values
	list := q.quantities(s)
	index := make(map[string]int, len(list))
	start, has := make([]int, len(list)), make([]int, len(list)) // where a quantity begins, and how many cells have it
	length := 0
	for k, x := range list {
		index[x.name], start[k], has[k] = k, length, q.cellsOf(s, x)
		length += has[k] * x.width
	}
	position := q.positions(s)
	crossings, thresholds := crossings(s), q.thresholds(s)
	sums := compute.NewAccumulator(length)
	var entries []entry
	member := make([]int, 0, len(crossings))
	add := func(name string, at int, value float64) {
		if value != 0 {
			entries = append(entries, entry{index[name], at, value})
		}
	}
	for r := range m.Rows() {
		if math.IsNaN(predictions[r]) {
			continue
		}
		entries = entries[:0]
		add("patients", 0, 1)
		switch s.Outcome.Type {
		case study.Survival:
			survivalErrors(add, s, m.Outcome(r), m.Event(r), func(time float64) float64 { return f.Free(r, time) })
		case study.Binary:
			binaryErrors(add, predictions[r], m.Outcome(r), q.cut(s, thresholds, m, r))
		default:
			doseErrors(add, predictions[r], m.Outcome(r), *s.Outcome.Range, s.Fairness.Bands)
			if q.HalfWidth != nil {
				intervalErrors(add, predictions[r], m.Outcome(r), *q.HalfWidth, *s.Outcome.Range)
			}
		}
		member = member[:0]
		for _, c := range crossings {
			if i := position[c.at(func(a int) int { return q.Groups.of(a, m.Group(r, a)) })]; i >= 0 {
				member = append(member, i)
			}
		}
		for _, e := range entries {
			for _, i := range member {
				if i >= has[e.quantity] {
					continue
				}
				sums.Add(start[e.quantity]+i*list[e.quantity].width+e.at, e.value)
			}
		}
	}
	if s.Outcome.Type == study.Survival {
		for i, p := range q.pairs(s, m, predictions) {
			for k, v := range []float64{p.concordant, p.tied, p.comparable, p.surplus2, p.surplusPairs, p.pairs2} {
				name := [...]string{"concordant", "tied", "comparable", "surplus_squared", "surplus_pairs", "pairs_squared"}[k]
				sums.Add(start[index[name]]+i, v)
			}
		}
	}
	values := sums.Values()
	if q.compared() > 0 {
		values = append(values, q.withinSite(s, list, start, values)...)
	}
	if q.counted(s) != nil {
		values = append(values, hospitalAnswer(s, q, m, predictions, func(name string, cell, k int) float64 {
			return values[start[index[name]]+cell*list[index[name]].width+k]
		})...)
	}
	return values
}

// positions are, by cell, its place in the vector; -1 for none.
func (q question) positions(s *study.Study) []int {
	position := make([]int, len(cells(s)))
	for i := range position {
		position[i] = -1
	}
	for i, c := range q.Cells {
		position[c] = i
	}
	return position
}

// closeness are the shares of the actual outcome within which a dose counts as
// right.
var closeness = []float64{0.1, 0.2, 0.3}

// doseErrors adds one patient's quantities.
func doseErrors(add func(string, int, float64), predicted, y float64, r study.Range, bands []float64) {
	width := r.Hi - r.Lo
	e := predicted - y
	for i, share := range closeness {
		add("within", i, one(math.Abs(e) <= share*math.Abs(y)))
	}
	if math.Abs(e) > closeness[1]*math.Abs(y) {
		add("under", 0, one(e < 0))
		add("over", 0, one(e > 0))
	}
	// Differences first: outcome and prediction are measured from the bottom
	// of the range.
	actual := (y - r.Lo) / width
	scaled := e / width
	if math.Abs(scaled) > mostWidths {
		scaled = math.Copysign(mostWidths, scaled)
		add("cut", 0, 1)
	}
	p, square := actual+scaled, scaled*scaled
	add("error", 0, scaled)
	add("absolute_error", 0, math.Abs(scaled))
	add(spreadName, spreadBin(math.Abs(scaled)), 1)
	add("error_squared", 0, square)
	add("error_fourth", 0, square*square)
	add("outcome", 0, actual)
	add("outcome_squared", 0, actual*actual)
	add("outcome_cubed", 0, actual*actual*actual)
	add("outcome_fourth", 0, actual*actual*actual*actual)
	add("error_squared_outcome", 0, square*actual)
	add("error_squared_outcome_squared", 0, square*actual*actual)
	add("predicted", 0, p)
	add("predicted_squared", 0, p*p)
	add("predicted_outcome", 0, p*actual)
	if r.Lo > 0 {
		fold := -float64(mostFold)
		if predicted > 0 {
			fold = min(max(math.Log(predicted/y), -mostFold), mostFold)
		}
		add("fold", 0, fold)
		add("absolute_fold", 0, math.Abs(fold))
		add("fold_squared", 0, fold*fold)
	}
	if bands != nil {
		add("bands", band(bands, y)*(len(bands)+1)+band(bands, predicted), 1)
	}
}

// band is how many cuts are at or below x.
func band(cuts []float64, x float64) int {
	n := 0
	for n < len(cuts) && cuts[n] <= x {
		n++
	}
	return n
}

func binaryErrors(add func(string, int, float64), p, y float64, thresholds []float64) {
	add("positives", 0, y)
	for i, t := range thresholds {
		add("selected", i, one(p >= t))
		add("selected_positives", i, one(p >= t)*y)
	}
	e := p - y
	square := e * e
	add("predicted", 0, p)
	add("error", 0, e)
	add("error_squared", 0, square)
	add("error_fourth", 0, square*square)
	loss := min(-math.Log(p), mostLoss)
	if y == 0 {
		loss = min(-math.Log1p(-p), mostLoss)
	}
	add("log_loss", 0, loss)
	add("log_loss_squared", 0, loss*loss)
	bin := min(int(p*bins), bins-1)
	add("bin_patients", bin, 1)
	add("bin_positives", bin, y)
	add("bin_predicted", bin, p)
	if score := min(int(p*scores), scores-1); y == 1 {
		add("scores_positive", score, 1)
	} else {
		add("scores_negative", score, 1)
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
