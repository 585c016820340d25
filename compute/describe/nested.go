package describe

// Where the levels of one column divide a level of another, as regions divide a
// country, the cross table of the two says so by its zeros. Then what a third column's
// table with the regions shows adds up to what its table with the country does, and
// the lattice has to know it.

// crossed are the cells of the cross tables in the lattice: of each pair of columns,
// either first, the positions by level and level.
type crossed map[[2]string][][]int

func (x crossed) add(a, b string, cells [][]int) {
	turned := make([][]int, len(cells[0]))
	for j := range turned {
		for _, row := range cells {
			turned[j] = append(turned[j], row[j])
		}
	}
	x[[2]string{a, b}], x[[2]string{b, a}] = cells, turned
}

// nest adds what follows where levels divide another: of the patients of each level
// of a third column, those of the parts are at most those of the whole, and as many
// where they are the whole. Parts that leave as much as no small count can be are
// left alone: they say little about any.
func (l *lattice) nest(x crossed, dimensions []string, totals map[string][]int, enough int) {
	for _, whole := range dimensions {
		for _, part := range dimensions {
			cells := x[[2]string{whole, part}]
			for c, row := range cells {
				inside, left := l.inside(row, totals[part]), l.table.Counts[totals[whole][c]]
				for _, b := range inside {
					left -= l.table.Counts[totals[part][b]]
				}
				if len(inside) == 0 || left < 0 || left >= enough {
					continue
				}
				for _, third := range dimensions {
					of, parts := x[[2]string{whole, third}], x[[2]string{part, third}]
					if third == whole || third == part || of == nil || parts == nil {
						continue
					}
					for d, total := range of[c] {
						l.divided(total, d, inside, parts)
					}
				}
			}
		}
	}
}

// inside are the levels of the columns of a cross table all of whose patients are in
// one of its rows.
func (l *lattice) inside(row, totals []int) (out []int) {
	for b, at := range row {
		if n := l.table.Counts[at]; n > 0 && n == l.table.Counts[totals[b]] {
			out = append(out, b)
		}
	}
	return out
}

// divided says that a count is the sum of those of its parts at a level, and of what
// is left.
func (l *lattice) divided(total, level int, inside []int, parts [][]int) {
	left := l.table.Counts[total]
	var of []int
	for _, b := range inside {
		of = append(of, parts[b][level])
		left -= l.table.Counts[parts[b][level]]
	}
	if left >= 0 {
		l.sum(total, append(of, l.leftover(left)...)...)
	}
}
