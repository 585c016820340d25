package records

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// The same patients are read whatever separates their cells, and a cell in
// quotation marks may hold what separates.
func TestSeparators(t *testing.T) {
	lines := []string{"id|dose|age|centre", "a|10|50|north", "b|20|60|\"north\"", "c|30.5|70|north"}
	for name, by := range map[string]string{"commas": ",", "semicolons": ";", "tabs": "\t"} {
		for _, file0 := range []string{"", "\xef\xbb\xbf", "\r\n"} {
			content := file0 + strings.ReplaceAll(strings.Join(lines, "\r\n"), "|", by) + "\r\n"
			m, skipped, err := Load(parse(t, ageStudy), file(t, content))
			if err != nil || m.Rows() != 3 || len(skipped) != 0 || m.Outcome(2) != 30.5 {
				t.Errorf("%s after %q: %v, skipped %v", name, file0, err, skipped)
			}
		}
	}
	m, _, err := Load(parse(t, ageStudy), file(t, "id;dose;age;centre;\"note, long\"\na;10;50;north;\"x;\ny,\"\n"))
	if err != nil || m.Rows() != 1 {
		t.Errorf("separators in quotation marks: %v", err)
	}
	long := strings.Repeat("column with a long name;", 5000)
	if m, _, err := Load(parse(t, ageStudy), file(t, "id;dose;age;centre\na;10;50;north\n")); err != nil || m.Rows() != 1 {
		t.Errorf("semicolons: %v", err)
	}
	if comma := strings.Count(long, ";"); comma*24 <= longestHeader {
		t.Fatal("the header is not long enough to be cut")
	}
	_, _, err = Load(parse(t, ageStudy), file(t, long+"id;dose;age;centre\n"))
	if err == nil || !strings.Contains(err.Error(), "have the same name") {
		t.Errorf("a header that goes on and on: %v", err)
	}
}

// A decimal comma is not a number: such a record is skipped and counted, and never
// read as another number.
func TestADecimalCommaIsNoNumber(t *testing.T) {
	m, skipped, err := Load(parse(t, ageStudy), file(t, "id;dose;age;centre\na;10,5;50;north\nb;20.5;60;north\n"))
	if err != nil || m.Rows() != 1 || m.Outcome(0) != 20.5 || skipped[study.OutcomeNotANumber] != 1 {
		t.Errorf("%v, skipped %v", err, skipped)
	}
}
