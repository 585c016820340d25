package audit

import (
	"testing"
)

func TestAnHonestBundleHolds(t *testing.T) {
	c := newConsortium(t)
	files := build(t, c, lies{})
	f, err := Verify(files, Trust{Governance: c.governance.Public()})
	must(t, err)
	for _, finding := range f.Checks {
		t.Logf("%-12s %-18s %s", finding.State, finding.Check, finding.Detail)
		if finding.State != OK {
			t.Errorf("%s is %s: %s", finding.Check, finding.State, finding.Detail)
		}
	}
}
