package federation

import (
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
