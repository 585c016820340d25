package describe

import (
	"math"

	"github.com/consilium-fl/consilium/study"
)

// protected is the cohort and the description of a study that withholds whatever
// would give a small count away.
func (d *Descriptions) protected(cells []float64, tables [][]Lifetable) {
	c := d.counts
	l, at := c.lattice()
	pairs := crossings(d.study)
	counts := crossedCounts(pairs, whole(cells))
	var cross [][][]int
	known, totals := crossed{}, map[string][]int{}
	var dimensions []string
	for i, pair := range pairs {
		cross = append(cross, l.cross(d.study, c, at, pair, counts[i]))
		known.add(pair[0].Column, pair[1].Column, cross[i])
		for _, g := range pair {
			if totals[g.Column] != nil {
				continue
			}
			dimensions = append(dimensions, g.Column)
			for k := range g.Names {
				totals[g.Column] = append(totals[g.Column], at.of(d.study, c, g, k))
			}
		}
	}
	l.nest(known, dimensions, totals, 2*d.study.Fairness.MinimumCell)
	hidden := l.protect(d.study.Fairness.MinimumCell)
	if !anyShown(cross, l, hidden) {
		// Nothing of the cross tables can be shown, or it takes too long to find out
		// what: then the cohort is shown without them.
		pairs, cross = nil, nil
		l, at = c.lattice()
		hidden = l.protect(d.study.Fairness.MinimumCell)
	}
	d.cohort = c.cohort(c.complementary(l, at, hidden))
	for i, pair := range pairs {
		t := CrossTable{Rows: pair[0].Column, Columns: pair[1].Column, RowNames: pair[0].Names, ColumnNames: pair[1].Names}
		for _, row := range cross[i] {
			var out []Count
			for _, k := range row {
				n := Suppress(l.table.Counts[k], 0)
				if hidden[k] {
					n = Count{State: Suppressed}
				}
				out = append(out, n)
			}
			t.Cells = append(t.Cells, out)
		}
		d.out.CrossTables = append(d.out.CrossTables, t)
	}
	if tables != nil {
		d.out.Survival = protectedSurvival(d.study, Groupings(d.study), tables, func(g Grouping, group int) bool {
			return hidden[at.of(d.study, c, g, group)]
		})
	}
	for i := range d.out.Correlations {
		d.protectPair(&d.out.Correlations[i])
	}
	for i := range d.out.Numbers {
		d.protectShares(&d.out.Numbers[i])
	}
}

// anyShown reports whether a count of a cross table is shown that is not zero.
func anyShown(cross [][][]int, l *lattice, hidden []bool) bool {
	for _, table := range cross {
		for _, row := range table {
			for _, i := range row {
				if !hidden[i] && l.table.Counts[i] > 0 {
					return true
				}
			}
		}
	}
	return false
}

// of is the position of a group of a grouping.
func (at positions) of(s *study.Study, c *Counts, g Grouping, group int) int {
	switch {
	case g.feature >= 0:
		return at.levels[c.index.levelAt[g.feature]+group]
	case g.attribute >= 0:
		return at.groups[c.index.groupAt[g.attribute]+group]
	}
	return at.outcome[group]
}

// cross adds the cells of a cross table. Who misses one of the two is in no cell.
func (l *lattice) cross(s *study.Study, c *Counts, at positions, pair [2]Grouping, counts [][]int) [][]int {
	out := make([][]int, len(counts))
	for i, row := range counts {
		left := l.table.Counts[at.of(s, c, pair[0], i)]
		for _, n := range row {
			out[i] = append(out[i], l.add(n))
			left -= n
		}
		l.sum(at.of(s, c, pair[0], i), append(l.leftover(left), out[i]...)...)
	}
	for j := range counts[0] {
		left := l.table.Counts[at.of(s, c, pair[1], j)]
		var column []int
		for i := range counts {
			column = append(column, out[i][j])
			left -= counts[i][j]
		}
		l.sum(at.of(s, c, pair[1], j), append(l.leftover(left), column...)...)
	}
	return out
}

func (l *lattice) leftover(n int) []int {
	if n <= 0 {
		return nil
	}
	return []int{l.rest(n)}
}

func crossedCounts(crossed [][2]Grouping, all []int) (out [][][]int) {
	for _, c := range crossed {
		counts := make([][]int, len(c[0].Names))
		for i := range counts {
			counts[i], all = all[:len(c[1].Names)], all[len(c[1].Names):]
		}
		out = append(out, counts)
	}
	return out
}

// protectPair withholds how many patients have two numbers where that tells how
// few miss both, or one of them only.
func (d *Descriptions) protectPair(c *Correlation) {
	if c.Patients.N == nil {
		return
	}
	cell, n := d.study.Fairness.MinimumCell, d.counts.Patients
	missing := [2]int{}
	for k, column := range c.Columns {
		for f, feature := range d.study.Features {
			if feature.Column == column {
				missing[k] = n - d.counts.present[f]
			}
		}
	}
	either := n - *c.Patients.N
	both := missing[0] + missing[1] - either
	for _, part := range []int{both, missing[0] - both, missing[1] - both, either} {
		if Suppress(part, cell).State == Suppressed {
			c.Patients = Count{State: Suppressed}
			return
		}
	}
}

// protectShares makes the shares of a histogram so coarse that they agree with
// every small number of patients who may miss the number, where that is withheld.
func (d *Descriptions) protectShares(v *Distribution) {
	if len(v.Histogram) == 0 || v.Histogram[0].N != nil {
		return
	}
	n, cell := d.counts.Patients, d.study.Fairness.MinimumCell
	for scale := 1000.0; ; scale /= 10 {
		if scale < 10 {
			v.Histogram = nil
			return
		}
		agrees := true
		for missing := 0; missing < cell && missing < n; missing++ {
			agrees = agrees && canBe(v.Histogram, n-missing, scale)
		}
		if agrees {
			for i := range v.Histogram {
				v.Histogram[i].Share = math.Round(scale*v.Histogram[i].Share) / scale
			}
			return
		}
	}
}

// canBe reports whether the shares, rounded once more, can be those of so many.
func canBe(bins []Bin, total int, scale float64) bool {
	least, most := 0, 0
	for _, b := range bins {
		share := math.Round(scale*b.Share) / scale
		lo := int(math.Ceil((share - 0.5/scale) * float64(total)))
		hi := int(math.Floor((share + 0.5/scale) * float64(total)))
		if lo > hi {
			return false
		}
		least, most = least+max(lo, 0), most+hi
	}
	return least <= total && total <= most
}
