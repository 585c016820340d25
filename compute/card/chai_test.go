package card_test

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/card"
)

const chaiNamespace = "https://mc.chai.org/v0.2/schema.xsd"

// model is what an element of the CHAI schema v0.2 holds, in its order: children
// with ? may be missing, those with * may repeat or be missing, those with +
// repeat. An element without an entry holds text. The schema itself is at
// https://mc.chai.org/v0.2/schema.xsd.
var model = map[string]string{
	"AppliedModelCard":            "BasicInfo ReleaseInfo ModelSummary UsesAndDirections Warnings TrustIngredients KeyMetrics Resources Bibliography Signature?",
	"BasicInfo":                   "ModelName ModelDeveloper DeveloperContact",
	"ReleaseInfo":                 "ReleaseStage ReleaseDate ReleaseVersion GlobalAvailability EHRCompatibility? RegulatoryApproval?",
	"EHRCompatibility":            "EHR*",
	"ModelSummary":                "Summary Keywords",
	"Keywords":                    "Keyword*",
	"UsesAndDirections":           "IntendedUseAndWorkflow PrimaryIntendedUsers HowToUse TargetedPatientPopulation CautionedOutOfScopeSettings",
	"Warnings":                    "KnownRisksAndLimitations KnownBiasesOrEthicalConsiderations ClinicalRiskLevel",
	"TrustIngredients":            "AISystemFacts TransparencyInformation",
	"AISystemFacts":               "OutcomesAndOutputs ModelType FoundationModels? InputDataSource OutputAndInputDataTypes DevelopmentDataCharacterization BiasMitigationApproaches OngoingMaintenance Security? Transparency?",
	"TransparencyInformation":     "FundingSource ThirdPartyInformation? StakeholdersConsulted",
	"KeyMetrics":                  "UsefulnessUsabilityEfficacy FairnessEquity SafetyReliability",
	"UsefulnessUsabilityEfficacy": keyMetric, "FairnessEquity": keyMetric, "SafetyReliability": keyMetric,
	"Results":      "MetricResult+",
	"MetricResult": "Label ValueJson",
	"Resources":    "EvaluationReferences? ClinicalTrial? PeerReviewedPublications ReimbursementStatus? PatientConsentOrDisclosure",
}

const keyMetric = "MetricGoal Results Interpretation TestType TestingDataDescription ValidationProcessAndJustification"

// node of an XML document.
type node struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []node     `xml:",any"`
	Text     string     `xml:",chardata"`
}

// follows reports the first place where a document leaves the model, empty if
// none does.
func follows(n node) string {
	name := n.XMLName.Local
	if n.XMLName.Space != chaiNamespace {
		return name + " is in another namespace"
	}
	sequence, structured := model[name]
	if !structured {
		if len(n.Children) > 0 {
			return name + " holds elements in place of text"
		}
		return ""
	}
	if strings.TrimSpace(n.Text) != "" {
		return name + " holds text beside its elements"
	}
	rest := n.Children
	for want := range strings.FieldsSeq(sequence) {
		bare := strings.TrimRight(want, "?*+")
		found := 0
		for len(rest) > 0 && rest[0].XMLName.Local == bare && (found == 0 || want != bare && !strings.HasSuffix(want, "?")) {
			if fault := follows(rest[0]); fault != "" {
				return fault
			}
			rest, found = rest[1:], found+1
		}
		if found == 0 && !strings.HasSuffix(want, "?") && !strings.HasSuffix(want, "*") {
			return name + " has no " + bare + " in its place"
		}
	}
	if len(rest) > 0 {
		return name + " has " + rest[0].XMLName.Local + " out of place"
	}
	return ""
}

func parse(t testing.TB, document string) node {
	t.Helper()
	var n node
	d := xml.NewDecoder(strings.NewReader(document))
	if err := d.Decode(&n); err != nil {
		t.Fatalf("no XML: %v", err)
	}
	for {
		token, err := d.Token()
		if err == io.EOF {
			return n
		}
		if text, ok := token.(xml.CharData); err != nil || !ok || strings.TrimSpace(string(text)) != "" {
			t.Fatalf("the document goes on after its end: %v %v", token, err)
		}
	}
}

// at follows a path of names; nil if there is no such element.
func (n node) at(path string) *node {
	for name := range strings.SplitSeq(path, "/") {
		found := false
		for _, child := range n.Children {
			if child.XMLName.Local == name {
				n, found = child, true
				break
			}
		}
		if !found {
			return nil
		}
	}
	return &n
}

// Optional elements that the software fills are always there.
func TestTheXMLSaysHowTheReleaseCanBeChecked(t *testing.T) {
	r := released(t, "holdout")
	n := parse(t, forms(t, newCard(t, r))["xml"])
	for path, want := range map[string]string{
		"TrustIngredients/AISystemFacts/Transparency":     fmt.Sprintf("%d published rounds, each over 6 hospitals", len(r.Rounds)),
		"TrustIngredients/AISystemFacts/Security":         "over at least 3 hospitals",
		"TrustIngredients/AISystemFacts/FoundationModels": "None",
	} {
		if got := n.at(path); got == nil || !strings.Contains(got.Text, want) {
			t.Errorf("%s reads %+v, want %q in it", path, got, want)
		}
	}
}

func TestTheXMLFollowsTheSchema(t *testing.T) {
	for kind := range kinds {
		r := released(t, kind)
		for who, about := range map[string]card.About{"nobody": {}, "everybody": stating()} {
			r.About = about
			document := forms(t, newCard(t, r))["xml"]
			if fault := follows(parse(t, document)); fault != "" {
				t.Errorf("%s, stated by %s: %s", kind, who, fault)
			}
			lint(t, document)
		}
	}
}

// Without an audit and a validation there is still a card, and it says so.
func TestACardWithoutFigures(t *testing.T) {
	r := released(t, "holdout")
	result := *r.Result
	result.Audit, result.Validation = nil, nil
	r.Result = &result
	all := forms(t, newCard(t, r))
	if fault := follows(parse(t, all["xml"])); fault != "" {
		t.Error(fault)
	}
	for name, text := range all {
		if !strings.Contains(text, "there is no bias audit") || !strings.Contains(text, "the patients that the model was fitted to") {
			t.Errorf("%s does not say that there are no figures", name)
		}
	}
}

// The validator above finds what it is there to find.
func TestTheValidatorFindsFaults(t *testing.T) {
	document := forms(t, newCard(t, released(t, "holdout")))["xml"]
	for fault, spoil := range map[string][2]string{
		"another namespace":       {chaiNamespace, "https://mc.chai.org/v0.1/schema.xsd"},
		"no HowToUse":             {"HowToUse>", "HowToUseIt>"},
		"no MetricResult":         {"MetricResult>", "Metric>"},
		"holds elements in place": {"<TestType>", "<TestType><b/>"},
		"out of place":            {"</Resources>", "<More/></Resources>"},
		"beside its elements":     {"<BasicInfo>", "<BasicInfo>x"},
	} {
		if got := follows(parse(t, strings.ReplaceAll(document, spoil[0], spoil[1]))); !strings.Contains(got, fault) {
			t.Errorf("want a fault %q, got %q", fault, got)
		}
	}
}

// lint holds a document against the schema itself where there are both: xmllint,
// and the schema's file (with the imported one of XML signatures within reach)
// named by CHAI_SCHEMA. Neither is part of this repository.
func lint(t *testing.T, document string) {
	t.Helper()
	schema := os.Getenv("CHAI_SCHEMA")
	if schema == "" {
		return // the validator above stands in for it
	}
	path := filepath.Join(t.TempDir(), "card.xml")
	if err := os.WriteFile(path, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("xmllint", "--nonet", "--noout", "--schema", schema, path).CombinedOutput(); err != nil {
		t.Errorf("xmllint: %v\n%s", err, out)
	}
}

// No required element is empty, and every value is JSON of the one form.
func TestNothingInTheXMLIsEmpty(t *testing.T) {
	n := parse(t, forms(t, newCard(t, released(t, "apparent")))["xml"])
	leaves, values := 0, 0
	var visit func(n node)
	visit = func(n node) {
		for _, child := range n.Children {
			visit(child)
		}
		name := n.XMLName.Local
		if len(n.Children) > 0 || name == "Keywords" || name == "Bibliography" {
			return
		}
		leaves++
		if strings.TrimSpace(n.Text) == "" {
			t.Errorf("%s is empty", name)
		}
		if name == "ValueJson" {
			values++
			var v struct {
				Kind  string
				Value *float64
			}
			if err := json.Unmarshal([]byte(n.Text), &v); err != nil || v.Kind != "single" || v.Value == nil {
				t.Errorf("the value %s is not a single one: %v", n.Text, err)
			}
		}
	}
	visit(n)
	if leaves < 50 || values < 8 {
		t.Errorf("only %d elements with text and %d values were looked at", leaves, values)
	}
}

// What would end an element, or is no character of XML, stays inside as text.
func TestHostileWordsStayInTheirElement(t *testing.T) {
	r := released(t, "holdout")
	r.About.Developer = "</ModelDeveloper><Injected>]]>&lt;\x00\x1b\ufffe\u202e x \xff"
	r.About.Bibliography = "@misc{a, title={</Bibliography><Injected/>}}"
	document := forms(t, newCard(t, r))["xml"]
	n := parse(t, document)
	if fault := follows(n); fault != "" {
		t.Error(fault)
	}
	lint(t, document)
	for path, want := range map[string]string{
		"ReleaseInfo/ReleaseDate":  "2026-11-22",
		"BasicInfo/ModelDeveloper": `&lt;/ModelDeveloper&gt;&lt;Injected&gt;\]\]&gt;&amp;lt; x`,
		"BasicInfo/ModelName":      "Dose &lt;b&gt;of&lt;/b&gt; \\]\\]&gt; &amp; \\| \\*\\*bold\\*\\* \\[x\\](http://evil.example) \\`code\\` &lt;!-- \" --&gt;",
		"Bibliography":             "@misc{a, title={</Bibliography><Injected/>}}",
	} {
		if got := n.at(path); got == nil || got.Text != want {
			t.Errorf("%s reads %+v, want %q", path, got, want)
		}
	}
}
