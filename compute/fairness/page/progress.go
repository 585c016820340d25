package page

import (
	"math"
	"strings"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// progress draws the error of each group over the rounds of training; nil where
// the study did not ask for audits on the way.
func progress(a *fairness.Audit) *plot.Chart {
	if len(a.Progress) < 2 {
		return nil
	}
	metric, name := "mae", strings.TrimSpace("mean absolute error "+a.Unit)
	switch study.Type(a.OutcomeType) {
	case study.Binary:
		metric, name = "brier", "Brier score"
	case study.Survival:
		metric, name = "event_share", "share with the event"
	}
	names := map[[2]string]string{}
	lines := map[[2]string][]plot.XY{}
	var order [][2]string
	bottom, top := math.Inf(1), 0.0
	for _, p := range a.Progress {
		for _, g := range p.Groups {
			m, ok := g.Metrics[metric]
			if !ok {
				continue
			}
			key := [2]string{g.Attribute, g.Level}
			if lines[key] == nil {
				order = append(order, key)
				names[key] = g.Attribute + ": " + g.Level
				if g.Attribute == fairness.All {
					names[key] = "all patients"
				}
			}
			lines[key] = append(lines[key], plot.XY{X: float64(p.Round), Y: m.Estimate})
			bottom, top = min(bottom, m.Estimate), max(top, m.Estimate)
		}
	}
	if len(order) == 0 || top == 0 {
		return nil
	}
	c := &plot.Chart{ID: "progress", Title: "Errors over the rounds of training", XLabel: "rounds of training", YLabel: name,
		X: plot.XAxisTo(float64(a.Progress[0].Round), float64(a.Progress[len(a.Progress)-1].Round)), Y: plot.YAxis(bottom, top),
		Caption: "The model as it was on the way, judged on the same patients each time: what differs between two rounds is the model, not who was asked."}
	for i, key := range order {
		if i == mostCurves {
			c.Caption += " The first groups; audit.json has all, and the other metrics."
			break
		}
		s := plot.Series{Name: names[key], Path: c.Path(lines[key])}
		for _, p := range lines[key] {
			s.Dots = append(s.Dots, c.Dot(p, 3.5))
		}
		c.Series = append(c.Series, s)
		first, last := lines[key][0], lines[key][len(lines[key])-1]
		c.Words += names[key] + " from " + plot.Number(first.Y) + " to " + plot.Number(last.Y) + ". "
	}
	return c
}
