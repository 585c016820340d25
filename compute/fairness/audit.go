package fairness

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/compute/validation"
	"github.com/consilium-fl/consilium/study"
)

// Schema names this form of the report.
const Schema = "consilium/fairness-audit/v1"

// States of a group.
const (
	OK           = "ok"
	Suppressed   = "suppressed"    // some patients, but too few to be shown, or needed to hide those of another group
	Merged       = "merged"        // some patients, too few to be shown, counted in the place of another group
	Zero         = "zero"          // no patients
	NotEstimable = "not-estimable" // enough patients, but no measure has a value
)

// Audit is the report. It depends on nothing but the study, the model and the
// opened sums.
type Audit struct {
	Schema       string       `json:"schema"`
	Study        string       `json:"study"` // digest, hex
	Name         string       `json:"name"`
	Version      int          `json:"version"`
	Title        string       `json:"title,omitempty"`
	OutcomeType  string       `json:"outcome_type"`
	Outcome      string       `json:"outcome"`
	Unit         string       `json:"unit,omitempty"`
	Contributors int          `json:"contributors"`
	N            int          `json:"n"`
	MinimumCell  int          `json:"minimum_cell"`
	Unseen       bool         `json:"unseen"`               // every patient was predicted by a model that had not seen it
	Thresholds   []float64    `json:"thresholds,omitempty"` // binary: the declared ones, or 0.5 and the prevalence
	Noise        *Noise       `json:"noise,omitempty"`      // on all counts and sums; nil for none
	Groups       []Group      `json:"groups"`               // all patients first
	Cuts         []Cut        `json:"cuts,omitempty"`       // binary: in place of the first threshold, where groups have their own
	Gaps         []Gap        `json:"gaps"`
	Largest      []Largest    `json:"largest,omitempty"`    // gap of each attribute, beside what chance makes
	Odds         []Odds       `json:"odds,omitempty"`       // binary: gaps of several rates, and between curves
	Within       []Within     `json:"within,omitempty"`     // gaps inside hospitals
	Hospitals    []Hospitals  `json:"hospitals,omitempty"`  // how they differ, where the study asks
	Inequality   []Inequality `json:"inequality,omitempty"` // binary: of what the model calls positive, by attribute
	// Representation is who is in the data, by group of each attribute.
	Representation []Represented `json:"representation,omitempty"`
	Criteria       []Judged      `json:"criteria,omitempty"`
	Decision       *Decision     `json:"decision,omitempty"`    // what the criteria make of the release, where there are any
	Calibration    []Bin         `json:"calibration,omitempty"` // binary: all patients, by predicted probability
	Bands          []float64     `json:"bands,omitempty"`       // cuts between the clinical bands
	Times          []float64     `json:"times,omitempty"`       // survival: at which predicted and observed risks are compared
	HalfWidth      *float64      `json:"half_width,omitempty"`  // of the interval that the model is released with
	Purpose        *Purpose      `json:"purpose,omitempty"`     // of telling patients apart by descent
	Cut            int           `json:"cut"`                   // errors counted as twice the outcome's range
	Hidden         []Hidden      `json:"hidden"`
	Limits         []string      `json:"limits"`
	Progress       []Progress    `json:"progress,omitempty"` // the model as it was on the way
}

// Purpose is what the study states.
type Purpose struct {
	Stratification string `json:"stratification"`
	Basis          string `json:"basis"`
}

// Group is the audit of one group. A measure without a value is in Undefined
// with the reason, not in Metrics.
type Group struct {
	Attribute   string            `json:"attribute"`
	Level       string            `json:"level"`
	N           *int              `json:"n,omitempty"`
	Noise       *float64          `json:"noise,omitempty"` // standard deviation of what the count of patients carries of it; nil for none
	State       string            `json:"state"`
	Metrics     map[string]Metric `json:"metrics,omitempty"`
	Undefined   map[string]string `json:"undefined,omitempty"`
	Withheld    []string          `json:"withheld,omitempty"`    // metrics that would tell of fewer patients than the minimum cell
	As          string            `json:"as,omitempty"`          // the name under which the study joins this group and With
	With        []string          `json:"with,omitempty"`        // groups that are counted in this one's place
	Calibration []Bin             `json:"calibration,omitempty"` // binary: its curve, in steps that the groups of the attribute share
	Bands       []int             `json:"bands,omitempty"`       // patients by actual and, varying faster, by predicted band
}

// Metric is an estimate and its 95% interval, where it has one.
type Metric struct {
	Estimate float64  `json:"estimate"`
	Lower    *float64 `json:"lower,omitempty"`
	Upper    *float64 `json:"upper,omitempty"`
	Method   string   `json:"method,omitempty"` // of the interval
	Bound    *float64 `json:"bound,omitempty"`  // how far the bins it was taken from can move it
}

// Bin is a step of the calibration curve.
type Bin struct {
	From      float64  `json:"from"`
	To        float64  `json:"to"`
	N         *int     `json:"n,omitempty"`
	State     string   `json:"state"`
	Predicted *float64 `json:"predicted,omitempty"` // mean probability
	Observed  *Metric  `json:"observed,omitempty"`  // share with the outcome
}

// Hidden is a group whose figures are withheld.
type Hidden struct {
	Attribute string `json:"attribute"`
	Level     string `json:"level"`
	Why       string `json:"why"`
}

// Flat lists a group's measures as plain numbers: name, name_lower, name_upper.
func (g Group) Flat() map[string]float64 {
	out := make(map[string]float64, 3*len(g.Metrics))
	for name, m := range g.Metrics {
		out[name] = m.Estimate
		if m.Lower != nil {
			out[name+"_lower"] = *m.Lower
		}
		if m.Upper != nil {
			out[name+"_upper"] = *m.Upper
		}
	}
	return out
}

// Group finds a group, nil if the audit has none of that name.
func (a *Audit) Group(attribute, level string) *Group {
	for i := range a.Groups {
		if a.Groups[i].Attribute == attribute && a.Groups[i].Level == level {
			return &a.Groups[i]
		}
	}
	return nil
}

// Session is the coordinator's half of an audit.
type Session struct {
	study     *study.Study
	sizes     Sizes
	gate      *gate // nil until the sizes are opened, and in a study without groups
	shares    *sharesQuestion
	dominated bool           // one hospital has nearly all patients
	hospitals *int           // that have enough patients to be counted by a metric of theirs; nil until they are counted
	gaps      []int          // hospitals that have enough patients of both groups of each gap
	counting  bool           // them is what is asked next
	question  *question      // nil until it is decided what may be opened
	opened    compute.Sum    // of the errors
	refit     *recalibration // of probabilities; nil until the errors are opened, and where it is not asked for
	refits    bool           // whether it is
	beside    *sameData      // of another model for the same patients, whose audit comes first; nil for none
	hidden    sameData       // what this audit withholds
	audit     *Audit         // nil until its sum is absorbed
}

// Sizes are how many patients there are to audit, as the counts have opened
// them.
type Sizes struct {
	Patients  int
	Positives int // of a binary outcome
	Group     func(attribute, group int) int
	Unseen    bool     // the models that predict had not seen these patients
	HalfWidth *float64 // of the interval that the model is released with; nil for none
	// Cuts are, by group of the mitigation's attribute, the probabilities from
	// which the model calls a patient positive; nil where it is the same for all.
	Cuts []float64
}

// New begins an audit of so many patients.
func New(s *study.Study, sizes Sizes) *Session {
	a := &Session{study: s, sizes: sizes, refits: s.Outcome.Type == study.Binary}
	if s.Fairness.Attributes == nil && s.Fairness.Noise == nil {
		a.decided()
	}
	return a
}

// decided goes on when it is known of which groups the errors may be opened.
func (a *Session) decided() {
	if a.counting = a.study.Fairness.Hospitals != nil; !a.counting {
		a.ask(a.sizes.Patients, a.sizes.Positives)
	}
}

// ask settles the question of the errors.
func (a *Session) ask(patients, positives int) {
	q := &question{Cells: []int{0}, Hospitals: a.hospitals != nil && *a.hospitals >= FewestHospitals, Cuts: a.sizes.Cuts, HalfWidth: a.sizes.HalfWidth}
	if a.study.Outcome.Type == study.Binary && a.study.Fairness.Thresholds == nil {
		prevalence := float64(positives) / float64(patients)
		q.Prevalence = &prevalence
	}
	if a.gate != nil {
		q.Groups, q.Cells = a.gate.groups, a.gate.open
		if a.gaps != nil {
			q.Gaps = enoughHospitals(a.study, a.gaps, q.Cells, q.Groups)
		}
		if slices.ContainsFunc(a.gate.against, func(r int) bool { return r >= 0 }) && pairedMeasures(a.study) != nil {
			q.Against = a.gate.against
		}
	}
	a.question = q
}

// Next is the question whose sum Absorb expects.
func (a *Session) Next() (q compute.Question, done bool, err error) {
	switch {
	case a.audit != nil:
		return q, true, nil
	case a.study.Fairness.Noise != nil:
		q = compute.Question{Step: StepNoisy, Layout: noisyLayout(a.study)}
	case a.refit != nil:
		q = compute.Question{Step: StepRecalibration, Layout: recalibrationLayout(len(a.refit.question.Cells))}
		q.Parameters, err = compute.EncodeParameters(a.refit.question)
	case a.question != nil:
		q = compute.Question{Step: Step, Layout: a.question.layout(a.study)}
		q.Parameters, err = compute.EncodeParameters(a.question)
	case a.counting:
		q = compute.Question{Step: StepHospitals, Layout: eligibleLayout(a.study)}
	case a.shares != nil:
		q = compute.Question{Step: StepShares, Layout: sharesLayout(len(a.shares.Cells))}
		q.Parameters, err = compute.EncodeParameters(a.shares)
	default:
		q = compute.Question{Step: StepSizes, Layout: sizesLayout(a.study)}
	}
	return q, false, err
}

// Absorb takes the opened sum.
func (a *Session) Absorb(sum compute.Sum) (err error) {
	switch {
	case a.study.Fairness.Noise != nil:
		a.audit, err = readNoisy(a.study, a.sizes, sum)
		return err
	case a.refit != nil:
		if err = a.refit.absorb(sum); err == nil && a.refit.done {
			a.audit, err = a.read(a.opened)
		}
		return err
	case a.question != nil:
		if err := a.question.check(a.study, sum); err != nil {
			return err
		}
		a.opened = sum
		if a.refits {
			a.refit = newRecalibration(a.study, *a.question, sum)
		}
		if a.refit == nil || a.refit.done {
			a.audit, err = a.read(sum)
		}
		return err
	case a.counting:
		f := sum.Field("eligible")
		if len(f) != 1 {
			return errors.New("the opened sum does not count hospitals")
		}
		hospitals := int(math.Round(f[0]))
		a.hospitals, a.gaps = &hospitals, nil
		for _, n := range sum.Field("eligible_gaps") {
			a.gaps = append(a.gaps, int(math.Round(n)))
		}
		if len(a.gaps) != len(hospitalGaps(a.study)) {
			return errors.New("the opened sum does not count hospitals for each gap")
		}
		a.ask(a.sizes.Patients, a.sizes.Positives)
		return nil
	case a.shares != nil:
		if a.dominated, err = a.gate.absorb(a.shares, sum); err != nil {
			return err
		}
	default:
		if a.gate, err = newGate(a.study, sum); err != nil {
			return err
		}
		if f := sum.Field("positives"); f != nil {
			a.sizes.Positives = int(math.Round(f[0]))
		}
		a.sizes.Patients = a.gate.raw[0]
		if a.shares = a.gate.shares(); a.shares != nil {
			return nil
		}
	}
	a.decided()
	return nil
}

func (a *Session) read(sum compute.Sum) (*Audit, error) {
	r := reading{study: a.study, question: *a.question, minimum: a.study.Fairness.MinimumCell, unseen: a.sizes.Unseen, gate: a.gate, refit: a.refit, hospitals: a.hospitals, beside: a.beside, hidden: &a.hidden}
	out, err := r.read(sum)
	if err == nil && out.Criteria != nil {
		d := decide(out.Criteria)
		out.Decision = &d
	}
	if err == nil && a.dominated {
		out.Limits = append(out.Limits, fmt.Sprintf("One hospital has more than %.0f%% of all patients: the figures of the whole are close to its own.", 100*a.study.Fairness.LargestShare))
	}
	return out, err
}

// Audit is the report, nil until its sums are absorbed.
func (a *Session) Audit() *Audit { return a.audit }

// Local is the same report over one hospital's own patients, for that hospital
// alone: nothing is suppressed, because it sees its own records anyway, and
// nothing of it is ever sent. Where the study leaves something to the patients,
// the threshold at the prevalence and the width of the interval, it is as in the
// whole's audit.
func Local(s *study.Study, whole *Audit, m *study.Matrix, f Forecast) (*Audit, error) {
	if m.Rows() == 0 {
		return nil, errors.New("no usable record here, so there is nothing to compare")
	}
	q := question{HalfWidth: whole.HalfWidth, Cuts: whole.byGroup()}
	if s.Outcome.Type == study.Binary && s.Fairness.Thresholds == nil && len(whole.Thresholds) == 2 {
		q.Prevalence = &whole.Thresholds[1]
	}
	for i := range cells(s) {
		q.Cells = append(q.Cells, i)
	}
	parameters, err := compute.EncodeParameters(q)
	if err != nil {
		return nil, err
	}
	values, err := Answer(s, Step, parameters, m, f)
	if err != nil {
		return nil, err
	}
	opened, err := compute.NewSum(1, q.layout(s), values)
	if err != nil {
		return nil, err
	}
	r := reading{study: s, question: q, minimum: 1, unseen: true, own: true}
	if s.Outcome.Type == study.Binary {
		r.refit = newRecalibration(s, q, opened)
		for !r.refit.done {
			n := len(r.refit.question.Cells)
			sum, err := compute.NewSum(1, recalibrationLayout(n), r.refit.question.answer(s, m, f.Values))
			if err != nil {
				return nil, err
			}
			if err := r.refit.absorb(sum); err != nil {
				return nil, err
			}
		}
	}
	return r.read(opened)
}

// reading turns the opened errors into the report.
type reading struct {
	study     *study.Study
	question  question
	minimum   int
	unseen    bool
	own       bool           // one hospital's patients: what would be drawn is not part of its comparison
	gate      *gate          // nil where nothing is withheld
	refit     *recalibration // of probabilities; nil where there is none
	hospitals *int           // that have enough patients; nil where they are not counted
	beside    *sameData      // of the same patients by another model; nil for none
	hidden    *sameData      // what is withheld here
	open      []*tally       // by cell of the question
}

func (r reading) read(sum compute.Sum) (*Audit, error) {
	s, q := r.study, r.question
	if err := q.check(s, sum); err != nil {
		return nil, err
	}
	digest := s.Digest()
	a := &Audit{
		Schema: Schema, Study: hex.EncodeToString(digest[:]), Name: s.Name, Version: s.Version, Title: s.Title,
		OutcomeType: string(s.Outcome.Type), Outcome: s.Outcome.Column, Unit: s.Outcome.Unit,
		Contributors: sum.Contributors, MinimumCell: r.minimum, Unseen: r.unseen, Gaps: []Gap{}, Hidden: []Hidden{},
		Bands: s.Fairness.Bands, Times: s.Fairness.Times, HalfWidth: q.HalfWidth,
	}
	if p := s.Fairness.Purpose; p != nil {
		a.Purpose = &Purpose{p.Stratification, p.Basis}
	}
	open := make([]*tally, len(q.Cells))
	for i := range q.Cells {
		if open[i] = newTally(s, q, sum, i); open[i].n < 0 {
			return nil, errors.New("the opened sums are not counts")
		}
	}
	if open[0].n < float64(r.minimum) {
		return nil, &compute.Diagnosis{Kind: compute.TooFewPatients, Message: fmt.Sprintf("the audit has fewer than %d patients", r.minimum)}
	}
	r.open = open
	hidden := withheld(s, q, open, r.minimum, r.beside)
	if r.hidden != nil {
		*r.hidden = sameData{q.Cells, hidden}
	}
	for i, hidden := range hidden {
		open[i].hidden, open[i].fewest, open[i].unseen = hidden, float64(r.minimum), r.unseen
	}
	if s.Outcome.Type == study.Binary {
		a.Thresholds, a.Cuts = q.thresholds(s), q.named(s)
		if q.Prevalence != nil && open[0].hidden["positives"] {
			a.Thresholds[1] = coarse(*q.Prevalence, open[0].n, float64(r.minimum))
		}
		a.Calibration = calibration(open[0], r.minimum, s.Fairness.Complementary)
	}
	known := cells(s)
	tallies := make([]*tally, len(known)) // nil where there are no figures
	for i, c := range q.Cells {
		if open[i].n > 0 {
			tallies[c] = open[i]
		}
	}
	for i := range known {
		g := r.group(known, i, tallies[i])
		if g.State == Suppressed || g.State == Merged {
			a.Hidden = append(a.Hidden, Hidden{g.Attribute, g.Level, r.why(known, i)})
		}
		a.Groups = append(a.Groups, g)
	}
	a.N, a.Cut = int(open[0].n), int(open[0].cut)
	if s.Fairness.Complementary && !disclosure.Share(a.Cut, a.N, r.minimum) {
		a.Cut = 0
		a.Limits = append(a.Limits, "Errors larger than twice the declared range of the outcome count as exactly that; how many there are is withheld, as they are few.")
	}
	r.curves(a, tallies)
	r.spread(a, tallies)

	against := make([]int, len(known))
	for i := range against {
		against[i] = -1
	}
	for i, to := range references(s, known, q.Groups, q.Cells, func(c int) int {
		if tallies[c] == nil {
			return 0
		}
		return int(tallies[c].n)
	}) {
		against[q.Cells[i]] = to
	}
	a.Gaps = append(a.Gaps, gaps(s, a.Groups, tallies, against)...)
	a.judge(s, tallies, against)
	var c *chance
	if s.Fairness.Bootstrap > 0 && !r.own {
		c = newChance(s, digest)
		c.add(a, s, tallies, against)
		c.parities(a, tallies)
	}
	represent(a, s, tallies, against, c)
	if q.Against != nil {
		a.Within = readWithin(s, q, a.Groups, a.crude(s, tallies, against), sum, fewestInside(s))
	}
	if r.hospitals != nil {
		a.Hospitals = readHospitals(s, q, sum)
	}
	a.Limits = append(a.Limits, limits(s, a, q)...)
	return a, nil
}

// coarse is a share of so many patients as far as it tells nothing of fewer than the
// minimum cell.
func coarse(share, n, fewest float64) float64 {
	step := 2 * fewest / n
	return min(1, math.Round(share/step)*step)
}

// group is a row of the report.
func (r reading) group(known []cell, i int, t *tally) Group {
	g := Group{Attribute: known[i].name, Level: known[i].level, State: OK}
	if r.gate != nil {
		g.State = r.gate.state[i]
		g.With, g.As = r.question.Groups.with(r.study, known[i]), r.question.Groups.as(r.study, known[i])
		if g.State != OK {
			g.With, g.As = nil, ""
		}
	}
	if g.State == OK && t == nil {
		g.State = Zero
	}
	if g.State == Zero {
		zero := 0
		g.N = &zero
	}
	if g.State != OK {
		return g
	}
	n := int(t.n)
	g.N, g.Metrics, g.Undefined = &n, map[string]Metric{}, map[string]string{}
	t.measure(&g)
	if r.refit != nil {
		r.refit.measure(t, i, &g)
		slices.Sort(g.Withheld)
	}
	if len(g.Metrics) == 0 {
		g.State = NotEstimable
	}
	if len(g.Undefined) == 0 {
		g.Undefined = nil
	}
	return g
}

// why a group has no figures. What is withheld because it is small and what is
// withheld beside it have one reason: to tell them apart would help to work
// them out.
func (r reading) why(known []cell, i int) string {
	if r.gate.state[i] == Suppressed && !r.study.Fairness.Complementary {
		return fmt.Sprintf("fewer than %d patients, fewer than %d hospitals or nearly all patients at one", r.minimum, r.study.Fairness.MinimumSites)
	}
	if r.gate.state[i] == Suppressed {
		return fmt.Sprintf("fewer than %d patients, fewer than %d hospitals or nearly all patients at one, or needed so that such a group cannot be worked out",
			r.minimum, r.study.Fairness.MinimumSites)
	}
	var names []string
	for k, a := range known[i].attributes {
		names = append(names, r.study.Fairness.Attributes[a].Groups()[r.question.Groups.of(a, known[i].groups[k])])
	}
	return fmt.Sprintf("fewer than %d patients, or fewer than %d hospitals; counted with %s", r.minimum, r.study.Fairness.MinimumSites, strings.Join(names, ", "))
}

// calibration of all patients. A bin of few patients is not shown; under
// complementary disclosure bins are joined to steps instead (curves.go).
func calibration(t *tally, minimum int, complementary bool) (out []Bin) {
	if complementary {
		return t.probabilities().steps(t.curveEnds(float64(minimum)))
	}
	for b := range bins {
		n, up := t.binN[b], t.binPositive[b]
		bin := Bin{From: float64(b) / bins, To: float64(b+1) / bins}
		switch count := int(n); {
		case n == 0:
			bin.State, bin.N = Zero, &count
		case count < minimum:
			bin.State = Suppressed
		default:
			predicted, observed := t.binPredicted[b]/n, proportion(up, n, 1)
			bin.State, bin.N, bin.Predicted, bin.Observed = OK, &count, &predicted, &observed
		}
		out = append(out, bin)
	}
	return out
}

// limits says, in the report itself, what the report cannot tell.
func limits(s *study.Study, a *Audit, q question) []string {
	var out []string
	if !a.Unseen {
		out = append(out, "The figures describe the patients the model was trained on; expect somewhat larger errors for new patients.")
	}
	out = append(out,
		"The audit covers all hospitals together. A hospital can differ from the whole and sees its own figures locally.",
		"A group is named as the records name it. Groups and combinations of attributes that the study does not declare were not examined.",
		"The margins of the gaps are defaults of the software, not clinical judgements; the study's own are those of its criteria. Intervals and verdicts are not adjusted for the number of comparisons; the p-values are also shown adjusted, by Holm's method.",
		"What the coordinator opened to decide which groups have figures, their sizes, is in the evidence, which auditors see.")
	if s.Fairness.Complementary {
		out = append(out, "A rate is shown where the patients who count in it, and those who do not, are none or at least the minimum cell, and no other figure gives it away.")
	} else {
		out = append(out, "Groups below the minimum cell have no figures. Where a single group of an attribute is withheld, what concerns it can be worked out from the totals, and a rate in a group that is large enough is shown even where it rests on few events; a study that does not say disclosure: primary withholds that too.")
	}
	if a.Cut > 0 {
		out = append(out, validation.CutRemark(a.Cut))
	}
	if q.Prevalence != nil {
		out = append(out, "Rates without a suffix call a patient positive at a probability of 0.5 or more; those ending in at_prevalence, at the prevalence of the outcome or more.")
	}
	switch s.Outcome.Type {
	case study.Binary:
		out = append(out, "Where only two or three of a group have the outcome, the intervals of its Brier score and log loss are too narrow: in simulations they hold in about 80 of 100 studies.")
	case study.Survival:
	default:
		out = append(out, "The limits of agreement take errors as normal; where they are skewed, the intervals of the limits hold in 87 of 100 simulated studies.")
	}
	if ranks(s) {
		out = append(out, rankingLimit)
	}
	return append(out, a.ownThresholds()...)
}
