package fairness

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// A curve counts the patients that rates count too, in other pieces: a threshold
// divides a step, and what one attribute's groups show bounds what the cells of
// several can be. So before a curve is shown it is put beside all rates that are, as
// one system over the pieces between any two ends of steps and thresholds; where a
// small count of any cell would follow, it is not shown.

// stepped are counts by bin that a study's figures are read off in steps.
type stepped struct {
	ledger  *ledger // of the rates of the same patients
	of      func(t *tally) binned
	has     func(t *tally) bool
	outcome bool // steps tell of those with the outcome, too
	// below are, by cut, the columns of those below it: all, or with the outcome and
	// without.
	below [][]int
}

// probabilitySteps are those of the calibration curves.
func probabilitySteps(s *study.Study, q question) stepped {
	l := ledgers(s, q)[0]
	out := stepped{ledger: l, of: (*tally).probabilities, outcome: true}
	for i := range q.thresholds(s) {
		first := slices.IndexFunc(l.columns, func(c column) bool { return c.name == fmt.Sprint("confusion", i) })
		out.below = append(out.below, []int{first + 1, first + 3}) // false and true negatives
	}
	return out
}

// magnitudeSteps are those that the quantiles of the error are read off.
func magnitudeSteps(s *study.Study, q question) stepped {
	out := stepped{ledger: &ledger{}, of: func(t *tally) binned { return t.magnitudes(true) }, has: func(t *tally) bool { return t.spread != nil }}
	if q.HalfWidth == nil {
		out.ledger.add("", func(t *tally) float64 { return t.n })
		return out
	}
	out.ledger = intervalLedger()
	out.below = [][]int{{1}}
	return out
}

// upTo counts the patients below a place among the bins, and those with the outcome.
func (p binned) upTo(at float64) (n, up float64) {
	for _, c := range p.cuts {
		if c.at == at {
			return c.n, c.positives
		}
	}
	for b := range int(at) {
		n, up = n+p.n[b], up+p.positives[b]
	}
	return n, up
}

// mayShow reports whether steps can be shown beside all rates that are: by open
// cell, the ends of its steps.
func (r reading) mayShow(f stepped, open []*tally, shown map[int][]int) bool {
	first := f.of(open[0])
	places := []float64{float64(len(first.n))}
	for _, c := range first.cuts {
		places = append(places, c.at)
	}
	for _, ends := range shown {
		for _, end := range ends {
			places = append(places, float64(end))
		}
	}
	slices.Sort(places)
	places = slices.Compact(places)
	if places[0] == 0 {
		places = places[1:]
	}
	pieces := f.divide(places, first.cuts)
	for _, t := range open {
		for k := range pieces {
			for _, column := range pieces[k] {
				if c := f.ledger.columns[column]; (c.has == nil || c.has(t)) && c.of(t) < -0.5 {
					return false // the counts are not of the same patients
				}
			}
		}
	}
	y := newSystem(f.ledger, open)
	for i, t := range open {
		y.cell(i, y.counts(i), r.minimum, r.beside)
		for k, c := range f.ledger.columns {
			at := i*len(f.ledger.columns) + k
			y.hidden[at] = y.hidden[at] || !y.fixed[at] && c.name != "" && t.hidden[c.name]
		}
	}
	y.lattice(openSums(r.study, r.question), r.minimum)
	for i := range open {
		from := 0
		for _, end := range shown[i] {
			to := slices.Index(places, float64(end)) + 1
			if end == 0 || to == 0 {
				continue
			}
			for kind := range pieces[0] {
				one := disclosure.Sum{Total: len(y.table.Counts)}
				n := 0
				for k := from; k < to; k++ {
					at := i*len(f.ledger.columns) + pieces[k][kind]
					one.Parts = append(one.Parts, at)
					n += y.table.Counts[at]
				}
				y.known(n)
				y.table.Sums = append(y.table.Sums, one)
			}
			from = to
		}
	}
	return y.table.Safe(r.minimum, y.hidden, y.secret, y.sizes)
}

// divide adds to the ledger what lies between two places, by place: all patients, or
// those with the outcome and those without.
func (f stepped) divide(places []float64, cuts []cut) (pieces [][]int) {
	l := f.ledger
	before := 0.0
	for _, to := range places {
		from := before
		count := func(of func(n, up float64) float64) int {
			at := l.add("", func(t *tally) float64 {
				p := f.of(t)
				n, up := p.upTo(to)
				m, below := p.upTo(from)
				if from == 0 {
					m, below = 0, 0
				}
				return math.Round(of(n-m, up-below))
			})
			l.columns[at].has = f.has
			return at
		}
		if f.outcome {
			pieces = append(pieces, []int{count(func(_, up float64) float64 { return up }), count(func(n, up float64) float64 { return n - up })})
		} else {
			pieces = append(pieces, []int{count(func(n, _ float64) float64 { return n })})
		}
		before = to
	}
	whole := []int{0}
	if f.outcome {
		whole = []int{1, 2}
	}
	upTo := func(totals []int, place int) {
		for kind, total := range totals {
			sum := []int{total}
			for _, p := range pieces[:place+1] {
				sum = append(sum, p[kind])
			}
			l.sums = append(l.sums, sum)
		}
	}
	upTo(whole, len(pieces)-1)
	for i, c := range cuts {
		if place := slices.Index(places, c.at); place >= 0 {
			upTo(f.below[i], place)
		}
	}
	return pieces
}

// together keeps of the steps of all patients, and of attributes' groups by open cell,
// those that can be shown beside the rates and beside each other.
func (r reading) together(of func() stepped, whole []int, attributes []map[int][]int) (all bool, kept []bool) {
	kept = make([]bool, len(attributes))
	if whole == nil {
		return false, kept
	}
	shown := map[int][]int{0: whole}
	every := maps.Clone(shown)
	for _, groups := range attributes {
		maps.Copy(every, groups)
	}
	if r.mayShow(of(), r.open, every) {
		for k := range kept {
			kept[k] = true
		}
		return true, kept
	}
	if !r.mayShow(of(), r.open, shown) {
		return false, kept
	}
	for k, groups := range attributes {
		more := maps.Clone(shown)
		maps.Copy(more, groups)
		if kept[k] = r.mayShow(of(), r.open, more); kept[k] {
			shown = more
		}
	}
	return true, kept
}
