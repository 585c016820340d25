package card

import (
	"fmt"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/study"
)

// About is what people state of a model. A text may have paragraphs, divided by
// empty lines, and items, which are lines that begin with "- "; everything else
// in it is taken literally. What is empty is not stated.
type About struct {
	Developer, Contact, Licence, Funding, ThirdParties, Stakeholders string

	Stage, Availability, Regulation, Summary string
	Keywords, Records                        []string // Records: of the health record systems that it works with

	IntendedUse, Users, HowToUse, Population, OutOfScope, DecisionRole string
	Risks, Ethics, RiskLevel                                           string
	DataSource, DataRelevance                                          string
	FairnessApproach, BiasManagement                                   string

	GoalUse, GoalFairness, GoalSafety                                                                   string
	ExternalData, ExternalTester, ExternalPatients, ExternalProcess, ExternalValidity, ExternalFairness string
	LocalValidity, LocalFairness                                                                        string
	MonitoringValidity, MonitoringFairness, Updates, Corrections                                        string

	OutcomeStudies, Evaluations, Trial, Publications, Reimbursement, Consent string
	Bibliography                                                             string // BibTeX, as it is

	// Elements are the study's columns that hold what 45 CFR 170.315(b)(11)(iv)(A)(5)
	// to (13) list, by the names in [Elements].
	Elements map[string][]string
}

// Elements are the names under which About.Elements lists columns.
var Elements = []string{"race", "ethnicity", "language", "sexual_orientation", "gender_identity", "sex", "date_of_birth", "social_determinants", "health_status"}

// Field is a key of the file in which people state an About.
type Field struct {
	Key  string // with a dot after the name of its section
	Asks string
	Text *string // one of Text and Add is set
	Add  func(item string) error
}

// Fields are all keys, in the order in which the template asks for them.
func (a *About) Fields() []Field {
	text := func(key string, to *string, asks string) Field { return Field{Key: key, Asks: asks, Text: to} }
	list := func(key string, to *[]string, asks string) Field {
		return Field{Key: key, Asks: asks, Add: func(item string) error { *to = append(*to, item); return nil }}
	}
	fields := []Field{
		text("developer", &a.Developer, "who answers for the model"),
		text("contact", &a.Contact, "how to reach them"),
		text("licence", &a.Licence, "terms under which the model may be used"),
		text("funding", &a.Funding, "who paid for the development"),
		text("third_parties", &a.ThirdParties, "others whose software or data are in the model"),
		text("stakeholders", &a.Stakeholders, "who was consulted: patients, clinicians, ethics committees"),

		text("stage", &a.Stage, "such as research, pilot, in clinical use"),
		text("availability", &a.Availability, "countries or regions in which it may be used"),
		text("regulation", &a.Regulation, "approvals, or that there are none"),
		text("summary", &a.Summary, "the model in a few sentences"),
		list("keywords", &a.Keywords, "a list"),
		list("record_systems", &a.Records, "health record systems that it works with, a list"),

		text("intended_use", &a.IntendedUse, "what it is for, and where in the workflow"),
		text("users", &a.Users, "who is meant to use it"),
		text("how_to_use", &a.HowToUse, "how its output is used"),
		text("population", &a.Population, "patients for whom it is meant"),
		text("out_of_scope", &a.OutOfScope, "tasks, situations, settings and patients for which it is not meant"),
		text("decision_role", &a.DecisionRole, "informs, augments or replaces clinical management; who can override it"),
		text("risks", &a.Risks, "known risks and limitations"),
		text("ethics", &a.Ethics, "known biases and ethical considerations"),
		text("risk_level", &a.RiskLevel, "clinical risk level, and who assigned it"),

		text("data_source", &a.DataSource, "where the inputs come from when the model is used"),
		text("data_relevance", &a.DataRelevance, "why the training data are relevant where it will be used"),
		text("fairness_approach", &a.FairnessApproach, "what was done so that the output is fair"),
		text("bias_management", &a.BiasManagement, "what was done to manage, reduce or eliminate bias"),

		text("goals.usefulness", &a.GoalUse, "what figures the developer aimed at, and why those"),
		text("goals.fairness", &a.GoalFairness, "the same for groups of patients"),
		text("goals.safety", &a.GoalSafety, "the same for safety and reliability"),

		text("external.data", &a.ExternalData, "other data or settings on which it was assessed"),
		text("external.tester", &a.ExternalTester, "who did that"),
		text("external.patients", &a.ExternalPatients, "whom those data represent"),
		text("external.process", &a.ExternalProcess, "how it was done"),
		text("external.validity", &a.ExternalValidity, "what was found"),
		text("external.fairness", &a.ExternalFairness, "what was found for groups of patients"),
		text("local.validity", &a.LocalValidity, "figures where the model is used"),
		text("local.fairness", &a.LocalFairness, "the same for groups of patients"),

		text("maintenance.validity", &a.MonitoringValidity, "how and how often its validity is monitored"),
		text("maintenance.fairness", &a.MonitoringFairness, "how and how often its fairness is monitored"),
		text("maintenance.updates", &a.Updates, "how and how often it is updated"),
		text("maintenance.corrections", &a.Corrections, "how often it is corrected when risks are found"),

		text("resources.outcome_studies", &a.OutcomeStudies, "evaluations of its use on mortality, length of stay, or other outcomes"),
		text("resources.evaluations", &a.Evaluations, "reports of evaluations"),
		text("resources.trial", &a.Trial, "clinical trial"),
		text("resources.publications", &a.Publications, "peer-reviewed publications"),
		text("resources.reimbursement", &a.Reimbursement, "whether and how its use is reimbursed"),
		text("resources.consent", &a.Consent, "patients' consent to its use, or what they are told"),
		text("resources.bibliography", &a.Bibliography, "BibTeX"),
	}
	for _, name := range Elements {
		fields = append(fields, Field{Key: "elements." + name, Asks: "columns of the study that hold it, a list", Add: func(column string) error {
			if a.Elements == nil {
				a.Elements = map[string][]string{}
			}
			a.Elements[name] = append(a.Elements[name], column)
			return nil
		}})
	}
	return fields
}

// check refuses columns that the study does not have.
func (a *About) check(s *study.Study) error {
	columns := s.Columns()
	for _, name := range Elements {
		for _, column := range a.Elements[name] {
			if slices.Contains(columns, column) {
				continue
			}
			if near := study.Nearest(column, columns); near != "" {
				return fmt.Errorf("elements.%s: the study has no column %q; the nearest is %q", name, column, near)
			}
			return fmt.Errorf("elements.%s: the study has no column %q", name, column)
		}
	}
	return nil
}

// Template is a file of all keys, each empty: a person fills in what they know
// and leaves the rest.
func Template() string {
	var b strings.Builder
	b.WriteString(`# What people state of a model, for its card. Fill in what you know; what stays
# empty reads "Not stated by the developer". A text of several lines begins with
# | and may have paragraphs and "- " items; everything else in it is taken
# literally. Figures, groups, inputs and cohort the software writes by itself.

`)
	within := ""
	for _, f := range new(About).Fields() {
		section, key, nested := strings.Cut(f.Key, ".")
		indent, value := "", `""`
		if nested {
			indent = "  "
		} else {
			section, key = "", f.Key
		}
		if section != within {
			fmt.Fprintf(&b, "\n%s:\n", section)
			within = section
		}
		if f.Add != nil {
			value = "[]"
		}
		fmt.Fprintf(&b, "%s%s: %s # %s\n", indent, key, value, f.Asks)
	}
	return b.String()
}
