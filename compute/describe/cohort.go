package describe

import (
	"math"

	"github.com/consilium-fl/consilium/study"
)

// States of a published count.
const (
	OK         = "ok"
	Suppressed = "suppressed" // some, but fewer than the minimum cell
	Zero       = "zero"
)

// Cohort is the published description of the patients of a study.
type Cohort struct {
	Contributors int         `json:"contributors"` // hospitals
	MinimumCell  int         `json:"minimum_cell"`
	Patients     Count       `json:"patients"`
	Outcome      Variable    `json:"outcome"`
	Features     []Variable  `json:"features"`
	Attributes   []Attribute `json:"attributes"` // of the bias audit
}

// Count is a number of patients, or why it is not shown.
type Count struct {
	State string `json:"state"`
	N     *int   `json:"n,omitempty"`
}

// Variable describes a column: mean and standard deviation of a number, the
// levels of a category, the positives of a binary outcome.
type Variable struct {
	Column    string   `json:"column"`
	Unit      string   `json:"unit,omitempty"`
	Mean      *float64 `json:"mean,omitempty"`
	SD        *float64 `json:"sd,omitempty"`
	Positives *Count   `json:"positives,omitempty"`
	Levels    []Level  `json:"levels,omitempty"`
}

// Level is a level and its patients.
type Level struct {
	Name  string `json:"name"`
	Count Count  `json:"count"`
}

// Attribute is an attribute of the audit and its groups.
type Attribute struct {
	Column string  `json:"column"`
	Groups []Level `json:"groups"`
}

// Suppress is the one rule for publishing a count.
func Suppress(n, minimumCell int) Count {
	switch {
	case n == 0:
		return Count{State: Zero, N: &n}
	case n < minimumCell:
		return Count{State: Suppressed}
	}
	return Count{State: OK, N: &n}
}

// Cohort is what may be published of the counts.
func (c *Counts) Cohort() *Cohort {
	k := c.study.Fairness.MinimumCell
	out := &Cohort{Contributors: c.Contributors, MinimumCell: k, Patients: Suppress(c.Patients, k)}
	show := out.Patients.State == OK

	out.Outcome = Variable{Column: c.study.Outcome.Column, Unit: c.study.Outcome.Unit}
	if c.study.Outcome.Type == study.Binary {
		positives := Suppress(c.Positives, k)
		if negatives := Suppress(c.Patients-c.Positives, k); negatives.State == Suppressed {
			positives = negatives // the two are one number apart
		}
		out.Outcome.Positives = &positives
	} else if show {
		out.Outcome.Mean, out.Outcome.SD = moments(c.outcome[0], c.outcome[1], c.Patients, c.index.outMid, c.index.outHalf)
	}

	number := 0
	for f, feature := range c.study.Features {
		v := Variable{Column: feature.Column, Unit: feature.Unit}
		if feature.Type == study.Number {
			if show {
				v.Mean, v.SD = moments(c.numbers[number], c.squares[number], c.Patients, c.index.mid[number], c.index.half[number])
			}
			number++
		} else {
			for l, level := range feature.Levels {
				v.Levels = append(v.Levels, Level{level.Name, Suppress(c.levels[c.index.levelAt[f]+l], k)})
			}
		}
		out.Features = append(out.Features, v)
	}
	for a, attribute := range c.study.Fairness.Attributes {
		groups := Attribute{Column: attribute.Column}
		for g, name := range attribute.Groups() {
			groups.Groups = append(groups.Groups, Level{name, Suppress(c.Group(a, g), k)})
		}
		out.Attributes = append(out.Attributes, groups)
	}
	return out
}

// moments turns scaled sums into mean and standard deviation in units.
func moments(sum, squares float64, n int, mid, half float64) (mean, sd *float64) {
	m := sum / float64(n)
	u := mid + half*m
	if n < 2 {
		return &u, nil
	}
	s := half * math.Sqrt(max(0, squares-float64(n)*m*m)/float64(n-1))
	return &u, &s
}
