package describe

import (
	"math"

	"github.com/consilium-fl/consilium/study"
)

// Survival describes a survival outcome on the study's grid: every time counts
// as the end of its interval.
type Survival struct {
	Overall   Curve      `json:"overall"`
	Groupings []Compared `json:"by"`
}

// Compared is the survival of the groups of a category or an attribute.
type Compared struct {
	Column  string   `json:"column"`
	Curves  []Curve  `json:"curves"`
	LogRank *LogRank `json:"log_rank,omitempty"`
	RMST    *RMST    `json:"rmst,omitempty"`
}

// Curve is a Kaplan-Meier estimate. Its points are those ends of intervals
// between which the events are none or at least the minimum cell, and so are the
// censored; the estimate itself counts every interval.
type Curve struct {
	Group       string   `json:"group,omitempty"`
	Patients    Count    `json:"patients"`
	Events      Count    `json:"events"`
	Points      []Point  `json:"points,omitempty"` // none below the minimum cell
	Median      *float64 `json:"median,omitempty"`
	MedianLower *float64 `json:"median_lower,omitempty"` // 95% interval
	MedianUpper *float64 `json:"median_upper,omitempty"`
}

// Point is the state at a time, and what happened since the point before.
type Point struct {
	Time     float64  `json:"time"`
	AtRisk   Count    `json:"at_risk"`  // at the point before
	Events   Count    `json:"events"`   // since
	Censored Count    `json:"censored"` // since
	Survival float64  `json:"survival"`
	StdError float64  `json:"std_error"`       // Greenwood's
	Lower    *float64 `json:"lower,omitempty"` // 95%, on the scale of log(-log)
	Upper    *float64 `json:"upper,omitempty"`
}

func describeSurvival(s *study.Study, by []Grouping, tables [][]Lifetable) *Survival {
	out := &Survival{Overall: curve(s, "", tables[0][0])}
	for b, g := range by[1:] {
		c := Compared{Column: g.Column, LogRank: logRank(tables[b+1])}
		reference := 0
		if g.feature >= 0 {
			reference = s.Features[g.feature].Reference
		}
		c.RMST = CompareRMST(s, g, tables[b+1], reference)
		for i, table := range tables[b+1] {
			c.Curves = append(c.Curves, curve(s, g.Names[i], table))
		}
		out.Groupings = append(out.Groupings, c)
	}
	return out
}

func curve(s *study.Study, group string, l Lifetable) Curve {
	cell, grid := s.Fairness.MinimumCell, s.Outcome.Grid
	total, n := 0, l.Patients()
	for _, d := range l.Events {
		total += d
	}
	out := Curve{Group: group, Patients: Suppress(n, cell), Events: Suppress(total, cell)}
	if rest := Suppress(n-total, cell); rest.State == Suppressed {
		out.Events = rest // the two are one number apart
	}
	if out.Patients.State != OK {
		out.Events = out.Patients // that few had no event tells of each of them
		return out
	}
	p, greenwood := l.survival()
	risk := l.AtRisk()
	first := 0
	for _, end := range l.Shown(cell) {
		events, censored := 0, 0
		for k := first; k <= end; k++ {
			events, censored = events+l.Events[k], censored+l.Censored[k]
		}
		x := Point{Time: grid[end], AtRisk: Suppress(risk[first], cell), Events: Suppress(events, cell), Censored: Suppress(censored, cell),
			Survival: p[end]}
		if p[end] > 0 {
			x.StdError = p[end] * math.Sqrt(greenwood[end])
		}
		if lower, upper, ok := logLog(p[end], greenwood[end]); ok {
			x.Lower, x.Upper = &lower, &upper
		}
		// Whoever is still at risk after the last point is one subtraction away.
		if end == len(grid)-1 && Suppress(risk[end+1], cell).State == Suppressed {
			x.Censored = Count{State: Suppressed}
		}
		out.Points = append(out.Points, x)
		first = end + 1
	}
	crossing := func(at func(k int) float64) *float64 {
		for k := range grid {
			if at(k) <= 0.5 {
				return &grid[k]
			}
		}
		return nil
	}
	out.Median = crossing(func(k int) float64 { return p[k] })
	out.MedianLower = crossing(func(k int) float64 {
		if lower, _, ok := logLog(p[k], greenwood[k]); ok {
			return lower
		}
		return p[k]
	})
	out.MedianUpper = crossing(func(k int) float64 {
		if _, upper, ok := logLog(p[k], greenwood[k]); ok {
			return upper
		}
		return 1 // after the last event nothing bounds the curve from above
	})
	return out
}
