// Package attack is a reader of reports who subtracts: tests use it to show that
// nothing below a floor can be worked out. Everything that is shown is put into one
// system over the smallest groups that its columns make, whose sizes are whole
// numbers, and the system is asked what a withheld count can be. The package shares
// no code with what protects the counts.
//
// It knows linear figures: counts, totals, and shares at full precision, with or
// without their denominator. It does not solve for what is no linear function of
// counts, such as a chi-squared statistic, a coefficient or its standard error.
package attack

import (
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize/convex/lp"
)

// Attacker knows sums of atoms, each a count that is no less than zero.
type Attacker struct {
	Atoms int
	rows  []known
	now   *system // of the rows, once it was asked for
	seen  [][]int // sizes of the atoms that agree with them
}

// known says that the sum of the atoms, each times its factor, lies between lo and
// hi; hi is negative for any.
type known struct {
	of     map[int]float64
	lo, hi float64
}

func sum(of []int) map[int]float64 {
	out := make(map[int]float64, len(of))
	for _, i := range of {
		out[i]++
	}
	return out
}

// Is says that atoms add up to n.
func (a *Attacker) Is(of []int, n int) {
	a.rows = append(a.rows, known{sum(of), float64(n), float64(n)})
}

// AtLeast says that atoms add up to n or more.
func (a *Attacker) AtLeast(of []int, n int) {
	a.rows = append(a.rows, known{sum(of), float64(n), -1})
}

// Share says that the first atoms are this share of the second, whose number need
// not be known.
func (a *Attacker) Share(of, all []int, share float64) {
	row := sum(of)
	for _, i := range all {
		row[i] -= share
	}
	a.rows = append(a.rows, known{row, 0, 0})
}

// Interval is the least and the largest that the target can be in whole numbers,
// of which its true value is one. It looks no further once they are so wide apart.
func (a *Attacker) Interval(target []int, truth, wide int) (lo, hi int) {
	a.solved()
	lo, hi = truth, truth
	for _, sizes := range a.seen {
		n := 0
		for _, i := range target {
			n += sizes[i]
		}
		lo, hi = min(lo, n), max(hi, n)
	}
	if hi-lo >= wide {
		return lo, hi
	}
	for _, sign := range []float64{1, -1} {
		budget := 60
		if best, ok := a.extreme(target, sign, nil, &budget); ok {
			lo, hi = min(lo, best), max(hi, best)
		}
		if hi-lo >= wide {
			return lo, hi
		}
	}
	return lo, hi
}

// extreme is by branch and bound. Where the budget ends it is what was found so
// far, so that the interval is never too wide.
func (a *Attacker) extreme(target []int, sign float64, more []known, budget *int) (best int, found bool) {
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
		sizes := make([]int, len(x))
		for i, v := range x {
			sizes[i] = int(math.Round(v))
		}
		a.seen = append(a.seen, sizes)
		for _, i := range target {
			best += sizes[i]
		}
		return best, true
	}
	down := append(slices.Clone(more), known{map[int]float64{split: 1}, 0, math.Floor(x[split])})
	up := append(slices.Clone(more), known{map[int]float64{split: 1}, math.Ceil(x[split]), -1})
	for _, branch := range [][]known{down, up} {
		if b, ok := a.extreme(target, sign, branch, budget); ok && (!found || sign*float64(b-best) > 0) {
			best, found = b, true
		}
	}
	return best, found
}

// system is what is known, over the atoms that may hold anybody.
type system struct {
	rows  int   // of the attacker that it was made of
	place []int // by atom; -1 for one of a sum that is zero
	atoms int
	is    [][]float64 // equations that do not follow from others, each with its value at the end
	bound []known     // the rest
	sound bool        // they do not contradict each other
	start []int       // a basis of a solution; nil until one was found
}

func (a *Attacker) solved() *system {
	if a.now != nil && a.now.rows == len(a.rows) {
		return a.now
	}
	s := &system{rows: len(a.rows)}
	a.seen = nil
	s.place, s.atoms = a.occupied()
	var is [][]float64
	for _, r := range s.placed(a.rows) {
		if r.lo != r.hi {
			s.bound = append(s.bound, r)
			continue
		}
		line := make([]float64, s.atoms+1)
		for i, factor := range r.of {
			line[i] = factor
		}
		line[s.atoms] = r.lo
		is = append(is, line)
	}
	s.is, s.sound = independent(is)
	a.now = s
	return s
}

func (s *system) placed(rows []known) (out []known) {
	for _, r := range rows {
		of := make(map[int]float64, len(r.of))
		for i, factor := range r.of {
			if s.place[i] >= 0 {
				of[s.place[i]] = factor
			}
		}
		if len(of) > 0 {
			out = append(out, known{of, r.lo, r.hi})
		}
	}
	return out
}

// relaxed is the extreme in real numbers. Every bound has a variable of its own for
// what is left to it, so that it follows from nothing else.
func (a *Attacker) relaxed(target []int, sign float64, more []known) ([]float64, bool) {
	s := a.solved()
	if !s.sound {
		return nil, false
	}
	var bounds []known // of one side
	for _, r := range append(slices.Clone(s.bound), s.placed(more)...) {
		if r.hi >= 0 {
			bounds = append(bounds, known{r.of, 0, r.hi})
		}
		if r.lo > 0 {
			bounds = append(bounds, known{r.of, r.lo, -1})
		}
	}
	n := s.atoms + len(bounds)
	m := mat.NewDense(len(s.is)+len(bounds), n, nil)
	b := make([]float64, len(s.is)+len(bounds))
	for i, line := range s.is {
		for j, factor := range line[:s.atoms] {
			m.Set(i, j, factor)
		}
		b[i] = line[s.atoms]
	}
	for k, r := range bounds {
		i := len(s.is) + k
		for j, factor := range r.of {
			m.Set(i, j, factor)
		}
		if b[i] = r.lo; r.hi >= 0 {
			m.Set(i, s.atoms+k, 1)
			b[i] = r.hi
		} else {
			m.Set(i, s.atoms+k, -1)
		}
	}
	c := make([]float64, n)
	for _, i := range target {
		if s.place[i] >= 0 {
			c[s.place[i]] -= sign
		}
	}
	var start []int
	if more == nil {
		start = s.start
	}
	x, ok := optimum(c, m, b, start, more == nil)
	if !ok {
		return nil, false
	}
	if more == nil && start == nil {
		s.start = basis(m, x)
	}
	out := make([]float64, a.Atoms)
	for i, p := range s.place {
		if p >= 0 {
			out[i] = x[p]
		}
	}
	return out, true
}

// optimum solves a linear program, from a basis of a solution if there is one. The
// solver panics where the basis that it begins with is singular, which depends on
// the order of the variables: another order is tried then; and where there is a
// solution for certain, because the truth is one, for any other reason to find none.
func optimum(c []float64, m *mat.Dense, b []float64, start []int, certain bool) (x []float64, ok bool) {
	if start != nil {
		if x, err := simplex(c, m, b, start); err == nil {
			return x, true
		}
	}
	rows, n := m.Dims()
	for turn := range min(n, 20) {
		place := func(j int) int { return (j + turn) % n }
		costs, columns := make([]float64, n), mat.NewDense(rows, n, nil)
		for j, cost := range c {
			costs[place(j)] = cost
			for i := range rows {
				columns.Set(i, place(j), m.At(i, j))
			}
		}
		solution, err := simplex(costs, columns, b, nil)
		switch {
		case err == nil:
			x = make([]float64, n)
			for j := range x {
				x[j] = solution[place(j)]
			}
			return x, true
		case !errors.Is(err, errSingular) && !certain:
			return nil, false
		}
	}
	return nil, false
}

var errSingular = errors.New("the solver began with a singular basis")

func simplex(c []float64, m *mat.Dense, b []float64, start []int) (x []float64, err error) {
	defer func() {
		if recover() != nil {
			err = errSingular
		}
	}()
	_, x, err = lp.Simplex(c, m, b, 1e-9, start)
	return x, err
}

// basis completes the columns that a solution at a corner uses, which do not follow
// from each other, to as many as there are rows. It is nil if there are not so many.
func basis(m *mat.Dense, x []float64) (columns []int) {
	rows, n := m.Dims()
	var reduced [][]float64
	var pivots []int
	for _, used := range []bool{true, false} {
		for j := 0; j < n && len(columns) < rows; j++ {
			if used != (x[j] > 1e-9) {
				continue
			}
			left := mat.Col(nil, j, m)
			for i, r := range reduced {
				if f := left[pivots[i]]; f != 0 {
					for k := range left {
						left[k] -= f * r[k]
					}
				}
			}
			pivot := 0
			for k := range left {
				if math.Abs(left[k]) > math.Abs(left[pivot]) {
					pivot = k
				}
			}
			if math.Abs(left[pivot]) < 1e-9 {
				continue
			}
			scale := left[pivot]
			for k := range left {
				left[k] /= scale
			}
			reduced, pivots, columns = append(reduced, left), append(pivots, pivot), append(columns, j)
		}
	}
	if len(columns) < rows {
		return nil
	}
	return columns
}

// occupied numbers the atoms that may hold anybody; the others have -1.
func (a *Attacker) occupied() (place []int, n int) {
	place = make([]int, a.Atoms)
	for _, r := range a.rows {
		if r.lo != 0 || r.hi != 0 {
			continue
		}
		positive := true
		for _, factor := range r.of {
			positive = positive && factor >= 0
		}
		for i, factor := range r.of {
			if positive && factor > 0 {
				place[i] = -1
			}
		}
	}
	for i := range place {
		if place[i] == 0 {
			place[i] = n
			n++
		}
	}
	return place, n
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
