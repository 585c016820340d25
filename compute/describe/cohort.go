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
	Events    *Count   `json:"events,omitempty"` // survival; mean and SD are then of the time
	Levels    []Level  `json:"levels,omitempty"`
	// Of a study that keeps records with missing features.
	Missing      *Count   `json:"missing,omitempty"`
	MissingShare *float64 `json:"missing_share,omitempty"`
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

// rule says what of the cohort's counts is shown.
type rule struct {
	outcome *Count // of those with the outcome or the event
	levels  []Count
	groups  []Count
	missing []*Count // by feature
}

// primary withholds small counts, and those that are one number apart from one.
func (c *Counts) primary() (r rule) {
	cell := c.study.Fairness.MinimumCell
	switch c.study.Outcome.Type {
	case study.Binary:
		r.outcome = c.either(c.Positives)
	case study.Survival:
		r.outcome = c.either(c.Events)
	}
	for _, n := range c.levels {
		r.levels = append(r.levels, Suppress(n, cell))
	}
	for _, n := range c.groups {
		r.groups = append(r.groups, Suppress(n, cell))
	}
	r.missing = make([]*Count, len(c.study.Features))
	if c.study.KeepsMissing() {
		for f, feature := range c.study.Features {
			if r.missing[f] = c.either(c.Patients - c.present[f]); r.missing[f].N == nil && feature.Type == study.Category {
				hideSmallest(r.levels[c.index.levelAt[f] : c.index.levelAt[f]+len(feature.Levels)])
			}
		}
	}
	return r
}

// complementary is what is left of a lattice in which the cohort's counts have
// these positions.
func (c *Counts) complementary(l *lattice, at positions, hidden []bool) (r rule) {
	show := func(i int) *Count {
		if i == nowhere {
			return nil
		}
		if hidden[i] {
			return &Count{State: Suppressed}
		}
		out := Suppress(l.table.Counts[i], 0)
		return &out
	}
	if r.outcome = show(at.outcome[1]); r.outcome != nil && hidden[at.outcome[0]] {
		r.outcome = &Count{State: Suppressed} // the two are one number apart
	}
	for _, i := range at.levels {
		r.levels = append(r.levels, *show(i))
	}
	for _, i := range at.groups {
		r.groups = append(r.groups, *show(i))
	}
	for _, i := range at.missing {
		r.missing = append(r.missing, show(i))
	}
	return r
}

// Cohort is what may be published of the counts.
func (c *Counts) Cohort() *Cohort {
	if !c.study.Fairness.Complementary {
		return c.cohort(c.primary())
	}
	return c.CohortBeside(0, nil)
}

// CohortBeside is what may be published of the counts of a study that withholds
// all that gives small counts away, beside what its audit of so many patients
// shows, by attribute.
func (c *Counts) CohortBeside(audited int, audit []Beside) *Cohort {
	l, at := c.lattice()
	c.besides(l, at, audited, audit)
	return c.cohort(c.complementary(l, at, l.protect(c.study.Fairness.MinimumCell)))
}

// cohort is the description by a rule.
func (c *Counts) cohort(r rule) *Cohort {
	cell := c.study.Fairness.MinimumCell
	out := &Cohort{Contributors: c.Contributors, MinimumCell: cell, Patients: Suppress(c.Patients, cell)}
	show := out.Patients.State == OK

	out.Outcome = Variable{Column: c.study.Outcome.Column, Unit: c.study.Outcome.Unit}
	switch c.study.Outcome.Type {
	case study.Binary:
		out.Outcome.Positives = r.outcome
	case study.Survival:
		out.Outcome.Events = r.outcome
	}
	if c.study.Outcome.Type != study.Binary && show && !c.fewHave(c.outcome[0], c.outcome[1], c.Patients, c.index.outMid, c.index.outHalf) {
		out.Outcome.Mean, out.Outcome.SD = moments(c.outcome[0], c.outcome[1], c.Patients, c.index.outMid, c.index.outHalf)
	}

	numberAt := make(map[int]int)
	for k, j := range c.index.numbers {
		if t := c.index.terms[j]; t.Feature >= 0 && t.Knot == 0 {
			numberAt[t.Feature] = k
		}
	}
	for f, feature := range c.study.Features {
		v := Variable{Column: feature.Column, Unit: feature.Unit, Missing: r.missing[f]}
		if k, number := numberAt[f]; number {
			if c.observed[k] > 0 && c.observed[k] >= cell && !c.dividedSecretly(feature.Column, r) &&
				!c.fewHave(c.numbers[k], c.squares[k], c.observed[k], c.index.mid[k], c.index.half[k]) {
				v.Mean, v.SD = moments(c.numbers[k], c.squares[k], c.observed[k], c.index.mid[k], c.index.half[k])
				if v.Missing != nil && v.Missing.State == Suppressed && c.study.Fairness.Complementary {
					coarsen(v.Mean, v.SD, c.observed[k])
				}
			}
		} else {
			for l, level := range feature.Levels {
				v.Levels = append(v.Levels, Level{level.Name, r.levels[c.index.levelAt[f]+l]})
			}
		}
		if v.Missing != nil && v.Missing.N != nil && c.Patients > 0 {
			share := float64(*v.Missing.N) / float64(c.Patients)
			v.MissingShare = &share
		}
		out.Features = append(out.Features, v)
	}
	for a, attribute := range c.study.CountedAttributes() {
		groups := Attribute{Column: attribute.Column}
		for g, name := range attribute.Groups() {
			groups.Groups = append(groups.Groups, Level{name, r.groups[c.index.groupAt[a]+g]})
		}
		out.Attributes = append(out.Attributes, groups)
	}
	return out
}

// either is a part of the patients, shown only if the rest may be shown too:
// the two are one number apart.
func (c *Counts) either(n int) *Count {
	part := Suppress(n, c.study.Fairness.MinimumCell)
	if rest := Suppress(c.Patients-n, c.study.Fairness.MinimumCell); rest.State == Suppressed {
		part = rest
	}
	return &part
}

// hideSmallest withholds the smallest level that is shown, for otherwise the
// levels would add up to how few miss the feature.
func hideSmallest(levels []Count) {
	least := -1
	for i, l := range levels {
		if l.State == OK && (least < 0 || *l.N < *levels[least].N) {
			least = i
		}
	}
	if least >= 0 {
		levels[least] = Count{State: Suppressed}
	}
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
