package page

import (
	_ "embed"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

//go:embed representation.html
var representationHTML string

// representedRow is a group in the data as a person reads it.
type representedRow struct {
	Attribute, Level, Reference string
	Share, Balance, KL          string
	JS                          figureCell
	Cells                       []figureCell // disparities
	Given                       []givenCell
}

type givenCell struct {
	figureCell
	On, Covered string
}

// Represented is who is in the data, beside each group's reference.
func (v *view) Represented() (out []representedRow) {
	share, number := measure{Scale: 100, Digits: 1, Unit: "%"}, measure{Scale: 1, Digits: 3}
	figure := func(x *fairness.Metric) figureCell {
		if x == nil {
			return figureCell{Value: "–"}
		}
		return number.cell(*x)
	}
	for _, r := range v.Audit.Representation {
		row := representedRow{Attribute: r.Attribute, Level: r.Level, Reference: r.Reference, Share: "–", Balance: "–",
			JS: figure(r.JS), Cells: []figureCell{figure(r.Disparity), figure(r.Called)}}
		if r.Share != nil {
			row.Share = share.text(*r.Share)
		}
		if r.Imbalance != nil {
			row.Balance = number.text(*r.Imbalance)
		}
		if r.KL != nil {
			row.KL = number.text(r.KL.Estimate)
		}
		for _, c := range r.Conditional {
			given := givenCell{figureCell: number.cell(c.Estimate), On: c.On}
			if c.Covered < 1 {
				given.Covered = plot.Percent(c.Covered)
			}
			row.Given = append(row.Given, given)
		}
		out = append(out, row)
	}
	return out
}

// parityRow is how a group and its reference are called positive at other
// thresholds.
type parityRow struct {
	Attribute, Level, Reference, From string
	Cells                             []figureCell
}

// Parities are of the groups whose scores may be compared.
func (v *view) Parities() (out []parityRow) {
	m := measure{Scale: 1, Digits: 3}
	for _, o := range v.Audit.Odds {
		p := o.Parity
		if p == nil {
			continue
		}
		row := parityRow{Attribute: o.Attribute, Level: o.Level, Reference: o.Reference, From: "–", Cells: []figureCell{m.cell(p.Mean)}}
		for _, at := range []struct {
			gap       fairness.Metric
			threshold float64
		}{{p.Largest, p.LargestAt}, {p.Half, p.HalfAt}} {
			cell := m.cell(at.gap)
			cell.Interval = "at " + plot.Plain(at.threshold)
			row.Cells = append(row.Cells, cell)
		}
		if p.AlikeFrom != nil {
			row.From = plot.Plain(*p.AlikeFrom)
		}
		out = append(out, row)
	}
	return out
}
