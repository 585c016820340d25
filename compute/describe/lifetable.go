package describe

import (
	"math"
	"sort"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Grouping divides the patients of a survival study: by the levels of a
// category, by the groups of an attribute, or not at all.
type Grouping struct {
	Column    string   // empty: all patients in one group
	Names     []string // of the groups
	feature   int      // -1: by attribute, or not at all
	attribute int      // -1: by feature, or not at all
}

// Everyone is the grouping that divides nobody.
func Everyone() Grouping { return Grouping{Names: []string{""}, feature: -1, attribute: -1} }

// ByFeature divides by the levels of a category, given by index.
func ByFeature(s *study.Study, feature int) Grouping {
	g := Grouping{Column: s.Features[feature].Column, feature: feature, attribute: -1}
	for _, level := range s.Features[feature].Levels {
		g.Names = append(g.Names, level.Name)
	}
	return g
}

// Feature is the index of the category that divides the patients, negative if
// none does.
func (g Grouping) Feature() int { return g.feature }

// Groupings are everyone, each category, and each attribute that is counted and not
// one of the categories.
func Groupings(s *study.Study) []Grouping {
	out := []Grouping{Everyone()}
	known := map[string]bool{}
	for f, feature := range s.Features {
		if feature.Type == study.Category {
			known[feature.Column] = true
			out = append(out, ByFeature(s, f))
		}
	}
	for a, attribute := range s.CountedAttributes() {
		if !known[attribute.Column] {
			out = append(out, Grouping{Column: attribute.Column, Names: attribute.Groups(), feature: -1, attribute: a})
		}
	}
	return out
}

// Lifetable counts on the study's grid: in interval k are the times above grid
// time k-1 and up to grid time k. Censored has one count more, of patients who
// were followed beyond the grid.
type Lifetable struct{ Events, Censored []int }

// LifetableLayout is the part of a vector that counts events and censorings by
// group and interval.
func LifetableLayout(s *study.Study, by []Grouping) []compute.Field {
	groups, k := 0, len(s.Outcome.Grid)
	for _, g := range by {
		groups += len(g.Names)
	}
	return []compute.Field{
		{Name: "events_in_interval", Length: groups * k, Bound: maxRows},
		{Name: "censored_in_interval", Length: groups * (k + 1), Bound: maxRows},
	}
}

// AnswerLifetables is a site's part of the vector.
func AnswerLifetables(s *study.Study, by []Grouping, m *study.Matrix) []float64 {
	layout, k := LifetableLayout(s, by), len(s.Outcome.Grid)
	events, censored := make([]float64, layout[0].Length), make([]float64, layout[1].Length)
	x := newIndex(s)
	at := make([]int, len(s.Features))
	var row []float64
	for i := range m.Rows() {
		row = m.AppendRow(row[:0], i)
		x.place(at, row)
		in := sort.SearchFloat64s(s.Outcome.Grid, m.Outcome(i))
		first := 0
		for _, g := range by {
			if group := g.of(x, at, m, i); group >= 0 {
				if m.Event(i) && in < k {
					events[(first+group)*k+in]++
				} else {
					censored[(first+group)*(k+1)+in]++
				}
			}
			first += len(g.Names)
		}
	}
	return append(events, censored...)
}

// of is the group of record i, negative if the record has none.
func (g Grouping) of(x index, at []int, m *study.Matrix, i int) int {
	switch {
	case g.feature >= 0:
		return at[g.feature] - x.levelAt[g.feature] // missing is negative
	case g.attribute >= 0:
		return m.Group(i, g.attribute)
	}
	return 0
}

// ReadLifetables takes the opened counts apart, by grouping and group.
func ReadLifetables(s *study.Study, by []Grouping, sum compute.Sum) ([][]Lifetable, error) {
	if err := checkSum(sum, LifetableLayout(s, by)); err != nil {
		return nil, err
	}
	events, censored := whole(sum.Field("events_in_interval")), whole(sum.Field("censored_in_interval"))
	k := len(s.Outcome.Grid)
	out := make([][]Lifetable, len(by))
	for b, g := range by {
		for range g.Names {
			out[b] = append(out[b], Lifetable{events[:k], censored[:k+1]})
			events, censored = events[k:], censored[k+1:]
		}
	}
	return out, nil
}

// Patients of the table.
func (l Lifetable) Patients() int {
	n := 0
	for _, c := range [][]int{l.Events, l.Censored} {
		for _, v := range c {
			n += v
		}
	}
	return n
}

// AtRisk is the number of patients at the beginning of each interval, and
// beyond the grid.
func (l Lifetable) AtRisk() []int {
	out := []int{l.Patients()}
	for k, d := range l.Events {
		out = append(out, out[k]-d-l.Censored[k])
	}
	return out
}

// Shown are the last intervals of runs of intervals whose counts may be
// published: in each run the events are none or at least the minimum cell, and
// so are the censored, among whom those who were followed beyond the grid are in
// the last run. What is left at the end joins the runs before it.
func (l Lifetable) Shown(minimumCell int) []int {
	type run struct{ end, events, censored int }
	may := func(n int) bool { return n == 0 || n >= minimumCell }
	var runs []run
	now := run{}
	for k := range l.Events {
		now.end, now.events, now.censored = k, now.events+l.Events[k], now.censored+l.Censored[k]
		if k == len(l.Events)-1 {
			now.censored += l.Censored[k+1]
		}
		if may(now.events) && may(now.censored) {
			runs, now = append(runs, now), run{}
		}
	}
	if now != (run{}) {
		for len(runs) > 0 && !(may(now.events) && may(now.censored)) {
			last := runs[len(runs)-1]
			runs = runs[:len(runs)-1]
			now.events, now.censored = now.events+last.events, now.censored+last.censored
		}
		runs = append(runs, now)
	}
	var ends []int
	for _, r := range runs {
		ends = append(ends, r.end)
	}
	return ends
}

// survival is the product-limit estimate (Kaplan and Meier, JASA 53, 1958) after
// each interval, and Greenwood's sum, the variance of its logarithm.
func (l Lifetable) survival() (s, greenwood []float64) {
	p, g := 1.0, 0.0
	for k, n := range l.AtRisk()[:len(l.Events)] {
		if d := float64(l.Events[k]); d > 0 {
			p *= 1 - d/float64(n)
			g += d / (float64(n) * (float64(n) - d))
		}
		s, greenwood = append(s, p), append(greenwood, g)
	}
	return s, greenwood
}

// logLog is the 95% interval of a survival probability on the scale of
// log(-log S), and whether there is one.
func logLog(s, greenwood float64) (lower, upper float64, ok bool) {
	if !(s > 0 && s < 1) {
		return 0, 0, false
	}
	margin := z95 * math.Sqrt(greenwood) / -math.Log(s)
	return math.Pow(s, math.Exp(margin)), math.Pow(s, math.Exp(-margin)), true
}

// z95 is the normal quantile of two-sided 95% intervals.
const z95 = 1.959963984540054

// Restricted is the restricted mean survival time, the area under the survival
// curve from 0 to tau, and its variance (Karrison, Controlled Clinical Trials
// 18, 1997). Events count at the end of their interval.
func (l Lifetable) Restricted(grid []float64, tau float64) (mean, variance float64) {
	s, _ := l.survival()
	before, area := 0.0, make([]float64, len(grid)+1) // up to grid time k
	level := 1.0
	for k, t := range grid {
		t = min(t, tau)
		area[k+1] = area[k] + level*(t-before)
		before, level = t, s[k]
	}
	mean = area[len(grid)]
	if tau > before {
		mean += level * (tau - before)
	}
	for k, n := range l.AtRisk()[:len(grid)] {
		rest := mean - area[k+1] // the area after grid time k
		if d := float64(l.Events[k]); d > 0 && float64(n) > d && grid[k] < tau {
			variance += rest * rest * d / (float64(n) * (float64(n) - d))
		}
	}
	return mean, variance
}

// RMST compares restricted mean survival times with that of one group.
type RMST struct {
	Column      string           `json:"column"`
	Reference   string           `json:"reference"` // the group the others are compared with
	Tau         float64          `json:"tau"`       // up to which time
	Means       []RestrictedMean `json:"means"`
	Differences []RestrictedMean `json:"differences"` // group minus reference
}

// RestrictedMean of a group, or the difference of two.
type RestrictedMean struct {
	Group    string   `json:"group"`
	Estimate float64  `json:"estimate"`
	StdError float64  `json:"std_error"`
	Lower    float64  `json:"lower"`
	Upper    float64  `json:"upper"`
	PValue   *float64 `json:"p_value,omitempty"` // of a difference
}

// CompareRMST compares groups up to the last time of the grid at which each
// has the minimum cell of patients at risk. Groups below the minimum cell are
// left out; nil if that leaves nothing to compare.
func CompareRMST(s *study.Study, by Grouping, tables []Lifetable, reference int) *RMST {
	cell, grid := max(s.Fairness.MinimumCell, 1), s.Outcome.Grid
	large := func(g int) bool { return tables[g].Patients() >= cell }
	last := len(grid) - 1
	groups := 0
	for g, table := range tables {
		if large(g) {
			groups++
			risk := table.AtRisk()
			for last >= 0 && risk[last] < cell {
				last--
			}
		}
	}
	if groups < 2 || !large(reference) || last < 0 {
		return nil
	}
	out := &RMST{Column: by.Column, Reference: by.Names[reference], Tau: grid[last]}
	base, baseVariance := tables[reference].Restricted(grid, out.Tau)
	for g, table := range tables {
		if !large(g) {
			continue
		}
		mean, variance := table.Restricted(grid, out.Tau)
		out.Means = append(out.Means, restrictedMean(by.Names[g], mean, variance))
		if g != reference {
			d := restrictedMean(by.Names[g], mean-base, variance+baseVariance)
			if d.StdError > 0 {
				p := math.Erfc(math.Abs(d.Estimate/d.StdError) / math.Sqrt2)
				d.PValue = &p
			}
			out.Differences = append(out.Differences, d)
		}
	}
	return out
}

func restrictedMean(group string, estimate, variance float64) RestrictedMean {
	se := math.Sqrt(variance)
	return RestrictedMean{Group: group, Estimate: estimate, StdError: se, Lower: estimate - z95*se, Upper: estimate + z95*se}
}
