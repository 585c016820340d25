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

	"github.com/consilium-fl/consilium/compute/describe"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/study"
)

// Report is what a study shows of groups of patients. Fields that it does not
// have are nil.
type Report struct {
	Study  *study.Study
	Digest string // SHA-256 of the result's bytes, hex; of earlier reports only

	Cohort      *describe.Cohort
	Description *describe.Description
	Audit       *fairness.Audit
}

// Check makes sure that a report that somebody else hands over is of its study.
func (r Report) Check() error {
	if c := r.Cohort; c != nil && (len(c.Features) != len(r.Study.Features) || len(c.Attributes) != len(r.Study.Fairness.Attributes)) {
		return errors.New("an earlier result is not of its study")
	}
	groups := 0
	for _, d := range fairness.Divisions(r.Study) {
		groups += len(d.Cells)
	}
	if r.Audit != nil && len(r.Audit.Groups) != groups {
		return errors.New("an earlier audit is not of its study")
	}
	return nil
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
	Group  string `json:"group"`  // "all", "sex: female", "race × sex: white, female"
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
	mine := crossings(now)
	for _, e := range earlier {
		digest := e.Study.Digest()
		c := Compared{Study: hex.EncodeToString(digest[:]), Result: e.Digest, Overlap: overlap(now.Study, e.Study), Alike: alike(now.Study, e.Study)}
		d.Compared = append(d.Compared, c)
		if !c.Overlap {
			continue
		}
		theirs := crossings(e)
		for _, a := range mine {
			near := make([]bool, len(a.cells))
			for _, b := range theirs {
				if a.comparable(b) {
					tooNear(near, a, b, now.Study.Fairness.MinimumCell)
				}
			}
			for i, hit := range near {
				w := Withheld{a.cells[i].group, e.Digest}
				if hit && !slices.ContainsFunc(d.Withheld, func(o Withheld) bool { return o.Group == w.Group }) {
					d.Withheld = append(d.Withheld, w)
				}
			}
		}
	}
	return d
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

// tooNear marks the groups of a later crossing between which and what an earlier
// one shows lie some patients, but fewer than the floor.
func tooNear(near []bool, now, then crossing, floor int) {
	small := func(a, b int) bool { return a != b && a-b < floor && b-a < floor }
	same, alike := make(map[string]int, len(then.cells)), len(now.cells) == len(then.cells)
	for _, e := range then.cells {
		same[e.key()] = e.n
	}
	for i, c := range now.cells {
		n, known := same[c.key()]
		alike = alike && known
		near[i] = near[i] || known && n >= 0 && c.n >= 0 && small(c.n, n)
	}
	if alike || len(now.cells)*len(then.cells) > mostPairs {
		return // a union of the same groups is one of them
	}
	for i, c := range now.cells {
		for _, u := range then.unions(c) {
			near[i] = near[i] || small(c.n, u.n)
		}
	}
	for _, e := range then.cells { // later groups that together are an earlier one
		for _, u := range now.unions(e) {
			if small(e.n, u.n) {
				near[slices.MinFunc(u.of, func(a, b int) int { return now.cells[a].n - now.cells[b].n })] = true
			}
		}
	}
}

// union is cells of a crossing together.
type union struct {
	n  int
	of []int
}

// unions are the largest one inside a cell, of cells that are shown, and the
// smallest that covers it, if all of it are shown.
func (x crossing) unions(c cell) (out []union) {
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
	if len(within.of) > 0 {
		out = append(out, within)
	}
	if known && len(covers.of) > 0 && x.whole {
		out = append(out, covers)
	}
	return out
}
