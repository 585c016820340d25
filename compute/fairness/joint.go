package fairness

import (
	"slices"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// mostJointly counts are looked at as one system. The tables of a wider audit are
// gated one by one only.
const mostJointly = 1200

// jointly withholds what the tables of a ledger, each safe by itself, tell of small
// counts when they are put together: by group, the counts that its rates are made
// of, and by count, the groups that add up. Counts that no metric shows need no
// protection here: as secrets of one system they would withhold nearly everything.
func (l *ledger) jointly(s *study.Study, q question, tallies []*tally, floor int, beside *sameData, out []map[string]bool) {
	lattice := openSums(s, q)
	width := len(l.columns)
	if (len(tallies)+len(lattice))*width > mostJointly {
		if beside != nil {
			l.silence(out)
		}
		return
	}
	t := disclosure.Table{}
	var hidden, secret, fixed []bool
	var kind []int // counts of a group that go by one name are withheld together
	add := func(value func(k int) int, open int) int {
		first := len(t.Counts)
		for k, c := range l.columns {
			n := value(k)
			gone := open < 0 || c.name == "" && k > 0 || out[open][c.name] || beside.hides(open, c)
			t.Counts = append(t.Counts, n)
			hidden = append(hidden, gone && n > 0)
			secret = append(secret, open >= 0 && gone && n > 0 && (disclosure.Small(n, floor) || k > 0 && beside.hides(open, c)))
			first := slices.IndexFunc(l.columns, func(o column) bool { return o.name == c.name })
			if c.name == "" || open < 0 {
				first = k
			}
			kind = append(kind, len(t.Counts)-1-k+first)
			fixed = append(fixed, k == 0 || open >= 0 && c.public(tallies[open], floor, open, beside))
		}
		for _, sum := range l.sums {
			one := disclosure.Sum{Total: first + sum[0]}
			for _, part := range sum[1:] {
				one.Parts = append(one.Parts, first+part)
			}
			t.Sums = append(t.Sums, one)
		}
		return first
	}
	at := func(i, k int) int { return int(l.columns[k].of(tallies[i])) }
	for i := range tallies {
		add(func(k int) int { return at(i, k) }, i)
	}
	for _, sum := range lattice {
		rest := -1
		if sum.rest {
			rest = add(func(k int) int {
				left := at(sum.total, k)
				for _, i := range sum.parts {
					left -= at(i, k)
				}
				return left
			}, -1)
		}
		for k := range l.columns {
			one := disclosure.Sum{Total: sum.total*width + k}
			for _, i := range sum.parts {
				one.Parts = append(one.Parts, i*width+k)
			}
			if rest >= 0 {
				one.Parts = append(one.Parts, rest+k)
			}
			t.Sums = append(t.Sums, one)
		}
	}
	if !slices.Contains(secret, true) {
		return
	}
	hidden = t.Extend(floor, hidden, secret, fixed, kind)
	if beside != nil && !t.Safe(floor, hidden, secret) {
		for i := range hidden { // what the other audit shows leaves no way but to show nothing
			hidden[i] = hidden[i] || !fixed[i] && t.Counts[i] > 0
		}
	}
	for at, gone := range hidden {
		if i := at / width; gone && i < len(tallies) && l.columns[at%width].name != "" {
			out[i][l.columns[at%width].name] = true
		}
	}
}

// silence withholds every count of a ledger.
func (l *ledger) silence(out []map[string]bool) {
	for i := range out {
		for _, c := range l.columns {
			if c.name != "" {
				out[i][c.name] = true
			}
		}
	}
}
