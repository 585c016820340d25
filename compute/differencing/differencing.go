// Package differencing decides what the earlier reports of a consortium leave a
// later one to say.
//
// Two reports that are safe each by itself can be subtracted. If one is of 1 000
// patients and another, of the same hospitals a month later, is of 1 003, the
// difference of their means is that of three people. So each count of patients
// that a later report would show is compared with the counts that every earlier
// report shows of the same group, or of groups that together make it up or that
// it makes up. They must be equal or at least the later study's minimum cell
// apart; otherwise the later count is withheld, with every figure of its group.
//
// Reports are compared if their studies read a column in common: their patients
// may then be the same. That a patient is in both is never known here, only how
// many are in each; two cohorts of equal size that are not the same people pass.
// So do differences that need three reports, and what a model's coefficients say.
//
// A decision is a function of the reports alone. It names those that it looked at
// and what it withholds, stands in the later report, and can be made again by
// whoever has them.
package differencing

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// Report is what a study shows of groups of patients. Fields that it does not
// have are nil.
type Report struct {
	Study  *study.Study
	Digest string    // SHA-256 of the result's bytes, hex; of earlier reports only
	At     time.Time // when the ledger took it; of earlier reports only

	Cohort      *describe.Cohort
	Description *describe.Description
	Audit       *fairness.Audit
	Monitor     *drift.Report
	// Shown is how many windows of the monitor were shown before: they stay as they
	// are, and later ones give way.
	Shown int
}

// Check makes sure that a report that somebody else hands over is of its study.
func (r Report) Check() error {
	if c := r.Cohort; c != nil && (len(c.Features) != len(r.Study.Features) || len(c.Attributes) != len(r.Study.CountedAttributes())) {
		return errors.New("an earlier result is not of its study")
	}
	groups := 0
	for _, d := range fairness.Divisions(r.Study) {
		groups += len(d.Cells)
	}
	if r.Audit != nil && len(r.Audit.Groups) != groups {
		return errors.New("an earlier audit is not of its study")
	}
	return r.checkMonitor(groups)
}

// Decision is what of a report is withheld for the sake of earlier ones.
type Decision struct {
	Compared []Compared `json:"compared"`
	Withheld []Withheld `json:"withheld,omitempty"`
}

// Compared is an earlier report of the consortium.
type Compared struct {
	Study  string `json:"study"`  // digest, hex
	Result string `json:"result"` // digest, hex
	// Overlap says that it may be of the same patients: the studies read a column
	// in common.
	Overlap bool `json:"overlap"`
	// Alike says that both studies take the same records: eligibility, columns,
	// ranges and levels are the same.
	Alike bool `json:"alike,omitempty"`
}

// Withheld is a group whose figures are withheld.
type Withheld struct {
	Group  string `json:"group"`  // "all", "sex: female", "race × sex: white, female", "from 2026-03-01: sex: female"
	Result string `json:"result"` // digest of the first report that it is too near to
}

// Why is the reason as the report gives it.
func (w Withheld) Why(minimum int) string {
	return fmt.Sprintf("this group differs from one in the earlier report %.12s by fewer than %d patients, who could be had by subtraction", w.Result, minimum)
}

// Decide compares a report with the earlier ones, in their order. It is nil if
// there are none.
func Decide(now Report, earlier []Report) *Decision {
	if len(earlier) == 0 {
		return nil
	}
	d := &Decision{Compared: []Compared{}}
	l := later{report: now, floor: now.Study.Fairness.MinimumCell, cells: crossings(now), windows: newSeries(now), decision: d}
	for _, e := range earlier {
		digest := e.Study.Digest()
		c := Compared{Study: hex.EncodeToString(digest[:]), Result: e.Digest, Overlap: overlap(now.Study, e.Study), Alike: alike(now.Study, e.Study)}
		d.Compared = append(d.Compared, c)
		if c.Overlap {
			l.compare(e)
		}
	}
	return d
}

// later is the report that gives way, with what of it is still shown.
type later struct {
	report   Report
	floor    int
	cells    []crossing
	windows  *series // nil of a study that watches no release
	decision *Decision
}

// compare withholds until nothing that is shown is too near to an earlier report,
// nor what is withheld the rest of what is shown. Groups that are the same come
// first: what is withheld then is part of no union any more.
func (l *later) compare(e Report) {
	theirs := append(crossings(e), newSeries(e).beside(l.report.Study, time.Time{})...)
	for _, tooNear := range []func([]bool, crossing, crossing, []bool, int){sameGroups, unitedGroups} {
		for changed := true; changed; {
			changed = false
			for k := range l.cells {
				x := &l.cells[k]
				near, old := make([]bool, len(x.cells)), x.in(theirs)
				for _, o := range theirs {
					if x.comparable(o) {
						tooNear(near, *x, o, old, l.floor)
					}
				}
				for i := range near {
					changed = l.withhold(x, i, near[i], e) || changed
				}
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for _, one := range rests(l.cells) {
			changed = l.withhold(&l.cells[one.crossing], one.cell, true, e) || changed
		}
	}
	for l.compareWindows(e, theirs) {
	}
}

// withhold takes a count out of what is shown, and reports whether it was there.
func (l *later) withhold(x *crossing, i int, near bool, e Report) bool {
	c := &x.cells[i]
	if !near || c.n < 0 {
		return false
	}
	c.n, c.gone = -1, true
	if w := (Withheld{c.group, e.Digest}); !slices.ContainsFunc(l.decision.Withheld, func(o Withheld) bool { return o.Group == w.Group }) {
		l.decision.Withheld = append(l.decision.Withheld, w)
	}
	return true
}

func overlap(a, b *study.Study) bool {
	return slices.ContainsFunc(a.Columns(), func(column string) bool { return slices.Contains(b.Columns(), column) })
}

// alike reports whether two studies take the same records.
func alike(a, b *study.Study) bool { return eligibility(a) == eligibility(b) }

// eligibility is a digest of all that costs a record.
func eligibility(s *study.Study) [32]byte {
	h := sha256.New()
	say := func(parts ...any) { fmt.Fprintf(h, "%q\n", fmt.Sprint(parts...)) }
	pointed := func(r *study.Range) any {
		if r == nil {
			return nil
		}
		return *r
	}
	o := s.Outcome
	say("missing", s.Missing, s.KeepsMissing(), s.Validation.By)
	say("outcome", o.Column, o.Type, pointed(o.Range), o.Negative != nil, o.Positive, o.Negative)
	if o.Event != nil {
		say("event", *o.Event)
	}
	for _, f := range s.Features {
		say("feature", f.Column, f.Type, f.Range, f.Levels)
	}
	for _, c := range []*study.Covariate{s.Model.Offset, s.Model.Weights} {
		if c != nil {
			say("covariate", *c)
		}
	}
	say("require", s.Cohort.Require)
	for _, e := range s.Cohort.ExcludeIf {
		say("exclude", e)
	}
	return [32]byte(h.Sum(nil))
}

// mostPairs of groups are compared as unions; of larger tables, only groups that
// are the same.
const mostPairs = 1 << 20

// in reports which cells a report shows already, with the same count.
func (x crossing) in(report []crossing) []bool {
	old := make([]bool, len(x.cells))
	for _, o := range report {
		if o.part != x.part || !slices.Equal(o.columns, x.columns) {
			continue
		}
		n := o.counts()
		for i, c := range x.cells {
			known, there := n[c.key()]
			old[i] = old[i] || there && known >= 0 && known == c.n
		}
	}
	return old
}

// counts by key.
func (x crossing) counts() map[string]int {
	out := make(map[string]int, len(x.cells))
	for _, c := range x.cells {
		out[c.key()] = c.n
	}
	return out
}

// few reports whether between two counts there are some patients, but fewer than
// the floor.
func few(a, b, floor int) bool { return a != b && a-b < floor && b-a < floor }

// sameGroups marks the groups of a later crossing that an earlier one has too, with
// a few patients more or less.
func sameGroups(near []bool, now, then crossing, _ []bool, floor int) {
	if !slices.Equal(now.columns, then.columns) {
		return
	}
	n := then.counts()
	for i, c := range now.cells {
		known, there := n[c.key()]
		near[i] = near[i] || there && known >= 0 && c.n >= 0 && few(c.n, known, floor)
	}
}

// unitedGroups marks those between which and groups of the earlier one that
// together make them up, or that they make up, there are a few patients. What the
// earlier report shows already it shows again.
func unitedGroups(near []bool, now, then crossing, old []bool, floor int) {
	if len(now.cells)*len(then.cells) > mostPairs {
		return
	}
	for i, c := range now.cells {
		for _, u := range then.unions(c, now.part) {
			near[i] = near[i] || !old[i] && few(c.n, u.n, floor)
		}
	}
	for _, e := range then.cells { // later groups that together are an earlier one
		for _, u := range now.unions(e, then.part) {
			if !few(e.n, u.n, floor) || slices.ContainsFunc(u.of, func(i int) bool { return near[i] }) || !slices.ContainsFunc(u.of, func(i int) bool { return !old[i] }) {
				continue
			}
			if i := smallest(now.cells, u.of); i >= 0 {
				near[i] = true
			}
		}
	}
}

// smallest is the one of some cells with the fewest patients of those that have any.
func smallest(cells []cell, of []int) int {
	best := -1
	for _, i := range of {
		if cells[i].n > 0 && (best < 0 || cells[i].n < cells[best].n) {
			best = i
		}
	}
	return best
}

// union is cells of a crossing together.
type union struct {
	n  int
	of []int
}

// unions are the largest one inside a cell of a part of the patients, of cells that
// are shown, and the smallest that covers it, if all of it are shown.
func (x crossing) unions(c cell, part string) (out []union) {
	if c.n < 0 {
		return nil
	}
	var within, covers union
	known := true
	for i, o := range x.cells {
		if !o.meets(c) {
			continue
		}
		covers.of, covers.n = append(covers.of, i), covers.n+o.n
		known = known && o.n >= 0
		if o.n >= 0 && o.inside(c) {
			within.of, within.n = append(within.of, i), within.n+o.n
		}
	}
	if len(within.of) > 0 && (x.part == part || part == everyone) {
		out = append(out, within)
	}
	if known && len(covers.of) > 0 && x.whole && (x.part == part || x.part == everyone) {
		out = append(out, covers)
	}
	return out
}

// place is a cell of a crossing.
type place struct{ crossing, cell int }

// rests are the cells that have to be withheld beside those that are, each of which
// would else be what a larger group has beside the other groups that make it up.
func rests(all []crossing) (out []place) {
	for fine, x := range all {
		if !x.whole || !slices.ContainsFunc(all, func(o crossing) bool { return slices.ContainsFunc(o.cells, func(c cell) bool { return c.gone }) }) {
			continue
		}
		for coarse, o := range all {
			if x.part != o.part || len(o.columns) >= len(x.columns) || !subset(o.columns, x.columns) {
				continue
			}
			for t, total := range o.cells {
				var parts []place
				divided := true
				for i, c := range x.cells {
					if c.meets(total) {
						parts, divided = append(parts, place{fine, i}), divided && c.inside(total)
					}
				}
				if divided && len(parts) > 0 {
					out = append(out, rest(all, place{coarse, t}, parts)...)
				}
			}
		}
	}
	return out
}

// rest is what to withhold in one sum: nothing, unless what it gives away is all
// that is withheld in it.
func rest(all []crossing, total place, parts []place) []place {
	at := func(p place) cell { return all[p.crossing].cells[p.cell] }
	hidden, best := []place{}, place{-1, -1}
	for _, p := range append([]place{total}, parts...) {
		if at(p).n < 0 {
			hidden = append(hidden, p)
		}
	}
	if len(hidden) != 1 || !at(hidden[0]).gone {
		return nil
	}
	for _, p := range append(slices.Clone(parts), total) {
		if n := at(p).n; n > 0 && (best.crossing < 0 || n < at(best).n) {
			best = p
		}
	}
	if best.crossing < 0 {
		return nil
	}
	return []place{best}
}
