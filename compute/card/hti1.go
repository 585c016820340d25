package card

import (
	"bytes"
	"encoding/json"

	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// Profile is the JSON of the 31 source attributes. The keys are stable.
type Profile struct {
	Schema     string      `json:"schema"`
	Alignment  string      `json:"alignment"`
	Model      string      `json:"model"`
	Version    int         `json:"version"`
	Study      string      `json:"study"`   // digest, hex
	Release    string      `json:"release"` // digest, hex
	Released   string      `json:"released"`
	Remark     string      `json:"remark,omitempty"`
	Attributes []Attribute `json:"attributes"`
}

// Attribute is one source attribute.
type Attribute struct {
	Number   int    `json:"number"`
	Citation string `json:"citation"` // below 45 CFR 170.315(b)(11)(iv)(B)
	Group    string `json:"group"`
	Name     string `json:"name"`
	Source   string `json:"source"` // computed, stated, computed and stated, or not stated
	Text     string `json:"text"`
}

const alignment = "The attributes are numbered and ordered as those that 45 CFR 170.315(b)(11)(iv)(B) lists for predictive decision support interventions (HTI-1). This profile is aligned with that list and is no statement of conformity with it."

// HTI1 writes the 31 source attributes as JSON.
func (c *Card) HTI1() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(Profile{
		Schema: "consilium/hti1-source-attributes/v1", Alignment: alignment,
		Model: clean(c.title()), Version: c.r.Study.Version, Study: c.r.Result.Study,
		Release: c.r.Digest, Released: c.r.Signed.UTC().Format("2006-01-02"), Remark: c.remark(),
		Attributes: c.attributes(),
	})
	return b.Bytes(), err
}

// unexaminedText stands where nobody has looked, and nobody says otherwise.
func unexaminedText(value, what string) text {
	if t := stated(value); t.stated {
		return t
	}
	return text{blocks: []block{paragraph("Not examined by the software: %s. %s", what, notStated)}}
}

func (c *Card) attributes() []Attribute {
	a := &c.r.About
	var out []Attribute
	group, citation := "", ""
	section := func(name, number string) { group, citation = name, number }
	add := func(roman, name string, t text) {
		out = append(out, Attribute{len(out) + 1, "(" + citation + ")(" + roman + ")", group, name, t.source(), t.plain()})
	}

	section("Details and output", "1")
	developer := stated(a.Developer)
	contact := stated(a.Contact)
	developer.blocks = append(developer.blocks, paragraph("Contact:"))
	developer.blocks = append(developer.blocks, contact.blocks...)
	developer.stated = developer.stated || contact.stated
	add("i", "Name and contact information of the developer", developer)
	add("ii", "Funding source of the technical implementation", stated(a.Funding))
	add("iii", "Value that is produced as output", c.output())
	add("iv", "Type of output", computed(paragraph("Prediction.")))

	section("Purpose", "2")
	add("i", "Intended use", stated(a.IntendedUse))
	add("ii", "Intended patient population", stated(a.Population))
	add("iii", "Intended users", stated(a.Users))
	add("iv", "Intended decision-making role", stated(a.DecisionRole))

	section("Cautioned out-of-scope use", "3")
	add("i", "Tasks, situations or populations where use is cautioned against", stated(a.OutOfScope))
	add("ii", "Known risks, inappropriate settings and uses, known limitations", c.risks())

	section("Development details and input features", "4")
	add("i", "Exclusion and inclusion criteria of the training data", c.criteria())
	add("ii", "Race, ethnicity, language, sexual orientation, gender identity, sex, date of birth, social determinants and health status as input features", c.elements())
	add("iii", "Demographic representativeness of the training data", c.groups())
	add("iv", "Relevance of the training data to the intended setting", stated(a.DataRelevance))

	section("Process to ensure fairness in development", "5")
	add("i", "Approach to ensure that the output is fair", c.declared().with(a.FairnessApproach))
	add("ii", "Approaches to manage, reduce or eliminate bias", c.mitigation())

	external := c.r.Result.Validation != nil && c.r.Result.Validation.Kind == study.External
	section("External validation process", "6")
	for _, e := range []struct{ roman, name, value, known string }{
		{"i", "Data source, setting or environment of an external assessment", a.ExternalData, c.externalSites()},
		{"ii", "Party that conducted the external testing", a.ExternalTester, "The consortium itself, by this study's protocol."},
		{"iii", "Demographic representativeness of the external data", a.ExternalPatients, "The groups of patients on whom the model was tried are those of the bias audit."},
		{"iv", "External validation process", a.ExternalProcess, c.tested().plain()},
	} {
		if external {
			add(e.roman, e.name, computed(block{paragraph: e.known}).with(e.value))
		} else {
			add(e.roman, e.name, unexaminedText(e.value, "the study tries its model at no hospital that takes no part in training"))
		}
	}

	section("Quantitative measures of performance", "7")
	validity, fairness := c.validity(), c.fairness()
	if external {
		add("i", "Validity in test data of the same source", unexaminedText("", "the study keeps no test data of the hospitals that train"))
		add("ii", "Fairness in test data of the same source", unexaminedText("", "the study keeps no test data of the hospitals that train"))
		add("iii", "Validity in external data", validity.with(a.ExternalValidity))
		add("iv", "Fairness in external data", fairness.with(a.ExternalFairness))
	} else {
		add("i", "Validity in test data of the same source", validity)
		add("ii", "Fairness in test data of the same source", fairness)
		add("iii", "Validity in external data", unexaminedText(a.ExternalValidity, "no external data"))
		add("iv", "Fairness in external data", unexaminedText(a.ExternalFairness, "no external data"))
	}
	add("v", "References to evaluations of use on outcomes", stated(a.OutcomeStudies))

	section("Ongoing maintenance of implementation and use", "8")
	add("i", "How and how often validity is monitored", stated(a.MonitoringValidity))
	add("ii", "Validity in local data", c.decisions().with(a.LocalValidity))
	add("iii", "How and how often fairness is monitored", stated(a.MonitoringFairness))
	add("iv", "Fairness in local data", c.decisions().with(a.LocalFairness))

	section("Updates and continued assessment", "9")
	add("i", "How and how often the intervention is updated", stated(a.Updates))
	add("ii", "How often performance is corrected when risks are identified", stated(a.Corrections))
	return out
}

func (c *Card) externalSites() string {
	return plot.Plural(len(c.r.Study.Validation.Sites), "hospital of the consortium that did", "hospitals of the consortium that did") + " not train."
}
