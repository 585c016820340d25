package mitigation

import (
	"strings"
	"testing"
)

// Rule: what the curve does not tell speaks of standard errors only where the
// model has some.
func TestLimitsSpeakOfStandardErrorsWhereThereAreSome(t *testing.T) {
	s := parse(t, binary, "{method: reweigh, attribute: g, strength: [1], release: 1}", "")
	for kind, has := range map[string]bool{"glm": true, "cox": true, "boost": false, "neural": false} {
		s.Model.Kind = kind
		if said := strings.Join(Limits(s, &Result{Attribute: "g"}), " "); strings.Contains(said, "standard errors") != has {
			t.Errorf("%s: %s", kind, said)
		}
	}
}
