package federation

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/internal/records"
)

// A record that belongs to no site stops nobody: it is left out and counted.
func TestRecordsWithoutASiteAreLeftOutAndCounted(t *testing.T) {
	source := records.Memory([]string{"x", "site"}, [][]string{
		{"1", "Hôpital A"}, {"2", "St. Mary's (North)"}, {"3", ""}, {"4", " "}, {"5", "Hôpital A"},
	})
	sites, nowhere, err := Split(source, "site")
	if err != nil {
		t.Fatal(err)
	}
	if nowhere != 2 || len(sites) != 2 || sites[0].Name != "Hôpital A" || sites[1].Name != "St. Mary's (North)" {
		t.Errorf("%d left out, %d sites", nowhere, len(sites))
	}
}

// Two spellings of a hospital would be two members of one name.
func TestASiteSpeltInTwoWaysIsRefused(t *testing.T) {
	source := records.Memory([]string{"x", "site"}, [][]string{{"1", "Bonn"}, {"2", "bonn"}})
	if _, _, err := Split(source, "site"); err == nil || !strings.Contains(err.Error(), `both as "Bonn" and as "bonn"`) {
		t.Errorf("%v", err)
	}
}

// A study that no hospital can take part in is not started: the person at the
// keyboard is told why the records are of no use.
func TestRecordsOfNoUseAreCountedByReason(t *testing.T) {
	protocol := `
study: none
version: 1
title: Nobody
outcome: {type: number, column: y, range: [0, 1]}
features: [{column: x, type: number, range: [0, 1]}]
model: {kind: glm, family: gaussian}
`
	sites := []Site{}
	for _, name := range []string{"a", "b", "c"} {
		sites = append(sites, Site{Name: name, Records: records.Memory([]string{"x", "y"}, [][]string{{"", "0"}, {"7", "0"}, {"", "1"}})})
	}
	_, err := Run(t.Context(), Spec{Protocol: []byte(protocol), Sites: sites})
	if err == nil || !strings.Contains(err.Error(), "0 of 9 records; skipped: 6 missing feature, 3 out of range") {
		t.Errorf("%v", err)
	}
}
