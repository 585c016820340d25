package page

import (
	_ "embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
)

//go:embed decision.html
var decisionHTML string

// Override is an auditor's signed word that a release which the study's criteria
// block be offered all the same.
type Override struct {
	Auditor, Reason string
	Time            time.Time // by the auditor's clock
}

// Date of the override.
func (o Override) Date() string { return o.Time.UTC().Format("2 January 2006") }

// decisionView is what becomes of the release, as a person reads it.
type decisionView struct {
	Word, Symbol, Class, Sentence string
	Override                      *Override
	Criteria                      []criterionView
}

type criterionView struct {
	fairness.Judged
	Symbol, Class string
	Effect        string // what the study has declared for this verdict
	Fails, Unsure string // and for the two that are no pass
}

// Decision is the section that says what becomes of the release, as a page of
// another package shows it; a page with the style of package plot.
func Decision(a *fairness.Audit, under *Override) (template.HTML, error) {
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, "decision", &view{Document: Document{Override: under}, Audit: a}); err != nil {
		return "", fmt.Errorf("the decision on the release cannot be written: %w", err)
	}
	return template.HTML(b.String()), nil
}

// Decision is what the section shows.
func (v *view) Decision() decisionView {
	d := decisionView{Word: fairness.Offered, Symbol: "●", Class: "none", Override: v.Override}
	if len(v.Audit.Criteria) == 0 {
		d.Sentence = "No criterion was declared. The study fixed no margin beyond which a difference between groups would stand in the way of its release, so the model is offered whatever this report finds."
		return d
	}
	if v.Audit.Decision != nil {
		d.Word = v.Audit.Decision.Outcome
	}
	switch d.Word {
	case fairness.Blocked:
		d.Symbol, d.Class = "◆", "found"
		d.Sentence = "The study's own criteria block the release: no hospital is offered the model."
		if d.Override != nil {
			d.Word, d.Sentence = "blocked, and offered under an override", "The study's own criteria block the release. It is offered to the hospitals all the same:"
		}
	case fairness.OfferedWithWarning:
		d.Symbol, d.Class = "○", "unsure"
		d.Sentence = "By the study's own criteria the hospitals are offered the model with a warning, and each may refuse it for that."
	default:
		d.Sentence = "None of the study's criteria stands in the way of the release."
	}
	for _, j := range v.Audit.Criteria {
		c := criterionView{Judged: j, Symbol: "○", Class: "unsure", Effect: fairness.Consequence(j.OnInsufficient), Fails: fairness.Consequence(j.OnFail), Unsure: fairness.Consequence(j.OnInsufficient)}
		switch j.Verdict {
		case fairness.Pass:
			c.Symbol, c.Class, c.Effect = "●", "none", ""
		case fairness.Fail:
			c.Symbol, c.Class, c.Effect = "◆", "found", fairness.Consequence(j.OnFail)
		}
		d.Criteria = append(d.Criteria, c)
	}
	return d
}
