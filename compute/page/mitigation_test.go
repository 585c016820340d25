package page_test

import (
	"strings"
	"testing"
)

// Studies with a mitigation: what is tested of every page is tested of theirs.
func init() {
	kinds["recalibrated"] = protocol(number, "{kind: glm, family: gaussian}",
		"validation: {kind: holdout, fraction: 0.4, by: id}\nmitigation: {method: recalibrate, attribute: g, strength: [0.5, 1], release: 0.5}")
	kinds["thresholds"] = protocol(binary, "{kind: glm, family: binomial, ridge: 0.1}",
		"mitigation: {method: thresholds, attribute: g, strength: [0.5, 1], release: none, equalize: tpr}")
	kinds["reweighed"] = protocol(number, "{kind: glm, family: gaussian}",
		"mitigation: {method: reweigh, attribute: g, strength: [1], release: 1, balance: size}")
	kinds["factors"] = protocol(survives, "{kind: cox}", "mitigation: {method: recalibrate, attribute: g, strength: [0.5, 1], release: 1}")
	kinds["fairfed"] = protocol(binary, "{kind: neural}", "validation: {kind: holdout, fraction: 0.3}\nmitigation: {method: fairfed, attribute: g, strength: [1], release: 1, beta: 2}")
}

func TestThePageShowsWhatIsTraded(t *testing.T) {
	for name, want := range map[string][]string{
		"recalibrated": {"What less difference between groups costs", "The model at strength 0.5 is released", "The released model asks for g",
			"Error of all patients against the gap between groups", "0.5, released", "× prediction", "it has fewer than 11 patients",
			"recalibrate, by g (a line for each group&#39;s predictions); strengths 0.5, 1 beside the model without; the model at strength 0.5 is released"},
		"thresholds": {"The model without mitigation is released; the others are only shown", "positive from", "0, released", "The study has no hold-out"},
		"reweighed":  {"Patients weigh in the fit by their group", "weighs ", "every group weighs as much as every other"},
		"factors":    {"hazard times ", "share of pairs ordered wrongly", "observed over expected events", "a factor on each group&#39;s hazard", "The hazard of each group is multiplied by a factor"},
		"fairfed":    {"on a side of the gap", "Hospitals whose own gap", "with beta 2 at strength 1", "true positive rate"},
	} {
		s, r := complete(t, kinds[name])
		html := render(t, s, r)
		for _, text := range want {
			if !strings.Contains(html, text) {
				t.Errorf("%s does not say %q", name, text)
			}
		}
		if asks := strings.Contains(html, "The released model asks for"); asks != r.Mitigation.NeedsGroup || asks != (name == "recalibrated" || name == "factors") {
			t.Errorf("%s: asks for the group %v", name, asks)
		}
		for _, p := range r.Mitigation.Points {
			if p.Error == nil || p.Gap == nil {
				t.Fatalf("%s: strength %v has no point", name, p.Strength)
			}
		}
	}
	if s, r := complete(t, kinds["gaussian"]); strings.Contains(render(t, s, r), "What less difference") {
		t.Error("a study without a mitigation has the section")
	}
}
