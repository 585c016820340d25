package mitigation

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Groups finds, by the rules of the audit, the groups that take part: a
// computation of two questions.
type Groups struct {
	study    *study.Study
	patients []int
	why      []string // by group: empty for one that takes part
	state    int      // questions answered
}

// NewGroups begins with the sizes.
func NewGroups(s *study.Study) *Groups { return &Groups{study: s} }

// Next is the question whose sum Absorb expects.
func (g *Groups) Next() (q compute.Question, done bool, err error) {
	if g.state == 0 {
		return compute.Question{Step: StepSizes, Layout: layout(g.study, StepSizes, groupsOf(g.study))}, false, nil
	}
	open := g.Open()
	if g.state == 2 || len(open) == 0 {
		return q, true, nil
	}
	shares := question{Groups: open}
	for _, k := range open {
		shares.Patients = append(shares.Patients, g.patients[k])
	}
	q = compute.Question{Step: StepShares, Layout: layout(g.study, StepShares, len(open))}
	q.Parameters, err = compute.EncodeParameters(shares)
	return q, false, err
}

// Absorb takes the opened sum.
func (g *Groups) Absorb(sum compute.Sum) error {
	if g.state == 1 {
		open := g.Open()
		if err := check(layout(g.study, StepShares, len(open)), sum); err != nil {
			return err
		}
		for i, k := range open {
			if sum.Field("dominated")[i] > 0.5 {
				g.why[k] = "nearly all its patients are at one hospital"
			}
		}
		g.state = 2
		g.hide()
		return nil
	}
	if err := check(layout(g.study, StepSizes, groupsOf(g.study)), sum); err != nil {
		return err
	}
	f := g.study.Fairness
	g.why = make([]string, groupsOf(g.study))
	for k, n := range sum.Field("patients") {
		g.patients = append(g.patients, int(math.Round(n)))
		switch {
		case g.patients[k] == 0:
			g.why[k] = "it has no patients"
		case g.patients[k] < f.MinimumCell || sum.Field("sites")[k] < float64(f.MinimumSites)-0.5:
			g.why[k] = fmt.Sprintf("it has fewer than %d patients or fewer than %d hospitals", f.MinimumCell, f.MinimumSites)
		}
	}
	g.state = 1
	g.hide()
	return nil
}

// hide leaves out the smallest group too where the study withholds what small
// groups could be worked out from, and those left out are so few that they could
// be had as the rest of the whole.
func (g *Groups) hide() {
	if !g.study.Fairness.Complementary {
		return
	}
	for {
		rest, least := 0, -1
		for k, n := range g.patients {
			switch {
			case g.why[k] != "":
				rest += n
			case least < 0 || n < g.patients[least]:
				least = k
			}
		}
		if rest == 0 || rest >= g.study.Fairness.MinimumCell || least < 0 {
			return
		}
		g.why[least] = "what is withheld could be worked out from it"
	}
}

// Open are the groups that take part, ascending.
func (g *Groups) Open() (open []int) {
	for k, why := range g.why {
		if why == "" {
			open = append(open, k)
		}
	}
	return open
}

// changes of nothing: every group by name, those that take no part with the
// reason.
func (g *Groups) changes() []Change {
	var out []Change
	for k, name := range g.study.Fairness.Attributes[g.study.Mitigation.Attribute].Groups() {
		out = append(out, Change{Level: name, General: g.why[k]})
	}
	return out
}

// Sides are the two sides of the gap by which FairFed weighs hospitals.
type Sides struct {
	Reference int
	Others    []int // ascending
	Changes   []Change
}

// NewSides sets the attribute's reference, or else its largest group, against the
// other groups that take part. Patients whose group is unknown are on no side. It
// returns nil where a side has nobody.
func NewSides(s *study.Study, g *Groups) *Sides {
	a := s.Fairness.Attributes[s.Mitigation.Attribute]
	sides := &Sides{Reference: -1, Changes: g.changes()}
	unknown := len(a.Levels)
	for _, k := range g.Open() {
		switch {
		case k == unknown:
		case a.Reference == a.Groups()[k], a.Reference == "" && (sides.Reference < 0 || g.patients[k] > g.patients[sides.Reference]):
			sides.Reference = k
		}
	}
	for _, k := range g.Open() {
		if k != unknown && k != sides.Reference {
			sides.Others = append(sides.Others, k)
		}
	}
	if g.why[unknown] == "" {
		sides.Changes[unknown].General = "it is on no side of the gap"
	}
	if sides.Reference < 0 || len(sides.Others) == 0 {
		return nil
	}
	return sides
}
