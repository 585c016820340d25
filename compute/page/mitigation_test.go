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
}

func TestThePageShowsWhatIsTraded(t *testing.T) {
	for name, want := range map[string][]string{
		"recalibrated": {"What less difference between groups costs", "The model at strength 0.5 is released", "The released model asks for g",
			"Error of all patients against the gap between groups", "0.5, released", "× prediction", "it has fewer than 11 patients"},
		"thresholds": {"The model without mitigation is released; the others are only shown", "positive from", "0, released", "The study has no hold-out"},
		"reweighed":  {"Patients weigh in the fit by their group", "weighs "},
	} {
		s, r := complete(t, kinds[name])
		html := render(t, s, r)
		for _, text := range want {
			if !strings.Contains(html, text) {
				t.Errorf("%s does not say %q", name, text)
			}
		}
		if asks := strings.Contains(html, "The released model asks for"); asks != r.Mitigation.NeedsGroup || asks != (name == "recalibrated") {
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
