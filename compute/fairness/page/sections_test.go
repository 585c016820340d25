package page

import "testing"

// A cut label keeps the name that tells two combinations apart.
func TestNarrowLabelsStayApart(t *testing.T) {
	for label, want := range map[string]string{
		"Black or African American, female":     "Black or African A…, female",
		"Black or African American, male":       "Black or African Ame…, male",
		"White, male":                           "White, male",
		"one long name that has no comma in it": "one long name that has no comma in it",
	} {
		if got := narrow(label); got != want || len([]rune(got)) > 27 && got != label {
			t.Errorf("%q is %q, want %q", label, got, want)
		}
	}
}
