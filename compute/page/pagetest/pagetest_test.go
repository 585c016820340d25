package pagetest_test

import (
	"math"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/page/pagetest"
)

const sound = `<!DOCTYPE html>
<html lang="en"><head><title>t</title></head><body><h1>t</h1>
<h3 id="a">drawing</h3><svg role="img" aria-labelledby="a a-words"><desc id="a-words">falls</desc></svg>
<table><thead><tr><th scope="col">x</th><th scope="col">y</th></tr></thead><tbody><tr><th scope="row">1</th><td>2</td></tr></tbody></table>
</body></html>`

// Each fault is found, and a sound page has none.
func TestFaultsAreFound(t *testing.T) {
	if faults := pagetest.Faults(sound); faults != nil {
		t.Errorf("a sound page: %v", faults)
	}
	for name, change := range map[string][2]string{
		"a script":          {"<h1>", "<script></script><h1>"},
		"another host":      {"falls", "falls https://example.org"},
		"a link":            {"<h1>t", `<h1><a href="x">t</a>`},
		"not a number":      {"<td>2", "<td>NaN"},
		"an open element":   {"</svg>", ""},
		"no language":       {` lang="en"`, ""},
		"two headings":      {"<h1>", "<h1>u</h1><h1>"},
		"an id twice":       {"<h1>t", `<h1><b id="a">t</b>`},
		"a dead reference":  {"a a-words", "a b-words"},
		"a silent drawing":  {`role="img" `, ""},
		"no words":          {"falls", ""},
		"no scope":          {`<th scope="col">x`, "<th>x"},
		"a missing cell":    {"<td>2</td>", ""},
		"a table of nobody": {"<thead>", ""},
	} {
		broken := strings.Replace(sound, change[0], change[1], 1)
		if broken == sound || pagetest.Faults(broken) == nil {
			t.Errorf("%s is not found", name)
		}
	}
}

func TestContrastOfKnownColours(t *testing.T) {
	if c := pagetest.Contrast("#000000", "#ffffff"); math.Abs(c-21) > 1e-9 {
		t.Errorf("black on white: %v", c)
	}
	// The grey that WCAG's own examples put just above 4.5.
	if c := pagetest.Contrast("#767676", "#ffffff"); c < 4.5 || c > 4.6 {
		t.Errorf("#767676 on white: %v", c)
	}
}
