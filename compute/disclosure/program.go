package disclosure

import "math"

// tiny is a rounding error of the tableau, whose entries are small whole numbers
// for nearly every table. Its answers are checked in whole numbers.
const tiny = 1e-7

// program is the linear program of a component: each of its sums says what the
// withheld counts add up to, and each withheld count is at least 1. The
// variables are the counts less 1; the tableau is kept feasible from one
// question to the next.
type program struct {
	index  map[int]int // of a count among the variables
	sums   []equation
	rows   [][]float64 // by basic variable; the last column is its value
	left   int         // pivots; rounding must not make a search endless
	basis  []int
	inside []bool // variables in the basis
}

// equation is one sum over the variables.
type equation struct {
	coefficient []int
	value       int
}

// program is nil if no feasible point was found, which only rounding can bring
// about: the true counts are one.
func (t Table) program(hidden []bool, c component) *program {
	n := len(c.cells)
	p := &program{index: make(map[int]int, n), inside: make([]bool, n), left: 1000 + 100*(n+len(c.sums))}
	for j, cell := range c.cells {
		p.index[cell] = j
	}
	for _, k := range c.sums {
		e := equation{coefficient: make([]int, n)}
		add := func(cell, sign int) {
			if hidden[cell] {
				e.coefficient[p.index[cell]] += sign
				e.value -= sign // the 1 that every withheld count has
			} else {
				e.value -= sign * t.Counts[cell]
			}
		}
		add(t.Sums[k].Total, -1)
		for _, i := range t.Sums[k].Parts {
			add(i, 1)
		}
		p.sums = append(p.sums, e)
	}
	for _, e := range p.sums {
		sign := 1.0
		if e.value < 0 {
			sign = -1
		}
		row := make([]float64, n+1)
		for j, a := range e.coefficient {
			row[j] = sign * float64(a)
		}
		row[n] = sign * float64(e.value)
		p.rows = append(p.rows, row)
		p.basis = append(p.basis, n) // an artificial variable
	}
	if !p.start() {
		return nil
	}
	return p
}

// start drives the artificial variables to zero and out of the basis.
func (p *program) start() bool {
	n := len(p.inside)
	for {
		rest, enter := 0.0, -1
		for j := 0; j < n && enter < 0; j++ {
			gain := 0.0
			for i, b := range p.basis {
				if b == n {
					gain += p.rows[i][j]
				}
			}
			if !p.inside[j] && gain > tiny {
				enter = j
			}
		}
		for i, b := range p.basis {
			if b == n {
				rest += p.rows[i][n]
			}
		}
		if rest <= tiny || enter < 0 {
			if rest > tiny*float64(1+len(p.rows)) {
				return false
			}
			break
		}
		leave := p.leaves(enter)
		if leave < 0 || p.left <= 0 {
			return false
		}
		p.pivot(leave, enter)
	}
	for i := 0; i < len(p.rows); i++ {
		if p.basis[i] < n {
			continue
		}
		enter := -1
		for j := range n {
			if !p.inside[j] && math.Abs(p.rows[i][j]) > tiny {
				enter = j
				break
			}
		}
		if enter >= 0 {
			p.pivot(i, enter)
			continue
		}
		last := len(p.rows) - 1 // the sum follows from the others
		p.rows[i], p.basis[i] = p.rows[last], p.basis[last]
		p.rows, p.basis = p.rows[:last], p.basis[:last]
		i--
	}
	return true
}

// extreme makes a withheld count as large (sign 1) or as small (-1) as the sums
// allow and returns all withheld counts then; nil if they are not whole. Bounded
// is false if it can be as large as one likes.
func (p *program) extreme(cell int, sign float64) (values []int, bounded bool) {
	n, c := len(p.inside), p.index[cell]
	for {
		enter := -1
		row := -1
		for i, b := range p.basis {
			if b == c {
				row = i
			}
		}
		for j := 0; j < n && enter < 0; j++ {
			switch {
			case p.inside[j]:
			case row < 0 && j == c && sign > 0, row >= 0 && -sign*p.rows[row][j] > tiny:
				enter = j
			}
		}
		if enter < 0 {
			return p.whole(), true
		}
		if p.left <= 0 {
			return nil, true
		}
		leave := p.leaves(enter)
		if leave < 0 {
			return nil, false
		}
		p.pivot(leave, enter)
	}
}

// leaves is the row whose variable reaches zero first as another enters; of
// several, that of the smallest variable (Bland, Mathematics of Operations
// Research 2, 1977), so that it ends.
func (p *program) leaves(enter int) int {
	n, leave, least := len(p.inside), -1, 0.0
	for i, row := range p.rows {
		if row[enter] <= tiny {
			continue
		}
		ratio := row[n] / row[enter]
		if leave < 0 || ratio < least-tiny || ratio < least+tiny && p.basis[i] < p.basis[leave] {
			leave, least = i, ratio
		}
	}
	return leave
}

func (p *program) pivot(leave, enter int) {
	p.left--
	n, row := len(p.inside), p.rows[leave]
	scale := row[enter]
	for j := range row {
		row[j] /= scale
	}
	for i, other := range p.rows {
		factor := other[enter]
		if i == leave || factor == 0 {
			continue
		}
		for j, x := range row {
			if x != 0 {
				other[j] -= factor * x
			}
		}
		other[n] = max(0, other[n])
	}
	if old := p.basis[leave]; old < n {
		p.inside[old] = false
	}
	p.basis[leave], p.inside[enter] = enter, true
}

// whole is the current point in whole numbers, nil unless it satisfies every
// sum exactly.
func (p *program) whole() []int {
	n := len(p.inside)
	values := make([]int, n)
	for i, b := range p.basis {
		values[b] = int(math.Round(p.rows[i][n]))
	}
	for _, e := range p.sums {
		total := 0
		for j, a := range e.coefficient {
			total += a * values[j]
		}
		if total != e.value {
			return nil
		}
	}
	for j := range values {
		if values[j] < 0 {
			return nil
		}
		values[j]++
	}
	return values
}
