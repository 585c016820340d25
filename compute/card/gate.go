package card

import (
	"fmt"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
)

// Override is an auditor's signed word that a release which the study's criteria
// block be offered all the same.
type Override struct {
	Auditor, Reason string
	Time            time.Time // by the auditor's clock
}

// remark is what a card says first: what is unusual about the release, above all
// that the study's own criteria warn of it or block it.
func (c *Card) remark() string {
	var said []string
	if d := c.decision(); d != nil {
		switch {
		case c.r.Override != nil:
			o := c.r.Override
			said = append(said, fmt.Sprintf("Released under an override. The study's own criteria block this release; %s, an auditor of the consortium, had it offered all the same, signed and in the ledger, on %s, for this reason: “%s”.",
				o.Auditor, o.Time.UTC().Format("2 January 2006"), strings.TrimRight(o.Reason, ".")))
		case d.Outcome == fairness.Blocked:
			said = append(said, "The study's own criteria block this release.")
		case d.Outcome == fairness.OfferedWithWarning:
			said = append(said, "Released with a warning, which the study's own criteria call for.")
		}
	}
	if c.r.Remark != "" {
		said = append(said, c.r.Remark)
	}
	return strings.Join(said, " ")
}

func (c *Card) decision() *fairness.Decision {
	if c.r.Result.Audit == nil {
		return nil
	}
	return c.r.Result.Audit.Decision
}

// judged says how the release came out by the study's criteria.
func (c *Card) judged() []block {
	a := c.r.Result.Audit
	if a == nil {
		return nil
	}
	if len(a.Criteria) == 0 {
		return []block{paragraph("No criterion was declared: the study fixed nothing that would stand in the way of the release.")}
	}
	var items []string
	for _, j := range a.Criteria {
		item := j.Verdict
		switch {
		case j.Verdict == fairness.Fail && j.OnFail != "":
			item += ", which " + fairness.Consequence(j.OnFail)
		case j.Verdict == fairness.Insufficient && j.OnInsufficient != "":
			item += ", which " + fairness.Consequence(j.OnInsufficient)
		}
		items = append(items, item+": "+j.Sentence)
	}
	blocks := []block{paragraph("By the criteria that the study declared beforehand:"), {items: items}}
	if d := c.decision(); d != nil {
		blocks = append(blocks, paragraph("So the release is %s.", d.Outcome))
	}
	return blocks
}
