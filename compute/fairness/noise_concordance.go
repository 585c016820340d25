package fairness

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// A concordance is made of pairs, of which one patient is in as many as there are
// others: a sum of pairs would need noise that drowns it. Products of noisy counts need
// none of their own. So where a study declares bands of the predicted risk, patients are
// counted by band too, and pairs are of patients of different intervals of time: of one
// who had the event with one who was followed into a later interval, whatever their
// hospitals. Their counts carry independent noise, so that the products of counts, and
// their sums, are right on average.

// concordance of the bands, ties counting half, with its standard error: by the
// infinitesimal jackknife of the counts, as is the exact one's, and the noise, with the
// products of two noises. bound is how far pairs that share a band or an interval, in
// whatever order they came, could move it.
func (t *noisy) concordance() (c estimated, bound float64) {
	classes := len(t.classes)
	// Of each class: pairs with the others, the concordant among them (ties half), and
	// how many others there are.
	pairs, won := make([]float64, classes), make([]float64, classes)
	comparable, concordant, tied, products := 0.0, 0.0, 0.0, 0.0
	t.eachPair(func(a, b int, weight float64) {
		na, nb := t.classes[a], t.classes[b]
		comparable += na * nb
		concordant += weight * na * nb
		if weight == 0.5 {
			tied += na * nb
		}
		pairs[a], pairs[b] = pairs[a]+nb, pairs[b]+na
		won[a], won[b] = won[a]+weight*nb, won[b]+weight*na
		products++
	})
	noise := t.class * t.class * products
	for _, p := range pairs {
		noise += t.class * p * p
	}
	if comparable <= audible*math.Sqrt(noise) || comparable < 1 {
		return estimated{math.NaN(), 0}, 0
	}
	c.of = min(max(concordant/comparable, 0), 1)
	variance := 0.0
	for k, n := range t.classes {
		slope := (won[k] - c.of*pairs[k]) / comparable
		variance += (max(n, 0) + heavier*t.class) * slope * slope
	}
	t.eachPair(func(_, _ int, weight float64) {
		slope := (weight - c.of) / comparable
		variance += heavier * t.class * t.class * slope * slope
	})
	c.se = math.Sqrt(variance)
	unordered := t.sharedIntervals()
	low := max(concordant-tied/2, 0) / (comparable + unordered)
	high := min((concordant+tied/2+unordered)/(comparable+unordered), 1)
	return c, max(c.of-low, high-c.of, 0)
}

// eachPair calls do for each pair of classes of which the first had the event in an
// earlier interval than that in which the second's follow-up ended: with 1 where it had
// the higher risk, 0.5 in one band, and 0 otherwise.
func (t *noisy) eachPair(do func(a, b int, weight float64)) {
	bands := t.survival.bands
	for a := range t.classes {
		interval, event := t.survival.ended(a)
		if !event {
			continue
		}
		for b := 2 * (interval + 1) * bands; b < len(t.classes); b++ {
			weight := 0.5
			if x, y := a%bands, b%bands; x != y {
				weight = one(x > y)
			}
			do(a, b, weight)
		}
	}
}

// sharedIntervals is about how many pairs with an event there are of one interval, whose
// order is not known.
func (t *noisy) sharedIntervals() (pairs float64) {
	bands := t.survival.bands
	for first := 0; first < len(t.classes); first += 2 * bands {
		gone, died := max(floats.Sum(t.classes[first:first+bands]), 0), max(floats.Sum(t.classes[first+bands:first+2*bands]), 0)
		pairs += died*gone + died*max(died-1, 0)/2
	}
	return pairs
}
