package disclosure

import "math"

// tiny is a rounding error of the tableau, whose entries are small whole numbers
// for nearly every table. Where it arrives is checked in whole numbers.
const tiny = 1e-7

// walk goes from table to table of whole numbers. Each of the sums of some withheld
// counts says that what is added to them adds up to nothing; solved for as many
// counts as there are such equations (the basis), the others can be chosen, as far
// as no count falls below the least that a withheld one can be. It is the simplex method but for where it begins, the
// true table, which is no corner, so that counts outside the basis may be above
// their least; and it goes only as far as whole numbers reach.
type walk struct {
	cells  []int
	above  []int // by count, how much it is above the least that it can be
	truth  []int
	sums   [][]term    // the equations
	rows   [][]float64 // of the tableau: basic count + Σ row × count is constant
	basis  []int       // by row
	row    []int       // by count, its row; -1 outside the basis
	pivots int         // left; rounding must not make a walk endless
	effort int         // multiplications
}

type term struct{ at, sign int }

func (s *search) newWalk(cells []int) *walk {
	n := len(cells)
	w := &walk{cells: cells, above: make([]int, n), truth: make([]int, n), row: make([]int, n), pivots: 40 + 2*n}
	index := make(map[int]int, n)
	for j, cell := range cells {
		index[cell] = j
		w.above[j], w.truth[j], w.row[j] = s.table.Counts[cell]-s.least, s.table.Counts[cell]-s.least, -1
	}
	s.visit++
	for _, cell := range cells {
		for _, k := range s.of[cell] {
			if at := len(s.table.Counts) + k; s.stamp[at] != s.visit {
				s.stamp[at] = s.visit
				var e []term
				sign := -1
				for i := range s.table.Sums[k].each {
					if j, ok := index[i]; ok {
						e = append(e, term{j, sign})
					}
					sign = 1
				}
				w.sums = append(w.sums, e)
			}
		}
	}
	w.solve()
	return w
}

// solve makes the tableau, with counts in the basis that have much room; the first
// count, of which more is wanted, is taken last.
func (w *walk) solve() {
	n := len(w.cells)
	for _, e := range w.sums {
		line := make([]float64, n)
		for _, x := range e {
			line[x.at] += float64(x.sign)
		}
		for i, b := range w.basis {
			if f := line[b]; f != 0 {
				w.effort += n
				for j, x := range w.rows[i] {
					if x != 0 {
						line[j] -= f * x
					}
				}
			}
		}
		best := -1
		for j, x := range line {
			if math.Abs(x) < tiny {
				line[j] = 0
			} else if best <= 0 || j > 0 && w.above[j] > w.above[best] {
				best = j
			}
		}
		if best < 0 {
			continue // it follows from the others
		}
		w.rows, w.basis = append(w.rows, line), append(w.basis, best)
		w.enter(len(w.rows)-1, best)
	}
}

// enter takes a count into the basis by a row.
func (w *walk) enter(at, count int) {
	if old := w.basis[at]; w.row[old] == at {
		w.row[old] = -1
	}
	w.basis[at], w.row[count] = count, at
	line := w.rows[at]
	scale := line[count]
	var filled []int
	for j, x := range line {
		if math.Abs(x) < tiny {
			line[j] = 0
			continue
		}
		line[j] = x / scale
		filled = append(filled, j)
	}
	for i, other := range w.rows {
		if i == at || other[count] == 0 {
			continue
		}
		f := other[count]
		w.effort += len(filled)
		for _, j := range filled {
			if other[j] -= f * line[j]; math.Abs(other[j]) < tiny {
				other[j] = 0
			}
		}
	}
}

// push makes a count larger (sign 1) or smaller until it is as it needs to be or
// can go no further.
func (w *walk) push(target, sign, need int) {
	for w.pivots > 0 && sign*(w.above[target]-need) < 0 {
		r := w.row[target]
		if r < 0 {
			if !w.try(target, sign, need) {
				blocked := w.blocks(target, sign)
				if blocked < 0 {
					return
				}
				w.pivot(blocked, target)
			}
			continue
		}
		enter, by, moved := -1, 0, false
		for j, x := range w.rows[r] {
			if x == 0 || w.row[j] >= 0 {
				continue
			}
			direction := sign
			if x > 0 {
				direction = -sign
			}
			if direction < 0 && w.above[j] == 0 {
				continue
			}
			if moved = w.try(j, direction, need); moved {
				break
			}
			if enter < 0 {
				if b := w.blocks(j, direction); b >= 0 {
					enter, by = j, b
				}
			}
		}
		if moved {
			continue
		}
		if enter < 0 {
			return
		}
		w.pivot(by, enter)
	}
}

func (w *walk) pivot(row, count int) {
	w.pivots--
	w.enter(row, count)
}

// try changes a count outside the basis, and with it those in the basis, as far as
// none falls below its least; false if that is nowhere. Where nothing stops it, it
// goes so far that whatever needs the room has it.
func (w *walk) try(count, direction, need int) bool {
	w.effort += len(w.rows)
	step := max(need, -need, 1) + 1<<20
	if direction < 0 {
		step = min(step, w.above[count])
	}
	for i, line := range w.rows {
		if x := float64(direction) * line[count]; x > 0 {
			room := w.above[w.basis[i]]
			if room == 0 {
				return false
			}
			if x != 1 {
				room = int(float64(room)/x + tiny)
			}
			step = min(step, room)
		}
	}
	whole := 1 // steps of so much keep all counts whole
	for _, line := range w.rows {
		for x := math.Abs(line[count]); x != math.Trunc(x) && whole <= 12 && math.Abs(x*float64(whole)-math.Round(x*float64(whole))) > tiny; {
			whole++
		}
	}
	if step = step / whole * whole; step <= 0 || whole > 12 {
		return false
	}
	w.above[count] += direction * step
	for i, line := range w.rows {
		if x := line[count]; x != 0 {
			w.above[w.basis[i]] -= int(math.Round(x * float64(direction*step)))
		}
	}
	return true
}

// blocks is the row of the basic count that stops a change first; of several that of
// the first count (Bland, Mathematics of Operations Research 2, 1977), so that it
// ends; -1 for none.
func (w *walk) blocks(count, direction int) int {
	at, least := -1, 0.0
	for i, line := range w.rows {
		x := float64(direction) * line[count]
		if x <= 0 {
			continue
		}
		ratio := float64(w.above[w.basis[i]]) / x
		if at < 0 || ratio < least-tiny || ratio < least+tiny && w.basis[i] < w.basis[at] {
			at, least = i, ratio
		}
	}
	return at
}

// sound reports whether the table is one: nothing below its least, and all sums as they are.
func (w *walk) sound() bool {
	for _, x := range w.above {
		if x < 0 {
			return false
		}
	}
	for _, e := range w.sums {
		added := 0
		for _, x := range e {
			added += x.sign * (w.above[x.at] - w.truth[x.at])
		}
		if added != 0 {
			return false
		}
	}
	return true
}
