// Package page writes the audit of a model as one HTML file that a person new
// to it can read: what the model is for, who is in the data, where it errs more
// and how sure that is, what is hidden and why, and how to check all of it.
//
// The file needs nothing else: style and drawings are inside, there is no
// script and no link to another host, so it can be archived and read offline
// for as long as the records it describes. It is a function of the report
// alone; the signed report, not this page, is the evidence.
package page

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/glm"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

//go:embed report.html
var reportHTML string

//go:embed plots.html
var plotsHTML string

var templates = template.Must(template.Must(template.Must(plot.Add(template.New("report")).Funcs(template.FuncMap{
	"percent": func(part, whole int) string {
		return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + "%"
	},
	"brief": brief,
	"scale": func(transform string) string {
		if transform == string(study.Sqrt) {
			return "square-root"
		}
		return transform
	},
}).Parse(reportHTML)).Parse(plotsHTML)).Parse(decisionHTML + representationHTML + noiseHTML))

// Document is what a report is made of.
type Document struct {
	Cohort    *describe.Cohort
	Model     *glm.Model // nil if the study's model is of another kind
	Audit     *fairness.Audit
	Diagnoses []compute.Diagnosis // remarks on the fit
	Evidence  []Fact              // how the signed evidence names this report; may be empty
	Override  *Override           // of the release, where the study's criteria block it and an auditor had it offered
}

// Fact is a line of the section on verification.
type Fact struct{ Name, Value string }

// Render writes the report over all hospitals.
func Render(d Document) ([]byte, error) {
	if d.Cohort == nil || d.Audit == nil {
		return nil, errors.New("a report needs the cohort and the audit of a completed study")
	}
	v := newView(d.Audit, nil)
	v.Document = d
	v.Features = features(d.Cohort)
	if n := d.Cohort.Patients.N; n != nil && d.Audit.Unseen && d.Audit.Noise == nil && d.Audit.N < *n && d.Audit.Groups[0].State == fairness.OK {
		v.Tiles[0].Label = "patients whom the model had not seen, of " + plot.Grouped(*n)
		v.Tried = fmt.Sprintf("These are all %s patients; the errors further down are of the %s whom the model had not seen.", plot.Grouped(*n), plot.Grouped(d.Audit.N))
	}
	if v.Populations = populations(d.Cohort); d.Audit.Noise != nil {
		v.Populations = noisyPopulations(d.Audit) // the cohort has none
	}
	if d.Model != nil {
		v.Coefficients = coefficients(d.Model)
	}
	return v.write("report")
}

// Compare writes a hospital's own figures beside those of the whole. It is
// for that hospital: whoever renders it keeps it there.
//
// The local audit is the hospital's own work, and the whole's comes from a
// coordinator, which is not trusted: whatever numbers it holds make a page or an
// error. A release that the study's criteria block was offered under an override.
func Compare(site string, whole, local *fairness.Audit, under *Override) ([]byte, error) {
	if whole == nil || local == nil || whole.Study != local.Study || whole.OutcomeType != local.OutcomeType || len(local.Groups) == 0 ||
		!slices.EqualFunc(whole.Groups, local.Groups, func(a, b fairness.Group) bool { return a.Attribute == b.Attribute && a.Level == b.Level }) {
		return nil, errors.New("a comparison needs two audits of the same study, with the same groups")
	}
	v := newView(whole, local)
	v.Site, v.Override = site, under
	return v.write("comparison")
}

func (v *view) write(name string) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, v); err != nil {
		return nil, fmt.Errorf("the report cannot be written: %w", err)
	}
	return b.Bytes(), nil
}

// view is what the templates see.
type view struct {
	Document
	Site         string
	Audit        *fairness.Audit
	Local        *fairness.Audit
	Dose         bool
	Subject      string // what is predicted, in words
	Tiles        []tile
	Gaps         []gapView
	Found        []gapView
	Errs         bool   // one of them is of errors
	Tried        string // of all patients, whom the figures are about; empty for all
	Missing      int    // comparisons with insufficient evidence
	Clear        int    // comparisons without a disparity
	Shares       *shares
	Boxes        *boxes
	Curve        *curve
	Tables       []table
	LocalTables  []table
	Forests      []forest
	Unplotted    []string // measures that would be drawn, of which no group shows a figure
	Uncompared   string   // why there is no comparison of groups
	GapForests   []*plot.Rows
	Calibration  *plot.Chart // by group
	Progress     *plot.Chart // over rounds of training
	Hospitals    []hospitals
	Odds         *oddsTable
	Populations  []population
	Features     string
	Coefficients []coefficient
}

type tile struct{ Value, Label, Note string }

func newView(whole, local *fairness.Audit) *view {
	v := &view{Audit: whole, Local: local, Dose: whole.OutcomeType == string(study.Number) || whole.OutcomeType == string(study.Count)}
	v.Subject = whole.Outcome
	if whole.Unit != "" {
		v.Subject += " in " + whole.Unit
	}
	list := measures(whole)
	shown := whole
	if local != nil {
		shown = local
	}
	all := shown.Groups[0]
	cohort := plot.Grouped(shown.N)
	if all.Noise != nil {
		cohort = patients(all)
	}
	if all.State == fairness.Suppressed {
		cohort = "withheld"
	}
	v.Tiles = []tile{
		{cohort, "patients", ""},
		{strconv.Itoa(whole.Contributors), "hospitals", ""},
	}
	if local != nil {
		v.Tiles = []tile{{plot.Grouped(local.N), "patients here", "of " + allPatients(whole) + " in the whole"}}
	}
	for _, m := range list {
		if x, ok := all.Metrics[m.Name]; ok && m.Tile != "" {
			t := tile{m.text(x.Estimate), m.Tile, m.interval(x)}
			if m.Unit != "%" && m.Unit != "" {
				t.Label += ", " + m.Unit
			}
			if local != nil {
				t.Note = "whole: " + m.text(whole.Groups[0].Metrics[m.Name].Estimate)
			}
			v.Tiles = append(v.Tiles, t)
		}
		switch {
		case m.Plot && !known(m.Name, whole, local):
			v.Unplotted = append(v.Unplotted, m.Short)
		case m.Plot:
			v.Forests = append(v.Forests, newForest(m, whole, local))
		}
	}
	for _, gap := range whole.Gaps {
		g := newGapView(gap, list)
		v.Gaps = append(v.Gaps, g)
		switch gap.Verdict {
		case fairness.Disparity:
			v.Found = append(v.Found, g)
			v.Errs = v.Errs || !g.NoError
		case fairness.NoDisparity:
			v.Clear++
		default:
			v.Missing++
		}
	}
	switch {
	case v.Dose:
		v.Shares, v.Boxes = newShares(shown), newBoxes(shown, list)
		if v.Boxes != nil && local != nil {
			v.Boxes.Title += ": this hospital"
		}
	case shown.Calibration != nil:
		v.Curve = newCurve(shown)
	}
	v.Tables = tables(whole, list)
	if local != nil {
		v.LocalTables = tables(local, list)
		return v
	}
	v.GapForests = gapForests(whole, list)
	v.Uncompared = Uncompared(whole)
	v.Calibration = calibrationByGroup(whole)
	v.Progress = progress(whole)
	v.Hospitals = newHospitals(whole, list)
	v.Odds = newOdds(whole)
	return v
}

// known reports whether a group of one of the audits shows a figure.
func known(metric string, audits ...*fairness.Audit) bool {
	for _, a := range audits {
		if a != nil && slices.ContainsFunc(a.Groups, func(g fairness.Group) bool { _, ok := g.Metrics[metric]; return ok }) {
			return true
		}
	}
	return false
}

// Uncompared says why an audit compares no groups: there are not two of an attribute
// that are large enough, or what they would be compared by is withheld.
func Uncompared(a *fairness.Audit) string {
	shown, withheld := map[string]int{}, false
	for _, g := range a.Groups[1:] {
		if g.State == fairness.OK {
			shown[g.Attribute]++
			withheld = withheld || len(g.Withheld) > 0
		}
	}
	for _, n := range shown {
		if n > 1 && withheld {
			return "There are groups large enough to be compared, but what the study compares them by is withheld: with it one could work out figures of fewer than " + strconv.Itoa(a.MinimumCell) + " patients. Fewer combinations of attributes, fewer levels and fewer thresholds leave more to show."
		}
	}
	return "There are not two groups of patients large enough to be compared."
}

// gapView is a comparison as a person reads it.
type gapView struct {
	fairness.Gap
	What, Size, Unit, Difference, Interval, Effect, Bound, Detectable string
	Symbol, Class                                                     string
	NoError                                                           bool // the measure is what groups have, or are called
}

// noErrors are measures in which groups may differ although the model errs for
// none: what they have, and what they are called.
var noErrors = []string{"event_share", "mean_predicted", "selection_rate"}

func newGapView(g fairness.Gap, measures []measure) gapView {
	v := gapView{Gap: g, What: g.Metric, Symbol: "○", Class: "unsure", NoError: slices.Contains(noErrors, g.Metric)}
	switch g.Verdict {
	case fairness.Disparity:
		v.Symbol, v.Class = "◆", "found"
	case fairness.NoDisparity:
		v.Symbol, v.Class = "●", "none"
	}
	for _, m := range measures {
		if m.Name != g.Metric {
			continue
		}
		v.What, v.Unit = m.Noun, m.Unit
		if m.Unit == "%" {
			v.Unit, m.Unit = "percentage points", ""
		}
		v.Size = m.text(math.Abs(g.Estimate)) + " " + v.Unit + " higher"
		if g.Estimate < 0 {
			v.Size = m.text(math.Abs(g.Estimate)) + " " + v.Unit + " lower"
		}
		v.Difference = m.text(g.Estimate)
		v.Interval = m.text(g.Lower) + " to " + m.text(g.Upper)
		if g.Effect != nil {
			v.Effect = "d = " + measure{Scale: 1, Digits: 2}.text(*g.Effect)
		}
		v.Bound, v.Detectable = m.text(g.Margin), m.text(g.Detectable)
	}
	return v
}

// label names a group with those that are counted in its place.
func label(g fairness.Group) string {
	switch {
	case g.As != "":
		return g.As
	case g.With != nil:
		return g.Level + ", with " + strings.Join(g.With, ", ")
	}
	return g.Level
}

// hidden says why a group has no figures, as the list of what is hidden does; empty
// where it has some.
func hidden(a *fairness.Audit, g fairness.Group) string {
	if why := hiddenUnderNoise(g, a.MinimumCell); why != "" {
		return why
	}
	switch g.State {
	case fairness.Suppressed, fairness.Merged:
		for _, h := range a.Hidden {
			if h.Attribute == g.Attribute && h.Level == g.Level {
				return "hidden: " + h.Why
			}
		}
		return "hidden"
	case fairness.Zero:
		return "no patients"
	case fairness.NotEstimable:
		return "no measure has a value"
	}
	return ""
}

// mostInDrawing are the letters for which a row of a drawing has room.
const mostInDrawing = 86

// brief is a reason as a row of a drawing has room for it; the drawing's words, the
// tables and the list of what is hidden have all of it.
func brief(why string) string {
	letters := []rune(why)
	if len(letters) <= mostInDrawing {
		return why
	}
	cut := strings.TrimRight(string(letters[:mostInDrawing-1]), " ")
	if at := strings.LastIndexByte(cut, ' '); at > 0 {
		cut = cut[:at]
	}
	return strings.TrimRight(cut, " ,;") + " …"
}

// population is an attribute's groups as bars.
type population struct {
	Attribute string
	Bars      []bar
}

type bar struct {
	Y, Width, Text float64
	Label, Count   string
}

func populations(c *describe.Cohort) []population {
	if c.Patients.N == nil {
		return nil
	}
	total := *c.Patients.N
	var out []population
	for _, a := range c.Attributes {
		p := population{Attribute: a.Column}
		largest := 1
		for _, g := range a.Groups {
			if g.Count.State == describe.OK {
				largest = max(largest, *g.Count.N)
			}
		}
		for i, g := range a.Groups {
			b := bar{Y: float64(i) * rowHeight, Label: g.Name}
			switch g.Count.State {
			case describe.OK:
				share := float64(*g.Count.N) / float64(total)
				b.Width = barWidth * float64(*g.Count.N) / float64(largest)
				b.Count = fmt.Sprintf("%s (%.1f%%)", plot.Grouped(*g.Count.N), 100*share)
			case describe.Zero:
				b.Count = "no patients"
			default:
				b.Count = fmt.Sprintf("hidden: fewer than %d, or beside such a group", c.MinimumCell)
			}
			b.Text = barStart + b.Width + 8
			p.Bars = append(p.Bars, b)
		}
		out = append(out, p)
	}
	return out
}

// Height of the drawing.
func (p population) Height() float64 { return float64(len(p.Bars)) * rowHeight }

func features(c *describe.Cohort) string {
	names := make([]string, len(c.Features))
	for i, f := range c.Features {
		names[i] = f.Column
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// coefficient is a line of the model's table.
type coefficient struct {
	glm.Term
	Lower, Upper float64
}

func coefficients(m *glm.Model) []coefficient {
	var out []coefficient
	for _, t := range m.Terms {
		lower, upper := m.Interval(t)
		out = append(out, coefficient{t, lower, upper})
	}
	return out
}
