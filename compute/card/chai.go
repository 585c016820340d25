package card

import (
	"bytes"
	"encoding/xml"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/compute/page/plot"
	"github.com/consilium-fl/consilium/study"
)

// XML writes the CHAI Applied Model Card. Its texts are Markdown, as the schema
// has it; its elements are in the schema's order, and none that it wants is
// left out or empty.
func (c *Card) XML() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", "  ")
	if err := e.Encode(c.chai()); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return []byte(references.Replace(b.String())), nil
}

// references that the encoder writes for characters which may stand inside an
// element as they are, where a person can read them. In somebody's words a
// reference has another spelling, &amp;#34; and so on.
var references = strings.NewReplacer("&#xA;", "\n", "&#34;", `"`, "&#39;", "'")

// element is one that holds text.
type element struct {
	Text string `xml:",chardata"`
}

// optional elements are left out where nobody has stated anything.
func optional(value string) *element {
	if t := stated(value); t.stated {
		return inside(t)
	}
	return nil
}

func inside(t text) *element { return &element{t.markdown()} }

func literal(s string) *element { return &element{escape(s)} }

type appliedModelCard struct {
	XMLName xml.Name `xml:"https://mc.chai.org/v0.2/schema.xsd AppliedModelCard"`

	ModelName      *element `xml:"BasicInfo>ModelName"`
	ModelDeveloper *element `xml:"BasicInfo>ModelDeveloper"`
	Contact        *element `xml:"BasicInfo>DeveloperContact"`

	Stage        *element  `xml:"ReleaseInfo>ReleaseStage"`
	Date         *element  `xml:"ReleaseInfo>ReleaseDate"`
	Version      *element  `xml:"ReleaseInfo>ReleaseVersion"`
	Availability *element  `xml:"ReleaseInfo>GlobalAvailability"`
	Records      *[]string `xml:"ReleaseInfo>EHRCompatibility>EHR,omitempty"`
	Regulation   *element  `xml:"ReleaseInfo>RegulatoryApproval,omitempty"`

	Summary  *element `xml:"ModelSummary>Summary"`
	Keywords keywords `xml:"ModelSummary>Keywords"`

	IntendedUse *element `xml:"UsesAndDirections>IntendedUseAndWorkflow"`
	Users       *element `xml:"UsesAndDirections>PrimaryIntendedUsers"`
	HowToUse    *element `xml:"UsesAndDirections>HowToUse"`
	Population  *element `xml:"UsesAndDirections>TargetedPatientPopulation"`
	OutOfScope  *element `xml:"UsesAndDirections>CautionedOutOfScopeSettings"`

	Risks     *element `xml:"Warnings>KnownRisksAndLimitations"`
	Biases    *element `xml:"Warnings>KnownBiasesOrEthicalConsiderations"`
	RiskLevel *element `xml:"Warnings>ClinicalRiskLevel"`

	Outputs          *element `xml:"TrustIngredients>AISystemFacts>OutcomesAndOutputs"`
	ModelType        *element `xml:"TrustIngredients>AISystemFacts>ModelType"`
	FoundationModels *element `xml:"TrustIngredients>AISystemFacts>FoundationModels"`
	InputDataSource  *element `xml:"TrustIngredients>AISystemFacts>InputDataSource"`
	DataTypes        *element `xml:"TrustIngredients>AISystemFacts>OutputAndInputDataTypes"`
	DevelopmentData  *element `xml:"TrustIngredients>AISystemFacts>DevelopmentDataCharacterization"`
	BiasMitigation   *element `xml:"TrustIngredients>AISystemFacts>BiasMitigationApproaches"`
	Maintenance      *element `xml:"TrustIngredients>AISystemFacts>OngoingMaintenance"`
	Security         *element `xml:"TrustIngredients>AISystemFacts>Security"`
	Transparency     *element `xml:"TrustIngredients>AISystemFacts>Transparency"`
	Funding          *element `xml:"TrustIngredients>TransparencyInformation>FundingSource"`
	ThirdParties     *element `xml:"TrustIngredients>TransparencyInformation>ThirdPartyInformation,omitempty"`
	Stakeholders     *element `xml:"TrustIngredients>TransparencyInformation>StakeholdersConsulted"`

	Usefulness keyMetric `xml:"KeyMetrics>UsefulnessUsabilityEfficacy"`
	Fairness   keyMetric `xml:"KeyMetrics>FairnessEquity"`
	Safety     keyMetric `xml:"KeyMetrics>SafetyReliability"`

	Evaluations   *element `xml:"Resources>EvaluationReferences,omitempty"`
	Trial         *element `xml:"Resources>ClinicalTrial,omitempty"`
	Publications  *element `xml:"Resources>PeerReviewedPublications"`
	Reimbursement *element `xml:"Resources>ReimbursementStatus,omitempty"`
	Consent       *element `xml:"Resources>PatientConsentOrDisclosure"`

	Bibliography element
}

type keywords struct {
	Keyword []string
}

type keyMetric struct {
	MetricGoal                        *element
	Results                           []metricResult `xml:"Results>MetricResult"` // at least one
	Interpretation                    *element
	TestType                          *element
	TestingDataDescription            *element
	ValidationProcessAndJustification *element
}

type metricResult struct {
	Label     *element
	ValueJSON *element `xml:"ValueJson"`
}

func (c *Card) chai() appliedModelCard {
	a := &c.r.About
	x := appliedModelCard{
		ModelName: literal(c.title()), ModelDeveloper: inside(stated(a.Developer)), Contact: inside(stated(a.Contact)),
		Stage: inside(c.stage()), Date: literal(c.r.Signed.UTC().Format(time.DateOnly)), Version: literal(c.version()),
		Availability: inside(stated(a.Availability)), Regulation: optional(a.Regulation),
		Summary:  inside(c.summary()),
		Keywords: keywords{escaped(a.Keywords)},

		IntendedUse: inside(stated(a.IntendedUse)), Users: inside(stated(a.Users)), HowToUse: inside(stated(a.HowToUse)),
		Population: inside(stated(a.Population)), OutOfScope: inside(stated(a.OutOfScope)),

		Risks: inside(c.risks()), Biases: inside(c.compared().with(a.Ethics)), RiskLevel: inside(stated(a.RiskLevel)),

		Outputs: inside(c.output()), ModelType: literal(c.modelType() + "."),
		FoundationModels: literal("None: the model is fitted to the patients described here alone."),
		InputDataSource:  inside(stated(a.DataSource)), DataTypes: inside(computed(append(c.output().blocks, c.inputs())...)),
		DevelopmentData: inside(c.development()), BiasMitigation: inside(c.mitigation()),
		Maintenance: inside(c.maintenance()), Security: inside(c.privacy()), Transparency: inside(c.provenance()),
		Funding: inside(stated(a.Funding)), ThirdParties: optional(a.ThirdParties), Stakeholders: inside(stated(a.Stakeholders)),

		Evaluations: optional(a.Evaluations), Trial: optional(a.Trial), Publications: inside(stated(a.Publications)),
		Reimbursement: optional(a.Reimbursement), Consent: inside(stated(a.Consent)),
		Bibliography: element{a.Bibliography},
	}
	if len(a.Records) > 0 {
		records := escaped(a.Records)
		x.Records = &records
	}
	all := c.overall()
	x.Usefulness = c.keyMetric(a.GoalUse, part(all, false), c.tested())
	x.Fairness = c.keyMetric(a.GoalFairness, append(c.comparisons(), c.byGroup()...), c.compared())
	x.Safety = c.keyMetric(a.GoalSafety, append(part(all, true), c.reliability()...), c.notInCare())
	return x
}

func escaped(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, escape(s))
	}
	return out
}

// keyMetric is one of the three families of figures.
func (c *Card) keyMetric(goal string, figures []figure, reading text) keyMetric {
	if len(figures) == 0 { // the schema wants one
		figures = []figure{c.hospitals()}
	}
	k := keyMetric{
		MetricGoal: inside(stated(goal)), Interpretation: inside(reading), TestType: literal(c.testKind()),
		TestingDataDescription:            inside(c.tested()),
		ValidationProcessAndJustification: inside(c.declared()),
	}
	for _, f := range figures {
		k.Results = append(k.Results, metricResult{literal(f.label()), &element{f.valueJSON()}})
	}
	return k
}

func (c *Card) hospitals() figure {
	return figure{measure: measure{title: "Hospitals whose patients are in the data"}, value: float64(c.r.Result.Cohort.Contributors)}
}

// comparisons of groups, counted by how they ended.
func (c *Card) comparisons() []figure {
	made, found, none, _ := c.verdicts()
	number := func(title string, n int) figure {
		return figure{measure: measure{title: title}, value: float64(n)}
	}
	return []figure{number("Comparisons of groups", made), number("of them: disparity found", found), number("of them: no disparity found", none),
		number("of them: insufficient evidence", made-found-none), number("Groups whose figures are withheld", len(c.hidden()))}
}

// reliability are figures that every release has.
func (c *Card) reliability() []figure {
	var out []figure
	if p := c.r.Result.Model.Interval; p != nil {
		out = append(out,
			figure{measure: measure{title: "Half width of the interval around a prediction", unit: c.r.Study.Outcome.Unit}, value: p.HalfWidth},
			figure{measure: measure{title: "Patients inside that interval (" + plot.Percent(p.Level) + " asked for)", unit: "%"}, value: 100 * p.Coverage})
	}
	return append(out, figure{measure: measure{title: "Rounds behind the release"}, value: float64(len(c.r.Rounds))})
}

func (c *Card) notInCare() text {
	blocks := []block{}
	if p := c.prediction(); p != "" {
		blocks = append(blocks, block{paragraph: p})
	}
	return computed(append(blocks, paragraph("These figures are of predictions beside recorded outcomes. Safety in care was not examined."))...)
}

func (c *Card) stage() text {
	t := stated(c.r.About.Stage)
	if c.remark() != "" {
		t.blocks = append([]block{{paragraph: c.remark()}}, t.blocks...)
		t.computed = true
	}
	return t
}

func (c *Card) version() string {
	return plot.Plain(float64(c.r.Study.Version)) + ", release " + c.r.Digest
}

func (c *Card) summary() text {
	verb := "A model that predicts "
	if c.r.Study.Outcome.Type == study.Survival {
		verb = "A model of "
	}
	return computed(paragraph("%s%s. It comes from a study of %s, without any patient record leaving its hospital.", verb, c.outcome(),
		plot.Plural(c.r.Result.Cohort.Contributors, "hospital", "hospitals"))).with(c.r.About.Summary)
}

func (c *Card) risks() text {
	t := computed(paragraph("What was not examined:"), block{items: c.unexamined()})
	return t.with(c.r.About.Risks)
}

func (c *Card) development() text {
	t := c.criteria()
	groups := c.groups()
	t.blocks = append(t.blocks, groups.blocks...)
	t.blocks = append(t.blocks, c.patients())
	return t
}

func (c *Card) maintenance() text {
	a := &c.r.About
	t := c.decisions()
	for _, part := range []struct{ what, value string }{
		{"Monitoring of validity", a.MonitoringValidity}, {"Monitoring of fairness", a.MonitoringFairness},
		{"Updates", a.Updates}, {"Corrections", a.Corrections},
	} {
		s := stated(part.value)
		t.blocks = append(append(t.blocks, paragraph("%s:", part.what)), s.blocks...)
		t.stated = t.stated || s.stated
	}
	return t
}
