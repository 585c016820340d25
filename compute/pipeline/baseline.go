package pipeline

import (
	"slices"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/study"
)

// The mean of a level's column is the share of the patients who have the level, and
// with their number how many they are. Explanations begin at the means, from which a
// model says how far each feature takes a patient; they can begin anywhere. So where
// the cohort does not show a level the model begins at what it leaves to all levels
// that it withholds, in equal parts, and where it has no mean of a number at the least
// of its range. A model that was fitted to some of the patients begins at the means of
// all of them, because the difference of the two would be the others'.

// withoutSmallMeans is a model whose explanations begin at nothing that the cohort
// withholds. The means of a Cox model and of a network are what they compute with, and
// stay.
func withoutSmallMeans(s *study.Study, m *Model, cohort *describe.Cohort) *Model {
	if m == nil || cohort.Patients.N == nil || m.GLM == nil && m.Boost == nil {
		return m
	}
	if known, err := s.Knotted(m.Knots); err == nil { // as for the fit
		s = known
	}
	out, terms := *m, s.Terms()
	if m.Boost != nil {
		out.Means = baseline(terms, m.Means, cohort, m.Boost.N == *cohort.Patients.N)
		return &out
	}
	fitted := *m.GLM
	fitted.Terms = slices.Clone(m.GLM.Terms)
	means := make([]float64, len(terms))
	place := make([]int, len(terms))
	for j, t := range terms {
		place[j] = -1
		for i, of := range fitted.Terms {
			if of.Name == t.Name {
				means[j], place[j] = of.Mean, i
			}
		}
	}
	for j, mean := range baseline(terms, means, cohort, m.GLM.N == *cohort.Patients.N) {
		if place[j] >= 0 {
			fitted.Terms[place[j]].Mean = mean
		}
	}
	out.GLM = &fitted
	return &out
}

// baseline is the means with those replaced that the cohort does not show. Of a model
// of all patients the others stay as they are, digit for digit.
func baseline(terms []study.Term, means []float64, cohort *describe.Cohort, everyone bool) []float64 {
	out, changed := slices.Clone(means), make([]bool, len(terms))
	for j, t := range terms {
		switch {
		case j == 0:
		case t.Feature < 0:
			product := 1.0
			for _, factor := range t.Product {
				product, changed[j] = product*out[factor], changed[j] || changed[factor]
			}
			if changed[j] {
				out[j] = min(max(product, t.Lo), t.Hi)
			}
		case t.Level >= 0:
			v := cohort.Features[t.Feature]
			if n := v.Levels[t.Level].Count.N; n == nil {
				out[j], changed[j] = evenly(v, *cohort.Patients.N), true
			} else if !everyone {
				out[j], changed[j] = float64(*n)/float64(*cohort.Patients.N), true
			}
		case t.Knot == 0:
			if mean := cohort.Features[t.Feature].Mean; mean == nil {
				out[j], changed[j] = t.Lo, true
			} else if !everyone {
				out[j], changed[j] = min(max(*mean, t.Lo), t.Hi), true
			}
		}
	}
	return out
}

// evenly is the share of each level that is withheld if they had equal parts of what
// the cohort does not show of a feature.
func evenly(v describe.Variable, patients int) float64 {
	left, hidden := patients, 0
	count := func(c describe.Count) {
		if c.N != nil {
			left -= *c.N
		} else {
			hidden++
		}
	}
	for _, l := range v.Levels {
		count(l.Count)
	}
	if v.Missing != nil {
		count(*v.Missing)
	}
	return float64(left) / float64(hidden) / float64(patients)
}
