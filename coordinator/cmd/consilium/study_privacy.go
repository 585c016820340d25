package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/internal/console"
	"github.com/consilium-fl/consilium/study"
)

// patientsPerParameter is the most that a fit may read out of a patient: with
// as many parameters as patients, a model is its patients' records in other
// words. DataSHIELD's nfilter.glm draws the same line.
const patientsPerParameter = 3

// patientsNeeded is how many patients a fit needs at the least, over all
// hospitals; 0 for a description.
func patientsNeeded(s *study.Study) int {
	var need int
	trained := 1.0 // share of the patients
	switch s.Model.Kind {
	case study.Describe:
		return 0
	case study.Boost:
		need = 2 * s.Model.Boost.MinLeaf // the two sides of one split
		if s.Model.Boost.Patience > 0 {
			trained -= s.Model.Boost.Fraction
		}
	case study.GLM, study.Cox:
		need = patientsPerParameter * s.Parameters()
	}
	switch s.Validation.Kind {
	case study.Holdout:
		trained *= 1 - s.Validation.Fraction
	case study.KFold:
		trained *= float64(s.Validation.Folds-1) / float64(s.Validation.Folds)
	}
	need = max(need, s.Fairness.MinimumCell)
	return int(math.Ceil(float64(need)/trained - 1e-9))
}

// refuse is the reason why a study cannot be answered privately whatever the
// patients, nil if there is none.
func refuse(s *study.Study, path string) error {
	again := "correct the file, then: consilium study check " + path
	no := func(why, remedy string) error {
		return &console.Problem{What: path + ": the study cannot be answered privately", Why: why, Next: remedy + "; " + again, Code: "study-not-private"}
	}
	switch {
	case s.Validation.Kind == study.LeaveOneSiteOut && s.MinimumContributors() < 3:
		return no("leaving one of two hospitals out shows the sums of the other alone",
			"write privacy: {minimum_contributors: 3} or more")
	case s.Validation.Kind == study.External && len(s.Validation.Sites) < 2:
		return no("the validation's sum over one hospital is that hospital's own",
			"name two hospitals or more in validation.sites")
	case s.Model.Boost != nil && s.Model.Boost.MinLeaf < s.Fairness.MinimumCell:
		return no(fmt.Sprintf("a leaf of %d patients is smaller than fairness.minimum_cell, which is %d", s.Model.Boost.MinLeaf, s.Fairness.MinimumCell),
			fmt.Sprintf("write model.min_leaf: %d or more", s.Fairness.MinimumCell))
	}
	return nil
}

// shown says what the opened sums show beside the model, as far as the file
// tells: whoever approves a study should know.
func shown(s *study.Study) []string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	cell := s.Fairness.MinimumCell
	switch s.Validation.Kind {
	case study.LeaveOneSiteOut:
		own := "how many patients it has, at each level and in each group, and the sums of its numbers"
		if s.Model.Family == study.Gaussian {
			own += " and of their products"
		}
		note("validation: a sum without a hospital, subtracted from the same sum with it, is that hospital's own: %s. The sum without it may hold one hospital fewer than minimum_contributors says. Use k-fold or holdout if hospitals do not agree to that.", own)
	case study.Holdout, study.KFold:
		note("validation: the sums of all patients less those of the patients who train are the sums of the others, over all hospitals. Keep each part well above %d patients.", cell)
	case study.External:
		if n := len(s.Validation.Sites); n < s.MinimumContributors() {
			note("validation: its sums are over the %d hospitals of validation.sites only, which is fewer than minimum_contributors.", n)
		}
	}
	if s.Outcome.Type == study.Survival {
		notes = append(notes, survivalNote(s))
	}
	if len(s.Model.Splines) > 0 {
		note("splines: to place the knots, patients are counted in bins of the number's range. A bin is divided further only if it holds %d patients or more.", 2*cell)
	}
	if crossed := crossedCategories(s); crossed != "" {
		note("interactions: the sums show how many patients have each pair of levels of %s, however few.", crossed)
	}
	if boost := s.Model.Boost; boost != nil {
		note("trees: for each open node the sums show how many patients are in each of up to %d bins of each column, over all hospitals; in a small node a bin can hold few. Fewer bins and a smaller depth show less.", boost.Bins)
	}
	if neural := s.Model.Neural; neural != nil {
		note("neural: where there are fewer than %s, %d for each parameter, the network can keep what single patients look like.",
			console.Count(patientsPerParameter*s.Parameters(), "patient"), patientsPerParameter)
		if neural.Clip == 0 {
			note("neural: without clip one unusual record can decide a round's change; clip: 1 bounds the gradient of each record.")
		}
	}
	if cell < 5 {
		note("fairness: groups of %s are shown; most hospitals ask for a minimum_cell of 5 to 11.", console.Count(cell, "patient"))
	}
	return notes
}

// survivalNote says what sums by the outcome's grid show, and suggests a
// coarser one.
func survivalNote(s *study.Study) string {
	intervals := console.Count(len(s.Outcome.Grid), "interval")
	coarser := ""
	if step := coarserStep(s.Outcome); step != "" {
		coarser = fmt.Sprintf(" A coarser outcome.time.grid shows less: grid: {step: %s}.", step)
	}
	if s.Model.Kind == study.Cox && s.Model.Stratify == study.StratifyNone {
		return fmt.Sprintf("stratify: none: for each of %s of time the sums show, over all hospitals, how many patients are at risk, how many have the event, and the sums of the features of those at risk. Between two intervals that one patient leaves, the difference is that patient's features. Choose intervals in which %d patients or more leave; stratify: site shows no risk set.%s",
			intervals, s.Fairness.MinimumCell, coarser)
	}
	return fmt.Sprintf("survival: the sums show how many patients have the event in each of %s of time, over all hospitals, however few.%s", intervals, coarser)
}

// coarserStep is a round number that divides the range into about ten, empty
// if the grid is as coarse already.
func coarserStep(o study.Outcome) string {
	if len(o.Grid) <= 12 {
		return ""
	}
	tenth := (o.Range.Hi - o.Range.Lo) / 10
	unit := math.Pow(10, math.Floor(math.Log10(tenth)))
	step := 10 * unit
	for _, multiple := range []float64{1, 2, 5} {
		if multiple*unit >= tenth*0.999 {
			step = multiple * unit
			break
		}
	}
	return strconv.FormatFloat(step, 'g', 6, 64)
}

// crossedCategories names the pairs of categories whose levels are multiplied.
func crossedCategories(s *study.Study) string {
	var pairs []string
	for _, x := range s.Model.Interactions {
		a, b := s.Features[x.Features[0]], s.Features[x.Features[1]]
		if a.Type == study.Category && b.Type == study.Category {
			pairs = append(pairs, a.Column+" and "+b.Column)
		}
	}
	return strings.Join(pairs, ", of ")
}
