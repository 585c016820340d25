package fairness

import (
	"errors"
	"fmt"

	"github.com/consilium-fl/consilium/study"
)

// What the study's criteria make of a release.
const (
	Offered            = "offered"
	OfferedWithWarning = "offered with a warning"
	Blocked            = "blocked"
)

// Decision says whether the model of an audit is offered to the hospitals. It
// follows from the study, which fixed before there was a result what each verdict
// does, and from the verdicts: nobody makes it.
type Decision struct {
	Outcome string   `json:"outcome"` // offered, offered with a warning or blocked
	Reasons []Reason `json:"reasons"` // the criteria that do not pass, in the study's order
}

// Reason is a criterion that does not pass, and what the study does about it.
type Reason struct {
	Metric    string  `json:"metric"`
	Attribute string  `json:"attribute"`
	Kind      string  `json:"kind"`
	Margin    float64 `json:"margin"`
	Verdict   string  `json:"verdict"`
	Effect    string  `json:"effect"` // block, warn or offer
	Sentence  string  `json:"sentence"`
}

// Text is the reason as a person reads it.
func (r Reason) Text() string { return r.Verdict + ", " + effects[r.Effect] + ": " + r.Sentence }

var effects = map[string]string{
	string(study.Block): "which blocks the release",
	string(study.Warn):  "which calls for a warning",
	string(study.Offer): "which the study lets pass",
}

// decide makes the decision from the verdicts. A study without criteria is
// offered what it finds.
func decide(criteria []Judged) Decision {
	d := Decision{Outcome: Offered, Reasons: []Reason{}}
	for _, j := range criteria {
		effect := j.effect()
		switch {
		case effect == string(study.Block):
			d.Outcome = Blocked
		case effect == string(study.Warn) && d.Outcome == Offered:
			d.Outcome = OfferedWithWarning
		}
		if j.Verdict != Pass {
			d.Reasons = append(d.Reasons, Reason{j.Metric, j.Attribute, j.Kind, j.Margin, j.Verdict, effect, j.Sentence})
		}
	}
	return d
}

// effect is what the study has declared for the verdict.
func (j Judged) effect() string {
	switch j.Verdict {
	case Pass:
		return string(study.Offer)
	case Fail:
		return j.OnFail
	}
	return j.OnInsufficient
}

// Decide makes the decision anew from the figures of an audit that somebody else
// hands over: the criteria must be the study's, none of its groups may be left out
// of them, each verdict must be the one that its intervals and margins give, and
// the decision the one that the verdicts give. What it cannot see is whether the
// figures are what the sums give, and whether a group that is said to have no
// patients has none, which is the auditor's to replay. An audit that states no decision, as those of older
// versions, gets the one that its verdicts call for.
func Decide(s *study.Study, a *Audit) (Decision, error) {
	var none Decision
	if len(a.Criteria) != len(s.Fairness.Criteria) {
		return none, fmt.Errorf("the audit judges %d criteria where the study declares %d", len(a.Criteria), len(s.Fairness.Criteria))
	}
	again := make([]Judged, len(a.Criteria))
	for i, stated := range a.Criteria {
		j := declared(s, s.Fairness.Criteria[i])
		if stated.Metric != j.Metric || stated.Attribute != j.Attribute || stated.Kind != j.Kind || stated.Margin != j.Margin ||
			stated.OnFail != "" && (stated.OnFail != j.OnFail || stated.OnInsufficient != j.OnInsufficient) {
			return none, fmt.Errorf("criterion %d of the audit is not the one that the study declares", i+1)
		}
		for _, g := range stated.Groups {
			want, err := j.verdict(g)
			if err != nil {
				return none, fmt.Errorf("criterion %d: %w", i+1, err)
			}
			if g.Verdict != want {
				return none, fmt.Errorf("criterion %d: the verdict on %s %s is %q, where its interval gives %q", i+1, g.Attribute, g.Level, g.Verdict, want)
			}
		}
		if err := a.complete(s, i, stated); err != nil {
			return none, err
		}
		j.Groups = stated.Groups
		j.conclude()
		if stated.Verdict != j.Verdict {
			return none, fmt.Errorf("criterion %d: the verdict is %q, where its groups give %q", i+1, stated.Verdict, j.Verdict)
		}
		again[i] = j
	}
	d := decide(again)
	if a.Decision != nil && !a.Decision.same(d) {
		return none, fmt.Errorf("the audit states another decision than its verdicts give, which is %q", d.Outcome)
	}
	return d, nil
}

func (d Decision) same(other Decision) bool {
	if d.Outcome != other.Outcome || len(d.Reasons) != len(other.Reasons) {
		return false
	}
	for i, r := range d.Reasons {
		if r != other.Reasons[i] {
			return false
		}
	}
	return true
}

// verdict is what a comparison's interval gives. One that lies partly beyond the
// margin gives none.
func (j Judged) verdict(g JudgedGroup) (string, error) {
	if g.Estimate == nil && g.Lower == nil && g.Upper == nil {
		return Insufficient, nil
	}
	if g.Estimate == nil || g.Lower == nil || g.Upper == nil || !(*g.Lower <= *g.Upper) {
		return "", errors.New("a comparison has an estimate without an interval, or no interval")
	}
	low, high := -j.Margin, j.Margin
	if j.Kind == ratio {
		low, high = 1/(1+j.Margin), 1+j.Margin
	}
	switch {
	case low <= *g.Lower && *g.Upper <= high:
		return Pass, nil
	case *g.Lower > high || *g.Upper < low:
		return Fail, nil
	}
	return Insufficient, nil
}
