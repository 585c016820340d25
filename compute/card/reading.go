package card

import (
	"fmt"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/study"
)

// form is a card for people that is being written.
type form interface {
	title(string)
	section(string)
	say(text)
	under(heading, value string)   // what somebody states, under a heading
	line(name, value string)       // a short thing that somebody states
	listing(heading, value string) // as it is, line by line
	end()
}

// read writes the card from its first line to its last. What nobody has stated
// is gathered in one line at the end of its section.
func (c *Card) read(p form) {
	a := &c.r.About
	p.title("Model card: " + c.title())
	if c.remark() != "" {
		p.say(computed(block{paragraph: c.remark()}))
	}
	p.say(c.summary())
	p.say(computed(block{head: []string{"This card is of", ""}, rows: [][]string{
		{"Study", fmt.Sprintf("%s, version %d", c.r.Study.Name, c.r.Study.Version)},
		{"Study's digest", c.r.Result.Study},
		{"Release", c.r.Digest},
		{"Signed", c.r.Signed.UTC().Format(time.DateOnly)},
	}}))
	p.line("Developer", a.Developer)
	p.line("Contact", a.Contact)
	p.line("Licence", a.Licence)
	p.line("Stage", a.Stage)
	p.line("Availability", a.Availability)
	p.line("Regulatory approval", a.Regulation)
	p.line("Health record systems", list(a.Records))
	p.line("Keywords", list(a.Keywords))

	p.section("What it is for")
	p.under("Intended use", a.IntendedUse)
	p.under("Intended users", a.Users)
	p.under("Patients for whom it is meant", a.Population)
	p.under("How to use it", a.HowToUse)
	p.under("Its part in a decision", a.DecisionRole)
	p.under("Where not to use it", a.OutOfScope)

	p.section("What was not examined")
	p.say(computed(block{items: c.unexamined()}))

	p.section("Risks")
	p.under("Known risks and limitations", a.Risks)
	p.under("Known biases and ethical considerations", a.Ethics)
	p.under("Clinical risk level", a.RiskLevel)

	p.section("What goes in and what comes out")
	p.say(c.output())
	if len(c.r.Study.Features) > 0 {
		p.say(computed(c.inputs()))
	}
	p.say(c.elements())
	p.under("Where the inputs come from", a.DataSource)

	p.section("Who is in the data")
	p.say(c.development())
	p.under("Why these data are relevant", a.DataRelevance)

	p.section("How well it predicts")
	p.say(c.validity())
	p.under("Goals", a.GoalUse)
	p.under("Goals of safety and reliability", a.GoalSafety)

	p.section("For whom it errs more")
	p.say(c.declared())
	p.say(c.fairness())
	p.under("Goals for groups of patients", a.GoalFairness)
	p.under("What was done for fairness", a.FairnessApproach)
	p.say(computed(c.mitigated()...))
	if a.BiasManagement != "" || c.r.Result.Mitigation == nil {
		p.under("What was done against bias", a.BiasManagement)
	}

	p.section("Elsewhere and later")
	p.say(c.external())
	p.say(c.decisions())
	p.under("Local figures", a.LocalValidity)
	p.under("Local figures for groups of patients", a.LocalFairness)
	p.under("Monitoring of validity", a.MonitoringValidity)
	p.under("Monitoring of fairness", a.MonitoringFairness)
	p.under("Updates", a.Updates)
	p.under("Corrections", a.Corrections)

	p.section("How it was made")
	p.say(computed(paragraph("%s. No other model is in it.", c.modelType())))
	p.say(c.provenance())
	p.say(c.privacy())

	p.section("Who stands behind it")
	p.under("Funding", a.Funding)
	p.under("Third parties", a.ThirdParties)
	p.under("Who was consulted", a.Stakeholders)
	p.under("Consent of patients, or what they are told", a.Consent)
	p.under("Reimbursement", a.Reimbursement)
	p.under("Evaluations", a.Evaluations)
	p.under("Evaluations of its use on outcomes", a.OutcomeStudies)
	p.under("Clinical trial", a.Trial)
	p.under("Publications", a.Publications)
	if strings.TrimSpace(a.Bibliography) != "" {
		p.listing("Bibliography", a.Bibliography)
	}
	p.end()
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
