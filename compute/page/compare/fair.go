package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

// obstacles to a fair comparison, in words. The protocols are asked where both
// are at hand; the results alone tell most of it.
func obstacles(a, b Subject) (why []string) {
	say := func(format string, args ...any) { why = append(why, fmt.Sprintf(format, args...)) }
	x, y := a.Result.Cohort, b.Result.Cohort
	switch {
	case x.Outcome.Column != y.Outcome.Column:
		say("they predict different outcomes: %s and %s", x.Outcome.Column, y.Outcome.Column)
	case x.Outcome.Unit != y.Outcome.Unit:
		say("their outcomes are in different units")
	case (x.Outcome.Positives == nil) != (y.Outcome.Positives == nil) || (x.Outcome.Events == nil) != (y.Outcome.Events == nil):
		say("one predicts a number, the other whether or when something happens")
	}
	switch {
	case x.Patients.N == nil || y.Patients.N == nil:
		say("how many patients there are is withheld, so nobody can see whether they are the same")
	case *x.Patients.N != *y.Patients.N:
		say("their cohorts differ: %d and %d patients", *x.Patients.N, *y.Patients.N)
	case len(why) == 0 && !sameOutcomes(a.Result, b.Result):
		say("their cohorts have as many patients, but other ones: the outcomes differ")
	}
	if x.Contributors != y.Contributors {
		say("other hospitals took part: %d and %d", x.Contributors, y.Contributors)
	}
	return append(why, tried(a, b)...)
}

// tried compares how the models were validated.
func tried(a, b Subject) (why []string) {
	v, w := a.Result.Validation, b.Result.Validation
	switch {
	case v == nil && w == nil:
		return []string{"neither was tried on patients it had not seen"}
	case v == nil || w == nil:
		return []string{"only one was tried on patients it had not seen"}
	case v.Kind != w.Kind:
		return []string{fmt.Sprintf("they were tried differently: %s and %s", v.Kind, w.Kind)}
	case v.Kind == study.KFold && v.Models != w.Models:
		why = append(why, fmt.Sprintf("they were tried in %d and %d folds", v.Models, w.Models))
	case v.Models != w.Models:
		why = append(why, fmt.Sprintf("%d models of one were tried and %d of the other", v.Models, w.Models))
	}
	if v.N != w.N {
		why = append(why, fmt.Sprintf("they were tried on %d and %d patients", v.N, w.N))
	}
	if a.Protocol == nil || b.Protocol == nil {
		return why
	}
	p, q := a.Protocol.Validation, b.Protocol.Validation
	if p.By != q.By {
		why = append(why, fmt.Sprintf("patients were divided by different columns: %s and %s", column(p.By), column(q.By)))
	}
	if p.By == "" && q.By == "" && (p.Kind == study.Holdout || p.Kind == study.KFold) && !slices.Equal(a.Protocol.Columns(), b.Protocol.Columns()) {
		why = append(why, "without validation.by, records are divided by all that a study reads, and these two read different columns: other patients are in their parts")
	}
	if p.Fraction != q.Fraction {
		why = append(why, fmt.Sprintf("they held out different shares: %v and %v", p.Fraction, q.Fraction))
	}
	if !slices.Equal(p.Sites, q.Sites) {
		why = append(why, "they were tried at different hospitals")
	}
	return why
}

func column(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

func shown(n *int) string {
	if n == nil {
		return "withheld"
	}
	return fmt.Sprint(*n)
}

// sameOutcomes says whether what is published of the outcomes is the same, up
// to the rounding of the secure sum.
func sameOutcomes(a, b *pipeline.Result) bool {
	x, y := a.Cohort.Outcome, b.Cohort.Outcome
	same := func(p, q *float64) bool {
		return (p == nil) == (q == nil) && (p == nil || math.Abs(*p-*q) <= 1e-9*max(math.Abs(*p), math.Abs(*q)))
	}
	if !same(x.Mean, y.Mean) || !same(x.SD, y.SD) {
		return false
	}
	if x.Positives != nil && y.Positives != nil && shown(x.Positives.N) != shown(y.Positives.N) {
		return false
	}
	return x.Events == nil || y.Events == nil || shown(x.Events.N) == shown(y.Events.N)
}

// sameRecords says whether two fits used the same records, as far as can be
// seen: only then do their likelihoods compare.
func sameRecords(a, b *pipeline.Result) bool {
	x, y := a.Cohort, b.Cohort
	return x.Outcome.Column == y.Outcome.Column && x.Outcome.Unit == y.Outcome.Unit && x.Contributors == y.Contributors &&
		x.Patients.N != nil && y.Patients.N != nil && *x.Patients.N == *y.Patients.N && sameOutcomes(a, b)
}

// notes say how to read the comparison.
func notes(c *Comparison, a, b Subject) (out []string) {
	if c.Fair {
		out = append(out, "Both were tried on patients of the same cohort, so their errors go together: that two intervals overlap does not show that the models are alike.")
	}
	if len(c.Metrics) > 0 && (a.Protocol == nil || b.Protocol == nil) {
		out = append(out, "Not every study file is at hand (study.yaml or bundle/study.yaml beside result.json): by which column patients were divided is not compared.")
	}
	if p, q := scale(a.Result.Model), scale(b.Result.Model); len(c.Coefficients) > 0 && p != q {
		out = append(out, "The coefficients are on different scales, and are not subtracted: "+p+" and "+q+".")
	}
	return out
}

// scale of a model's coefficients.
func scale(m *pipeline.Model) string {
	switch {
	case m.Cox != nil:
		return "log hazard"
	case m.GLM == nil:
		return ""
	case m.GLM.Transform != "" && m.GLM.Transform != string(study.Identity):
		return m.GLM.Transform
	}
	return m.GLM.Link
}
