// Package page writes what a study has found as one HTML file that a person new
// to it can read: what was asked and of whom, the model with its coefficients or
// what it rests on, how it does on patients it had not seen, the description of
// the patients where no model was asked for, what is withheld, and how to check
// all of it.
//
// The file needs nothing else: style and drawings are inside, there is no
// script and no link to another host. Every drawing stands beside a table of its
// numbers. A count that is withheld reads "withheld", never 0.
//
// The package composes: text comes from here, drawings from package plot. Whom
// a model errs for is the bias audit's own page (package fairness/page).
package page

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"strconv"

	"github.com/consilium-fl/consilium/compute/describe"
	auditpage "github.com/consilium-fl/consilium/compute/fairness/page"
	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

//go:embed page.html
var pageHTML string

var templates = template.Must(plot.Add(template.New("plots")).New("page").Parse(pageHTML))

// Document is what a page is made of.
type Document struct {
	Title   string // of the study
	Version int
	Result  *pipeline.Result
	// Protocol is the study's file, if it is at hand: then the page says what was
	// asked, not only what was found.
	Protocol *study.Study
	Evidence []Fact // how the signed evidence names this result; may be empty
	// Override of the release, where the study's criteria block it and an auditor
	// had it offered.
	Override *auditpage.Override
	// Ended is why a study that watches a release ended before its last window.
	Ended string
}

// Fact is a line of a list.
type Fact struct{ Name, Value string }

// Render writes the page of a study of any kind that has opened its counts.
func Render(d Document) ([]byte, error) {
	if d.Result != nil && d.Result.Monitor != nil {
		return renderWatch(d)
	}
	if d.Result == nil || d.Result.Cohort == nil {
		return nil, errors.New("a result page needs a study that has counted its patients")
	}
	r := d.Result
	v := view{Title: d.Title, Kind: "Result of a study", Digest: r.Study, Version: d.Version, Name: r.Name, Evidence: d.Evidence}
	if v.Title == "" {
		v.Title = r.Name
	}
	v.Lead = lead(r)
	v.Tiles = tiles(r)
	if r.Audit != nil {
		var err error
		if v.Decision, err = auditpage.Decision(r.Audit, d.Override); err != nil {
			return nil, err
		}
	}
	v.add(asked(d))
	v.add(remarks(r))
	v.add(modelSections(d)...)
	v.add(unseen(r))
	v.add(audited(r))
	v.add(mitigated(r))
	v.add(described(r)...)
	v.add(cohort(r.Cohort))
	v.add(withheld(r))
	return v.write()
}

// view is what the template sees.
type view struct {
	Kind, Title, Lead string
	Tiles             []tile
	Decision          template.HTML // what becomes of the release, as the bias audit's page has it
	Sections          []section
	Name, Digest      string
	Version           int
	Evidence          []Fact
}

type tile struct{ Value, Label, Note string }

// section is a heading and what stands under it; without blocks it is left out.
type section struct {
	Title  string
	Blocks []block
}

// block is one thing on a page: one of the fields is set.
type block struct {
	Text  string
	Note  string
	Head  string
	List  []string
	Facts []Fact
	Table *table
	Chart *plot.Chart
	Rows  *plot.Rows
}

// table of figures. Fold names the line under which it is kept closed.
type table struct {
	Fold    string
	Caption string
	Head    []string // that of the rows' names first
	Rows    []row
}

type row struct {
	Name, Note string
	Cells      []cell
}

type cell struct {
	Text, Note string
	Class      string
	Withheld   bool
}

func text(format string, args ...any) block { return block{Text: fmt.Sprintf(format, args...)} }
func note(format string, args ...any) block { return block{Note: fmt.Sprintf(format, args...)} }

// cells of plain text.
func cells(texts ...string) []cell {
	out := make([]cell, len(texts))
	for i, t := range texts {
		out[i].Text = t
	}
	return out
}

func (v *view) add(sections ...section) {
	for _, s := range sections {
		if len(s.Blocks) > 0 {
			v.Sections = append(v.Sections, s)
		}
	}
}

func (v *view) write() ([]byte, error) {
	v.number()
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "page", v); err != nil {
		return nil, fmt.Errorf("the page cannot be written: %w", err)
	}
	return b.Bytes(), nil
}

// number gives every drawing an id of its own.
func (v *view) number() {
	n := 0
	for _, s := range v.Sections {
		for _, b := range s.Blocks {
			n++
			id := "plot-" + strconv.Itoa(n)
			if b.Chart != nil {
				b.Chart.ID = id
			}
			if b.Rows != nil {
				b.Rows.ID = id
			}
		}
	}
}

func lead(r *pipeline.Result) string {
	hospitals := plot.Plural(r.Cohort.Contributors, "hospital", "hospitals")
	switch {
	case r.Model != nil:
		return "A model that " + hospitals + " have fitted together, without any patient record leaving its hospital."
	case r.Description != nil:
		return "A description of the patients of " + hospitals + ", made without any patient record leaving its hospital."
	}
	return "What " + hospitals + " have counted together, without any patient record leaving its hospital."
}

// withheldText stands where a number would show too few patients.
const withheldText = "withheld"

func count(c describe.Count) cell {
	switch {
	case c.State == describe.Suppressed || c.N == nil:
		return cell{Text: withheldText, Withheld: true}
	default:
		return cell{Text: plot.Grouped(*c.N)}
	}
}

func optional(x *float64) cell {
	if x == nil {
		return cell{Text: "–"}
	}
	return cell{Text: plot.Number(*x)}
}

func interval(lower, upper float64) string {
	return plot.Number(lower) + "\u00a0to\u00a0" + plot.Number(upper)
}
