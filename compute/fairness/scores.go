package fairness

import (
	"math"

	"gonum.org/v1/gonum/floats"
)

// area under the receiver operating characteristic from counts by score, lowest
// first, ties within a bin counting half (Hand and Till, Machine Learning 45,
// 2001). The area of the scores themselves is within bound of it: half of the
// pairs that share a bin. NaN if everyone has the same outcome.
func area(positive, negative []float64) (auc, bound float64) {
	var pairs, tied, below, positives float64
	for b := range positive {
		pairs += positive[b] * (below + negative[b]/2)
		tied += positive[b] * negative[b]
		below += negative[b]
		positives += positive[b]
	}
	return pairs / (positives * below), tied / 2 / (positives * below)
}

// ranked is the area with its standard error.
func (t *tally) ranked() ordered {
	if t.positives < 2 || t.n-t.positives < 2 {
		return ordered{estimated: estimated{math.NaN(), 0}}
	}
	auc, _ := area(t.scoresUp, t.scoresDown)
	return ordered{estimated{auc, math.Sqrt(areaVariance(t.scoresUp, t.scoresDown))}, t.positives, t.n - t.positives}
}

// areaVariance is DeLong's variance of the binned scores (Biometrics 44, 1988).
func areaVariance(positive, negative []float64) float64 {
	var positives, negatives, placedUp, placedDown float64
	for b := range positive {
		positives, negatives = positives+positive[b], negatives+negative[b]
	}
	auc, _ := area(positive, negative)
	below, above := 0.0, positives
	for b := range positive {
		above -= positive[b]
		v, w := (below+negative[b]/2)/negatives, (above+positive[b]/2)/positives
		placedUp += positive[b] * v * v
		placedDown += negative[b] * w * w
		below += negative[b]
	}
	return max(0, placedUp-positives*auc*auc)/(positives*(positives-1)) + max(0, placedDown-negatives*auc*auc)/(negatives*(negatives-1))
}

// abroca is the area between the receiver operating characteristics of two
// groups (Gardner, Brooks and Baker, LAK 2019), each a broken line through its
// bins, and the sum of the bounds of their areas, which bounds what the bins
// change of it.
func abroca(positive1, negative1, positive2, negative2 []float64) (between, bound float64) {
	for _, counts := range [][]float64{positive1, negative1, positive2, negative2} {
		if floats.Sum(counts) == 0 {
			return math.NaN(), math.NaN() // a curve needs patients with the outcome and without
		}
	}
	x1, y1 := curve(positive1, negative1)
	x2, y2 := curve(positive2, negative2)
	at := 0.0
	for i, j := 1, 1; i < len(x1) && j < len(x2); {
		x := min(x1[i], x2[j])
		// The gap is a line from one end of the step to the other.
		gap, next := along(x1, y1, i, at)-along(x2, y2, j, at), along(x1, y1, i, x)-along(x2, y2, j, x)
		switch width := x - at; {
		case gap*next >= 0:
			between += width * (math.Abs(gap) + math.Abs(next)) / 2
		default:
			between += width * (gap*gap + next*next) / (2 * (math.Abs(gap) + math.Abs(next)))
		}
		at = x
		if x1[i] <= x {
			i++
		}
		if x2[j] <= x {
			j++
		}
	}
	_, b1 := area(positive1, negative1)
	_, b2 := area(positive2, negative2)
	return between, b1 + b2
}

// curve is false and true positive rates from the highest threshold down.
func curve(positive, negative []float64) (x, y []float64) {
	var positives, negatives float64
	for b := range positive {
		positives, negatives = positives+positive[b], negatives+negative[b]
	}
	x, y = []float64{0}, []float64{0}
	up, down := 0.0, 0.0
	for b := len(positive) - 1; b >= 0; b-- {
		if positive[b] == 0 && negative[b] == 0 {
			continue
		}
		up, down = up+positive[b], down+negative[b]
		x, y = append(x, down/negatives), append(y, up/positives)
	}
	return x, y
}

// along is the line's height at x, within its step that ends at point i; a step
// straight up has its upper end.
func along(x, y []float64, i int, at float64) float64 {
	if x[i] <= x[i-1] {
		return y[i]
	}
	return y[i-1] + (y[i]-y[i-1])*(at-x[i-1])/(x[i]-x[i-1])
}

// calibrationError is the mean over patients of the distance between the mean
// prediction and the share with the outcome of their bin. Of few patients it is
// above zero even where the probabilities are right.
func calibrationError(n, positives, predicted []float64) float64 {
	total, all := 0.0, 0.0
	for b := range n {
		total += math.Abs(predicted[b] - positives[b])
		all += n[b]
	}
	return total / all
}

// hosmerLemeshow is their statistic over fixed bins of the probabilities, and how
// many bins have patients (Communications in Statistics 9, 1980).
func hosmerLemeshow(n, positives, predicted []float64) (statistic, bins float64) {
	for b := range n {
		if n[b] == 0 {
			continue
		}
		bins++
		if variance := predicted[b] * (1 - predicted[b]/n[b]); variance > 0 {
			statistic += (positives[b] - predicted[b]) * (positives[b] - predicted[b]) / variance
		}
	}
	return statistic, bins
}

// largestCalibrationError is over the bins of at least so many patients; NaN if
// there is none.
func largestCalibrationError(n, positives, predicted []float64, fewest float64) float64 {
	largest := math.NaN()
	for b := range n {
		if n[b] > 0 && n[b] >= fewest {
			if e := math.Abs(predicted[b]-positives[b]) / n[b]; !(e <= largest) {
				largest = e
			}
		}
	}
	return largest
}

// precision is the average precision, the area under the curve of precision and
// recall, between the worst order of the patients inside each bin, those without
// the outcome first, and the best. NaN if nobody has the outcome.
func precision(positive, negative []float64) (lower, upper float64) {
	var above, found float64 // patients and positives with a higher score
	for b := len(positive) - 1; b >= 0; b-- {
		for j := 1.0; j <= positive[b]; j++ {
			upper += (found + j) / (above + j)
			lower += (found + j) / (above + negative[b] + j)
		}
		above, found = above+positive[b]+negative[b], found+positive[b]
	}
	return lower / found, upper / found
}
