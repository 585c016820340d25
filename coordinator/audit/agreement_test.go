package audit

import (
	"strings"
	"testing"
)

func TestAgreeSaysWhereTheyDiffer(t *testing.T) {
	const derived = `{"groups":[{"level":"all","n":12},{"level":"male","metrics":{"mae":{"estimate":1.25}}}],"n":12}`
	for _, test := range []struct{ stated, words string }{
		{strings.Replace(derived, "1.25", "1.2", 1), "first at groups[1].metrics.mae.estimate:"},
		{strings.Replace(derived, `"mae"`, `"rmse"`, 1), "first at groups[1].metrics.mae:"},
		{strings.Replace(derived, `,"n":12}`, `}`, 1), "first at groups[0].n:"},
		{strings.Replace(derived, `"groups":`, `"group":`, 1), "first at group:"},
		{`{"groups":[],"n":12}`, "first at groups[0]:"},
		{`{"groups":{},"n":12}`, "first at groups:"},
		{strings.Replace(derived, `"n":12}`, `"n": 12}`, 1), "though it says the same"},
		{`[]`, "first at its beginning"},
		{`{`, "is not what the opened sums give: it was changed"},
	} {
		_, err := agree("the audit", []byte(derived), []byte(test.stated))
		if err == nil || !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: %v, want %q", test.stated, err, test.words)
		}
	}
	if _, err := agree("the audit", []byte(derived), []byte(derived)); err != nil {
		t.Error(err)
	}
}
