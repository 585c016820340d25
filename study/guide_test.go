package study

import (
	"os"
	"strings"
	"testing"
)

// TestTheGuidesExamplesAreAccepted: what the researcher's guide and the page of
// the study file show can be copied. A block that is no whole study is tried in one whose other parts suit
// it; of several outcomes or validations each line is tried.
func TestTheGuidesExamplesAreAccepted(t *testing.T) {
	var guide []byte
	for _, name := range []string{"researcher-guide", "study-file"} {
		page, err := os.ReadFile("../docs/" + name + ".md")
		if err != nil {
			t.Fatal(err)
		}
		guide = append(guide, page...)
	}
	outcomes := map[string]string{GLM: countOutcome, Cox: survivalOutcome, Boost: numberOutcome, Neural: binaryOutcome, Describe: survivalOutcome}
	families := map[string]string{"number": "{kind: glm, family: gaussian}", "binary": "{kind: neural}", "count": "{kind: glm, family: poisson}", "survival": "{kind: cox}"}
	tried := map[string]int{}
	try := func(src string) {
		t.Helper()
		if _, err := Parse([]byte(src)); err != nil {
			t.Errorf("%s\n%v", src, err)
		}
	}
	for i, part := range strings.Split(string(guide), "```yaml\n") {
		block, _, _ := strings.Cut(part, "```")
		key, _, _ := strings.Cut(block, ":")
		switch {
		case i == 0:
			continue
		case key == "study":
			try(block)
		case key == "model":
			_, kind, _ := strings.Cut(block, "kind: ")
			kind = strings.FieldsFunc(kind, func(r rune) bool { return strings.ContainsRune(",}\n", r) })[0]
			model := strings.TrimSuffix(strings.TrimPrefix(block, "model:"), "\n")
			try(kindStudy(outcomes[kind], model))
			tried[kind]++
		case key == "outcome":
			for line := range strings.Lines(block) {
				outcome := strings.TrimSpace(strings.TrimPrefix(line, "outcome:"))
				_, kind, _ := strings.Cut(outcome, "type: ")
				kind, _, _ = strings.Cut(kind, ",")
				try(kindStudy(outcome, families[kind]))
				tried[kind]++
			}
		case key == "validation":
			for line := range strings.Lines(block) {
				try(kindStudy(numberOutcome, "{kind: glm, family: gaussian}", line))
			}
		case key == "fairness":
			try(kindStudy(numberOutcome, "{kind: glm, family: gaussian}", strings.TrimSuffix(block, "\n")))
		case key == "mitigation":
			for line := range strings.Lines(block) {
				outcome, model := numberOutcome, families["number"]
				if strings.Contains(line, "thresholds") {
					outcome, model = binaryOutcome, "{kind: glm, family: binomial}"
				}
				if strings.Contains(line, "fairfed") {
					outcome, model = binaryOutcome, "{kind: neural}"
				}
				try(kindStudy(outcome, model, "fairness: {attributes: [{column: race4, levels: [White, Asian]}]}\n"+line))
			}
		default:
			t.Errorf("the guide has a block of %q, which no test tries", key)
		}
		tried[key]++
	}
	for _, key := range []string{"study", "model", "outcome", "validation", "mitigation", GLM, Cox, Boost, Neural, Describe, "number", "binary", "count", "survival"} {
		if tried[key] == 0 {
			t.Errorf("the guide shows no %s", key)
		}
	}
}
