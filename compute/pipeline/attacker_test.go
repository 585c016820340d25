package pipeline

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
)

// attacker is a reader who puts everything that a report shows into one system
// over the smallest groups that its columns make, whose sizes are whole numbers,
// and asks what a withheld count can be. It shares no code with what protects it.
type attacker struct {
	atoms int
	rows  []known
}

// known says that the atoms' sum lies between lo and hi; hi is negative for any.
type known struct {
	of     []int
	lo, hi int
}

func (a *attacker) is(of []int, n int)      { a.rows = append(a.rows, known{of, n, n}) }
func (a *attacker) atLeast(of []int, n int) { a.rows = append(a.rows, known{of, n, -1}) }
func (a *attacker) within(of []int, lo, hi int) {
	a.rows = append(a.rows, known{of, lo, hi})
}

// interval is the least and the largest that the target can be in whole numbers. It
// looks no further once they are wide apart.
func (a *attacker) interval(t *testing.T, target []int, truth, wide int) (lo, hi int) {
	t.Helper()
	lo, hi = truth, truth
	for _, sign := range []float64{1, -1} {
		budget := 60
		if best, ok := a.extreme(target, sign, nil, &budget); ok {
			if sign > 0 {
				hi = max(hi, best)
			} else {
				lo = min(lo, best)
			}
		}
		if hi-lo >= wide {
			return lo, hi
		}
	}
	return lo, hi
}

// extreme is by branch and bound. Where the budget ends it is what was found so
// far, so that the interval is never too wide.
func (a *attacker) extreme(target []int, sign float64, more []known, budget *int) (best int, found bool) {
	if *budget--; *budget < 0 {
		return 0, false
	}
	x, ok := a.relaxed(target, sign, more)
	if !ok {
		return 0, false
	}
	split := -1
	for i, v := range x {
		if math.Abs(v-math.Round(v)) > 1e-6 {
			split = i
			break
		}
	}
	if split < 0 {
		for _, i := range target {
			best += int(math.Round(x[i]))
		}
		return best, true
	}
	down := append(slices.Clone(more), known{[]int{split}, 0, int(math.Floor(x[split]))})
	up := append(slices.Clone(more), known{[]int{split}, int(math.Ceil(x[split])), -1})
	for _, branch := range [][]known{down, up} {
		if b, ok := a.extreme(target, sign, branch, budget); ok && (!found || sign*float64(b-best) > 0) {
			best, found = b, true
		}
	}
	return best, found
}

// relaxed is the extreme in real numbers.
func (a *attacker) relaxed(target []int, sign float64, more []known) ([]float64, bool) {
	rows := append(slices.Clone(a.rows), more...)
	slacks := 0
	for _, r := range rows {
		if r.hi != r.lo {
			if slacks++; r.hi >= 0 {
				slacks++
			}
		}
	}
	n := a.atoms + slacks
	var lines [][]float64
	next := a.atoms
	for _, r := range rows {
		line := make([]float64, n+1)
		for _, i := range r.of {
			line[i]++
		}
		if r.hi == r.lo {
			line[n] = float64(r.lo)
			lines = append(lines, line)
			continue
		}
		if r.hi >= 0 {
			upper := slices.Clone(line)
			upper[next], upper[n] = 1, float64(r.hi)
			next++
			lines = append(lines, upper)
		}
		line[next], line[n] = -1, float64(r.lo)
		next++
		lines = append(lines, line)
	}
	lines, ok := independent(lines)
	if !ok {
		return nil, false
	}
	m := mat.NewDense(len(lines), n, nil)
	b := make([]float64, len(lines))
	for i, line := range lines {
		m.SetRow(i, line[:n])
		b[i] = line[n]
	}
	c := make([]float64, n)
	for _, i := range target {
		c[i] -= sign
	}
	_, x, err := lp.Simplex(c, m, b, 1e-9, nil)
	if err != nil {
		return nil, false
	}
	return x[:a.atoms], true
}

// independent leaves out lines that follow from others; false if they contradict.
func independent(lines [][]float64) (out [][]float64, ok bool) {
	var reduced [][]float64
	var pivots []int
	for _, line := range lines {
		left := slices.Clone(line)
		for i, r := range reduced {
			if f := left[pivots[i]]; f != 0 {
				for j := range left {
					left[j] -= f * r[j]
				}
			}
		}
		pivot := -1
		for j := range len(left) - 1 {
			if math.Abs(left[j]) > 1e-9 {
				pivot = j
				break
			}
		}
		if pivot < 0 {
			if math.Abs(left[len(left)-1]) > 1e-6 {
				return nil, false
			}
			continue
		}
		scale := left[pivot]
		for j := range left {
			left[j] /= scale
		}
		reduced, pivots, out = append(reduced, left), append(pivots, pivot), append(out, line)
	}
	return out, true
}

// The attacker is no straw man: it finds what plain subtraction finds.
func TestAttackerSubtracts(t *testing.T) {
	a := &attacker{atoms: 6} // two rows of three
	a.is([]int{0, 1, 2, 3, 4, 5}, 60)
	a.is([]int{0, 1, 2}, 30)
	a.is([]int{0}, 10)
	a.is([]int{1}, 17)
	a.atLeast([]int{2}, 1)
	if lo, hi := a.interval(t, []int{2}, 3, 100); lo != 3 || hi != 3 {
		t.Errorf("the rest of a row is from %d to %d", lo, hi)
	}
	if lo, hi := a.interval(t, []int{3}, 10, 100); lo != 0 || hi != 30 {
		t.Errorf("what nothing is known of is from %d to %d", lo, hi)
	}
}
