package boost

import "math"

// rule is how leaves get their values and splits their gains, from sums in the
// units of the loss (Chen and Guestrin, KDD 2016, equations 5 to 7).
type rule struct {
	gradient, hessian float64 // a sum's unit
	lambda            float64
	minLeaf           int64
	step              float64 // bound on a value; 0 is none
}

// limits that monotone columns put on the values below a node.
type limits struct{ lo, hi float64 }

func unlimited() limits { return limits{math.Inf(-1), math.Inf(1)} }

// value of a leaf before the learning rate, and what it adds to the loss, times
// two. Products are rounded by themselves: a processor that fuses them with an
// addition must not grow another tree.
func (r *rule) value(x cell, within limits) (value, cost float64) {
	g := float64(float64(x.gradient) * r.gradient)
	h := float64(float64(x.hessian)*r.hessian) + r.lambda
	if !(h > 0) {
		return 0, 0
	}
	value = -g / h
	if r.step > 0 {
		value = min(max(value, -r.step), r.step)
	}
	value = min(max(value, within.lo), within.hi)
	return value, float64(float64(2*g)*value) + float64(float64(h*value)*value)
}

// found is the best split of a node so far.
type found struct {
	gain        float64
	column      int
	bin         uint8
	left        bool
	low, high   cell // the left and the right child
	from, until float64
}

// negligible is the part of the terms of a gain that may be their rounding.
const negligible = 1e-12

// best is the split of a node that lowers the loss most. Of equal ones the
// first counts: columns, then bins, ascending; missing values right before
// left. A gain of zero is none.
func (r *rule) best(b bins, histogram []cell, total cell, within limits, monotone []int) (found, bool) {
	_, before := r.value(total, within)
	out, any := found{}, false
	try := func(column, bin int, left bool, low cell, direction int) {
		high := total.less(low)
		if low.count < r.minLeaf || high.count < r.minLeaf {
			return
		}
		if r.lambda == 0 && (low.hessian <= 0 || high.hessian <= 0) {
			return
		}
		from, costLow := r.value(low, within)
		until, costHigh := r.value(high, within)
		if direction > 0 && from > until || direction < 0 && from < until {
			return
		}
		gain := before - costLow - costHigh
		if !(gain > negligible*(math.Abs(before)+math.Abs(costLow)+math.Abs(costHigh))) || any && !(gain > out.gain) {
			return
		}
		out, any = found{gain, column, uint8(bin), left, low, high, from, until}, true
	}
	at := 0
	for j, c := range b {
		width := c.width()
		if width == 0 {
			continue
		}
		cells := histogram[at : at+width]
		at += width
		var missing, low cell
		last := len(c.edges)
		if c.missing {
			missing = cells[last+1]
			last++ // after the last bin: the missing against all others
		}
		for bin := range last {
			low = low.plus(cells[bin])
			if low.count+missing.count < r.minLeaf {
				continue
			}
			if total.count-low.count < r.minLeaf {
				break
			}
			try(j, bin, false, low, monotone[j])
			if missing.count > 0 && bin < len(c.edges) {
				try(j, bin, true, low.plus(missing), monotone[j])
			}
		}
	}
	// Where nobody lacks the value, one who does goes with the larger part.
	if any {
		c := b[out.column]
		if c.missing && !out.left && int(out.bin) < len(c.edges) && missingIn(b, histogram, out.column) == 0 {
			out.left = out.low.count >= out.high.count
		}
		out.gain /= 2
	}
	return out, any
}

// missingIn counts the patients of a histogram without a value in the column.
func missingIn(b bins, histogram []cell, column int) int64 {
	at := 0
	for _, c := range b[:column+1] {
		at += c.width()
	}
	return histogram[at-1].count
}

func (x cell) plus(y cell) cell {
	return cell{x.gradient + y.gradient, x.hessian + y.hessian, x.count + y.count}
}

func (x cell) less(y cell) cell {
	return cell{x.gradient - y.gradient, x.hessian - y.hessian, x.count - y.count}
}

// below are the limits of the children of a split: where the column is
// monotone, neither may pass the middle between their values, so that no leaf
// further down does either (XGBoost's rule).
func (f found) below(within limits, direction int) (left, right limits) {
	left, right = within, within
	middle := f.from/2 + f.until/2
	switch direction {
	case 1:
		left.hi, right.lo = middle, middle
	case -1:
		left.lo, right.hi = middle, middle
	}
	return left, right
}
