package page

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// renderWatch writes the page of a study that watches an installed release.
func renderWatch(d Document) ([]byte, error) {
	r := d.Result.Monitor
	v := view{Title: d.Title, Kind: "Watch over an installed release", Digest: d.Result.Study, Version: d.Version, Name: d.Result.Name,
		Evidence: append([]Fact{{"Release that is watched", r.Release}}, d.Evidence...)}
	if v.Title == "" {
		v.Title = d.Result.Name
	}
	v.Lead = "What hospitals saw with the model that they have installed, window after window, without any patient record leaving its hospital."
	if d.Ended != "" {
		v.Lead += " No more windows follow: the study " + d.Ended + "."
	}
	v.Tiles = watchTiles(r)
	v.add(watchVerdict(r), watchCharts(r), watchWindows(r), watchShifts(r), watchNotes(r))
	return v.write()
}

func watchTiles(r *drift.Report) []tile {
	suppressed := 0
	for _, g := range r.Groups {
		for _, p := range g.Points {
			if p.State == drift.Suppressed {
				suppressed++
			}
		}
	}
	asked := fmt.Sprintf("%d", len(r.Windows))
	out := []tile{{r.Verdict, "verdict over all groups and windows", ""}, {asked, plot.Plural(len(r.Windows), "window", "windows")[len(asked):] + " asked about so far", ""},
		{fmt.Sprint(len(r.Alerts)), "alerts", "a chart or an index that begins to call"}}
	if suppressed > 0 {
		out = append(out, tile{fmt.Sprint(suppressed), "figures of a group in a window withheld", fmt.Sprintf("fewer than %d patients, too few hospitals, or nearly all at one", r.MinimumCell)})
	}
	return out
}

var verdictClass = map[string]string{drift.Alert: "found", drift.Insufficient: "unsure", drift.NoAlert: "none"}

func watchGroup(attribute, level string) string {
	if attribute == "all" {
		return "all patients"
	}
	return attribute + ": " + level
}

func watchVerdict(r *drift.Report) section {
	t := &table{Caption: "Each group's verdict, and its latest window", Head: []string{"Group", "Verdict", "Latest", watchMeasure(r), "Found after"}}
	for _, g := range r.Groups {
		one := row{Name: watchGroup(g.Attribute, g.Level), Note: g.Why, Cells: []cell{{Text: g.Verdict, Class: verdictClass[g.Verdict]}, {Text: "–"}, {Text: "–"}, {Text: "–"}}}
		for i, p := range slices.Backward(g.Points) {
			if at := estimate(p); at != nil {
				one.Cells[1] = cell{Text: fmt.Sprint("window ", i+1), Note: "from " + r.Windows[i].From}
				one.Cells[2] = cell{Text: plot.Number(at.Estimate), Note: interval(at.Lower, at.Upper)}
				break
			}
		}
		if g.FoundAfter != nil {
			one.Cells[3].Text = "≈ " + plot.Minus(strconv.FormatFloat(*g.FoundAfter, 'f', 1, 64)) + " windows"
		}
		t.Rows = append(t.Rows, one)
	}
	blocks := []block{text("Found after: the mean number of windows of this size until the chart calls, where outcomes are off by the margin of %s that the study says would matter.", margin(r))}
	if len(r.Alerts) == 0 {
		blocks = append(blocks, note("No chart and no index has called. That is not the same as no drift: see how soon one would have been found."))
	}
	var alerts []string
	inOrder := slices.SortedStableFunc(slices.Values(r.Alerts), func(a, b drift.Signal) int { return a.Window - b.Window })
	for _, a := range inOrder {
		alerts = append(alerts, sentence(a))
	}
	if alerts != nil {
		blocks = append(blocks, block{Head: "Alerts"}, block{List: alerts})
	}
	return section{"What was found", append(blocks, block{Table: t})}
}

func sentence(a drift.Signal) string {
	limit := plot.Number(a.Limit)
	if a.Chart != "ewma" { // whose limit is not declared but follows
		limit = plot.Plain(a.Limit)
	}
	window := fmt.Sprintf("Window %d, from %s", a.Window+1, a.From)
	who := watchGroup(a.Attribute, a.Level)
	if a.Chart == "psi" {
		return fmt.Sprintf("%s, %s: the patients' %s are distributed otherwise than in the first window (stability index %s, limit %s).", window, who, a.Of, plot.Number(a.Value), limit)
	}
	more := "more"
	if a.Direction == "down" {
		more = "less"
	}
	return fmt.Sprintf("%s, %s: %s is observed than the model expects (%s at %s, limit %s).", window, who, more, strings.ToUpper(a.Chart), plot.Number(a.Value), limit)
}

func watchMeasure(r *drift.Report) string {
	if r.OutcomeType == string(study.Number) {
		return "bias" + inUnit(r.Unit)
	}
	return "observed / expected"
}

func inUnit(unit string) string {
	if unit == "" {
		return ""
	}
	return ", " + unit
}

func margin(r *drift.Report) string {
	if r.OutcomeType == string(study.Number) {
		return plot.Plain(r.Limits.Margin) + " " + r.Unit
	}
	return fmt.Sprintf("±%s%% of what is expected", plot.Plain(100*r.Limits.Margin))
}

func estimate(p drift.Point) *drift.Interval {
	if p.Ratio != nil {
		return p.Ratio
	}
	return p.Bias
}

// watchCharts draws the outcomes and the CUSUM of the first groups over windows.
func watchCharts(r *drift.Report) section {
	if len(r.Windows) < 2 {
		return section{}
	}
	outcomes := &plot.Chart{Title: watchMeasure(r) + " by window", XLabel: "window", YLabel: watchMeasure(r), X: plot.XAxisTo(1, float64(len(r.Windows))).Whole()}
	sums := &plot.Chart{Title: "CUSUM by window", XLabel: "window", YLabel: "standard errors", X: plot.XAxisTo(1, float64(len(r.Windows))).Whole()}
	level := 1.0
	if r.OutcomeType == string(study.Number) {
		level = 0
	}
	lo, hi, top := level, level, r.Limits.H
	var shown []drift.Group
	for _, g := range r.Groups {
		charted := 0
		for _, p := range g.Points {
			if at := estimate(p); at != nil && p.Up != nil {
				lo, hi, top = min(lo, at.Estimate), max(hi, at.Estimate), max(top, *p.Up, *p.Down)
				if g.Attribute == "all" {
					lo, hi = min(lo, at.Lower), max(hi, at.Upper)
				}
				charted++
			}
		}
		if charted > 0 && len(shown) < mostCurves {
			shown = append(shown, g)
		}
	}
	outcomes.Y, sums.Y = plot.YAxis(lo, hi), plot.YAxis(0, top)
	outcomes.Lines, sums.Lines = []plot.Line{outcomes.Across(level)}, []plot.Line{sums.Across(r.Limits.H)}
	outcomes.Caption = "The dashed line is what the model expects; the area is the 95% interval of all patients. A group that is withheld in a window has no dot there."
	sums.Caption = fmt.Sprintf("What has added up beyond %s standard errors a window, in either direction; above the dashed line it is an alert.", plot.Plain(r.Limits.K))
	var words []string
	for _, g := range shown {
		name := watchGroup(g.Attribute, g.Level)
		var line, lower, upper, sum []plot.XY
		a, b := plot.Series{Name: name}, plot.Series{Name: name}
		for i, p := range g.Points {
			at, x := estimate(p), float64(i+1)
			if at == nil || p.Up == nil {
				continue
			}
			line, sum = append(line, plot.XY{X: x, Y: at.Estimate}), append(sum, plot.XY{X: x, Y: max(*p.Up, *p.Down)})
			lower, upper = append(lower, plot.XY{X: x, Y: at.Lower}), append(upper, plot.XY{X: x, Y: at.Upper})
			a.Dots = append(a.Dots, outcomes.Dot(line[len(line)-1], 4))
			b.Dots = append(b.Dots, sums.Dot(sum[len(sum)-1], 4))
		}
		a.Path, b.Path = outcomes.Path(line), sums.Path(sum)
		if g.Attribute == "all" {
			a.Band = outcomes.Between(lower, upper)
		}
		outcomes.Series, sums.Series = append(outcomes.Series, a), append(sums.Series, b)
		words = append(words, fmt.Sprintf("%s ends at %s, its CUSUM at %s", name, plot.Number(line[len(line)-1].Y), plot.Number(sum[len(sum)-1].Y)))
	}
	if len(shown) == 0 {
		return section{}
	}
	outcomes.Words = strings.Join(words, "; ") + "."
	sums.Words = outcomes.Words
	return section{"Outcomes against the model", []block{{Chart: outcomes}, {Chart: sums}}}
}

func watchWindows(r *drift.Report) section {
	var blocks []block
	for i, w := range r.Windows {
		t := &table{Fold: fmt.Sprintf("Window %d, from %s up to %s: %s", i+1, w.From, w.To, plot.Plural(w.Contributors, "hospital", "hospitals")),
			Head: []string{"Group", "Patients", watchMeasure(r), "CUSUM up", "CUSUM down"}}
		if w.Why != "" {
			t.Fold = fmt.Sprintf("Window %d, from %s up to %s: %s, %s", i+1, w.From, w.To, w.State, w.Why)
		}
		for _, g := range r.Groups {
			p := g.Points[i]
			one := row{Name: watchGroup(g.Attribute, g.Level)}
			switch {
			case p.State == drift.Suppressed:
				hidden := cell{Text: withheldText, Withheld: true}
				one.Cells = []cell{hidden, hidden, hidden, hidden}
			case p.State == drift.Missed:
				one.Cells = cells("–", "–", "–", "–")
			case p.State == drift.Zero:
				one.Cells = cells("0", "–", "–", "–")
			default:
				one.Cells = []cell{{Text: plot.Grouped(*p.N)}, {Text: "–"}, optional(p.Up), optional(p.Down)}
				if at := estimate(p); at != nil {
					one.Cells[1] = cell{Text: plot.Number(at.Estimate), Note: interval(at.Lower, at.Upper)}
				}
			}
			t.Rows = append(t.Rows, one)
		}
		blocks = append(blocks, block{Table: t})
	}
	return section{"Every window", blocks}
}

// watchShifts shows the stability indices of all patients, and which groups have
// an alert.
func watchShifts(r *drift.Report) section {
	all := r.Groups[0]
	t := &table{Caption: "Population stability index of all patients against the first window", Head: []string{"Window from"}}
	var of []string
	for _, p := range all.Points {
		for _, s := range p.Shifts {
			if !slices.Contains(of, s.Of) {
				of = append(of, s.Of)
			}
		}
	}
	if of == nil {
		return section{}
	}
	t.Head = append(t.Head, of...)
	for i, p := range all.Points[1:] {
		one := row{Name: r.Windows[i+1].From, Cells: make([]cell, len(of))}
		for k := range of {
			one.Cells[k] = cell{Text: "–"}
			for _, s := range p.Shifts {
				if s.Of == of[k] {
					one.Cells[k] = cell{Text: plot.Number(s.PSI), Class: verdictClass[s.Verdict], Note: fmt.Sprintf("%s; noise %s", s.Verdict, plot.Number(s.Noise))}
				}
			}
		}
		t.Rows = append(t.Rows, one)
	}
	return section{"Who the patients are", []block{
		text("An index above %s is an alert where it is also above its noise: what windows of so many patients differ by if nothing has shifted. Where the noise is above the limit the evidence is insufficient. The other groups', and the Jensen–Shannon and Kolmogorov–Smirnov distances, are in result.json.", plot.Plain(r.Limits.PSI)),
		{Table: t}}}
}

func watchNotes(r *drift.Report) section {
	return section{"How to read this", []block{{List: r.Notes}, text("CUSUM with k = %s and h = %s: without a drift it calls once in %s windows on average.",
		plot.Plain(r.Limits.K), plot.Plain(r.Limits.H), plot.Number(r.Limits.InControl))}}
}
