package card

import (
	"fmt"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/study"
)

// Markdown writes the card for people.
func (c *Card) Markdown() []byte {
	a := &c.r.About
	var b strings.Builder
	fmt.Fprintf(&b, "# Model card: %s\n", escape(c.title()))
	section := func(title string) { fmt.Fprintf(&b, "\n## %s\n", title) }
	say := func(t text) { fmt.Fprintf(&b, "\n%s\n", t.markdown()) }
	under := func(heading string, t text) {
		fmt.Fprintf(&b, "\n### %s\n", heading)
		say(t)
	}

	if c.r.Remark != "" {
		say(computed(block{paragraph: c.r.Remark}))
	}
	say(c.summary())
	say(computed(block{head: []string{"This card is of", ""}, rows: [][]string{
		{"Study", fmt.Sprintf("%s, version %d", c.r.Study.Name, c.r.Study.Version)},
		{"Study's digest", c.r.Result.Study},
		{"Release", c.r.Digest},
		{"Signed", c.r.Signed.UTC().Format(time.DateOnly)},
		{"Developer", c.line(a.Developer)},
		{"Contact", c.line(a.Contact)},
		{"Licence", c.line(a.Licence)},
		{"Stage", c.line(a.Stage)},
		{"Availability", c.line(a.Availability)},
		{"Regulatory approval", c.line(a.Regulation)},
		{"Keywords", c.line(strings.Join(a.Keywords, ", "))},
		{"Health record systems", c.line(strings.Join(a.Records, ", "))},
	}}))

	section("What it is for")
	under("Intended use", stated(a.IntendedUse))
	under("Intended users", stated(a.Users))
	under("Patients for whom it is meant", stated(a.Population))
	under("How to use it", stated(a.HowToUse))
	under("Its part in a decision", stated(a.DecisionRole))
	under("Where not to use it", stated(a.OutOfScope))

	section("What was not examined")
	say(computed(block{items: c.unexamined()}))

	section("Risks")
	under("Known risks and limitations", stated(a.Risks))
	under("Known biases and ethical considerations", stated(a.Ethics))
	under("Clinical risk level", stated(a.RiskLevel))

	section("What goes in and what comes out")
	say(c.output())
	if len(c.r.Study.Features) > 0 {
		say(computed(c.inputs()))
	}
	say(c.elements())
	under("Where the inputs come from", stated(a.DataSource))

	section("Who is in the data")
	say(c.development())
	under("Why these data are relevant", stated(a.DataRelevance))

	section("How well it predicts")
	say(c.figures(c.tested(), c.overall()))
	under("Goals", stated(a.GoalUse))
	under("Goals of safety and reliability", stated(a.GoalSafety))

	section("For whom it errs more")
	say(c.declared())
	say(c.figures(c.compared(), c.byGroup()))
	under("Goals", stated(a.GoalFairness))
	under("What was done for fairness", stated(a.FairnessApproach))
	under("What was done against bias", stated(a.BiasManagement))

	section("Elsewhere and later")
	under("External validation", c.external())
	under("At the hospitals", c.decisions().with(a.LocalValidity+"\n\n"+a.LocalFairness))
	under("Monitoring of validity", stated(a.MonitoringValidity))
	under("Monitoring of fairness", stated(a.MonitoringFairness))
	under("Updates", stated(a.Updates))
	under("Corrections", stated(a.Corrections))

	section("How it was made")
	say(computed(paragraph("%s. No other model is in it.", c.modelType())))
	say(c.provenance())
	say(c.privacy())

	section("Who stands behind it")
	under("Funding", stated(a.Funding))
	under("Third parties", stated(a.ThirdParties))
	under("Who was consulted", stated(a.Stakeholders))
	under("Consent of patients, or what they are told", stated(a.Consent))
	under("Reimbursement", stated(a.Reimbursement))
	under("Evaluations", stated(a.Evaluations))
	under("Evaluations of its use on outcomes", stated(a.OutcomeStudies))
	under("Clinical trial", stated(a.Trial))
	under("Publications", stated(a.Publications))
	if strings.TrimSpace(a.Bibliography) != "" {
		fmt.Fprintf(&b, "\n### Bibliography\n\n%s\n", indented(a.Bibliography))
	}
	return []byte(b.String())
}

// line is a person's text in a cell.
func (c *Card) line(value string) string {
	if strings.TrimSpace(value) == "" {
		return notStated
	}
	return value
}

// external says what is known of other hospitals' patients.
func (c *Card) external() text {
	a := &c.r.About
	t := text{}
	if v := c.r.Result.Validation; v != nil && v.Kind == study.External {
		t = computed(block{paragraph: tried(v)}, paragraph("%s", c.externalSites()))
	} else {
		t = computed(paragraph("Not examined by the study: it tries its model at no hospital that takes no part in training."))
	}
	var parts []string
	for _, value := range []string{a.ExternalData, a.ExternalTester, a.ExternalPatients, a.ExternalProcess, a.ExternalValidity, a.ExternalFairness} {
		if strings.TrimSpace(value) != "" {
			parts = append(parts, value)
		}
	}
	return t.with(strings.Join(parts, "\n\n"))
}

// indented makes a code block, in which nothing is markup.
func indented(value string) string {
	var lines []string
	for line := range strings.Lines(value) {
		lines = append(lines, "    "+strings.TrimRight(line, " \t\r\n"))
	}
	return strings.Join(lines, "\n")
}
