package card_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"

	"github.com/consilium-fl/consilium/compute/card"
	"github.com/consilium-fl/consilium/compute/fairness"
)

func newCard(t testing.TB, r card.Release) *card.Card {
	t.Helper()
	c, err := card.New(r)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// forms of a card, by name.
func forms(t testing.TB, c *card.Card) map[string]string {
	t.Helper()
	x, err := c.XML()
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.HTI1()
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.HTML()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"markdown": string(c.Markdown()), "xml": string(x), "json": string(h), "html": string(page)}
}

// stating fills every field with a word of its own.
func stating() card.About {
	var a card.About
	for _, f := range a.Fields() {
		switch {
		case f.Text != nil:
			*f.Text = "Says " + f.Key + "."
		case strings.HasPrefix(f.Key, "elements."):
		default:
			_ = f.Add("word " + f.Key)
		}
	}
	a.Elements = map[string][]string{"sex": {"g"}, "date_of_birth": {"age_years"}}
	return a
}

func TestACardNeedsAReleaseWithAModel(t *testing.T) {
	whole := released(t, "holdout")
	for want, spoil := range map[string]func(*card.Release){
		"no model":   func(r *card.Release) { result := *r.Result; result.Model = nil; r.Result = &result },
		"no release": func(r *card.Release) { r.Digest = "" },
		"needs":      func(r *card.Release) { r.Study = nil },
		`"age_years"`: func(r *card.Release) {
			r.About.Elements = map[string][]string{"date_of_birth": {"age_year"}}
		},
	} {
		r := whole
		spoil(&r)
		if _, err := card.New(r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error that says %q, got %v", want, err)
		}
	}
}

// The same release gives the same card, so that two people who write it can
// compare what they have.
func TestTheSameReleaseGivesTheSameCard(t *testing.T) {
	r := released(t, "holdout")
	r.About = stating()
	first := forms(t, newCard(t, r))
	for name, text := range forms(t, newCard(t, r)) {
		if text != first[name] {
			t.Errorf("%s differs", name)
		}
	}
}

// Nothing is invented: of what nobody has stated the card says so, and says
// what people state in every form that has a place for it.
func TestWhatNobodyStatesIsNotStated(t *testing.T) {
	r := released(t, "holdout")
	bare := forms(t, newCard(t, r))
	for name, least := range map[string]int{"markdown": 10, "html": 10, "xml": 12, "json": 12} {
		if n := strings.Count(bare[name], "ot stated by the developer"); n < least {
			t.Errorf("%s says only %d times that something is not stated", name, n)
		}
		if strings.Contains(bare[name], "The developer states") {
			t.Errorf("%s has the developer state what nobody stated", name)
		}
	}
	for _, heading := range []string{"developer; contact; licence", "intended use; intended users", "known risks and limitations", "funding; third parties"} {
		for _, form := range []string{"markdown", "html"} {
			if !strings.Contains(bare[form], "Not stated by the developer: "+heading) {
				t.Errorf("the %s does not list as not stated: %s", form, heading)
			}
		}
	}
	r.About = stating()
	full := forms(t, newCard(t, r))
	for _, f := range r.About.Fields() {
		if f.Text == nil {
			continue
		}
		word := strings.ReplaceAll(*f.Text, "&", "&amp;")
		found := 0
		for _, text := range full {
			if strings.Contains(text, word) {
				found++
			}
		}
		if found == 0 {
			t.Errorf("no form says %s", f.Key)
		}
	}
	if strings.Contains(full["xml"], "Not stated by the developer.") {
		t.Error("the XML calls something not stated that was")
	}
}

// A card speaks of alignment; whether a model satisfies anybody's rules, or is
// fair, is not for software to say.
func TestACardClaimsNothing(t *testing.T) {
	claims := regexp.MustCompile(`(?i)\bcertif(y|ied|ication)|\bcomplian|\bcomplies|\brequired by|\bis fair\b|\bsafe to\b|\bguarantee|\bunbiased\b`)
	for kind := range kinds {
		for name, text := range forms(t, newCard(t, released(t, kind))) {
			if found := claims.FindString(strings.ReplaceAll(text, "Approach to ensure that the output is fair", "")); found != "" {
				t.Errorf("%s of %s claims %q", name, kind, found)
			}
			if bad := regexp.MustCompile(`NaN|\bInf\b|%!|<nil>|\{0x`).FindString(text); bad != "" {
				t.Errorf("%s of %s has a value that could not be written: %s", name, kind, bad)
			}
		}
	}
}

// What is suppressed reads withheld: the group few has 6 patients, and where a
// form names it nothing stands behind the name but that, and the audit's reason.
func TestASmallGroupStaysWithheld(t *testing.T) {
	reason := regexp.MustCompile(`withheld \(.*\)`)
	for _, kind := range []string{"holdout", "folds", "apparent"} {
		r := released(t, kind)
		if g := r.Result.Audit.Group("g", "few"); g == nil || g.N != nil {
			t.Fatalf("%s: the group is not suppressed, so this proves nothing: %+v", kind, g)
		}
		for name, text := range forms(t, newCard(t, r)) {
			if !strings.Contains(text, "g: few: withheld") {
				t.Errorf("%s of %s does not say that the group is withheld", name, kind)
			}
			text = strings.ReplaceAll(text, `\n`, "\n") // JSON holds many lines in one
			for line := range strings.Lines(text) {
				_, behind, named := strings.Cut(line, "g: few")
				if !named {
					continue
				}
				if behind = reason.ReplaceAllString(behind, "withheld"); !strings.Contains(behind, "withheld") || regexp.MustCompile(`[0-9]`).MatchString(behind) {
					t.Errorf("%s of %s says more of the group: %s", name, kind, behind)
				}
			}
		}
	}
}

// markupOf finds what a reader of Markdown would take for markup: the
// characters that begin it and are not escaped.
var markupOf = regexp.MustCompile("(^|[^\\\\])[*`\\[\\]<>~]")

// Whatever a title, a level or a person says is text: in Markdown it begins no
// markup, and in a table it divides no cell.
func TestHostileWordsAreText(t *testing.T) {
	r := released(t, "holdout")
	r.About = card.About{Developer: hostile, Risks: "# not a heading\n- " + hostile + "\n1. one\n| a | b |\n<script>alert(1)</script>\n\n===\n---\n> quote\n    code", Keywords: []string{hostile},
		Bibliography: "@misc{x,\n title={<script>}}\n```\n# out"}
	text := string(newCard(t, r).Markdown())
	body, rest, ok := strings.Cut(text, "### Bibliography\n\n")
	bibliography, _, _ := strings.Cut(rest, "\nNot stated by the developer")
	if !ok {
		t.Fatal("no bibliography")
	}
	for line := range strings.Lines(body) {
		line = regexp.MustCompile(`^\*\*(Developer|Keywords):\*\*`).ReplaceAllString(strings.TrimSuffix(line, "\n"), "ours:")
		if found := markupOf.FindString(line); found != "" {
			t.Errorf("%q is markup in %q", found, line)
		}
		ours := strings.TrimLeft(strings.TrimPrefix(line, "- "), "#") // the marks that the card itself makes
		if strings.HasPrefix(line, "#") && !strings.HasPrefix(ours, " ") || strings.HasPrefix(ours, "- ") || strings.HasPrefix(line, "=") || strings.HasPrefix(line, "    ") || regexp.MustCompile(`^(- )?[0-9]+[.)] `).MatchString(line) {
			t.Errorf("%q begins as markup does", line)
		}
	}
	for line := range strings.Lines(bibliography) {
		if !strings.HasPrefix(line, "    ") && strings.TrimSpace(line) != "" {
			t.Errorf("%q leaves the block of code", line)
		}
	}
	checkTables(t, body)
	if !strings.Contains(body, `# Model card: Dose &lt;b&gt;of&lt;/b&gt;`) || !strings.Contains(body, `\*1/\*2`) || !strings.Contains(body, "age_years") {
		t.Error("the words themselves are lost")
	}
}

// On the page, too: the only elements are the template's own.
func TestHostileWordsAreTextOnThePage(t *testing.T) {
	r := released(t, "holdout")
	r.About = card.About{Developer: hostile, Risks: "<script>alert(1)</script>\n- <b>" + hostile + "</b>", Bibliography: "</pre><img src=x onerror=alert(1)>"}
	page := forms(t, newCard(t, r))["html"]
	for _, tag := range []string{"<script", "<b>", "<img", "onerror=alert(1)>"} {
		if strings.Contains(page, tag) {
			t.Errorf("the page has %s", tag)
		}
	}
	if strings.Count(page, "</pre>") != 1 || !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the words themselves are lost, or end their block")
	}
}

// A program that reads CHAI cards finds the XML in the PDF.
func TestThePDFCarriesTheXML(t *testing.T) {
	c := newCard(t, released(t, "holdout"))
	pdf, err := c.PDF()
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`/chaiMcXml <FEFF([0-9A-F]+)>`).FindSubmatch(pdf)
	if found == nil {
		t.Fatal("there is no entry chaiMcXml")
	}
	raw, err := hex.DecodeString(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	var units []uint16
	for i := 0; i+1 < len(raw); i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	if string(utf16.Decode(units)) != forms(t, c)["xml"] {
		t.Error("the entry is not the card's XML")
	}
	if !bytes.Contains(pdf, []byte("/chaiMcSoftwareId <FEFF")) {
		t.Error("the entry chaiMcSoftwareId is missing")
	}
}

// checkTables wants as many cells in every row as in the table's head.
func checkTables(t *testing.T, text string) {
	t.Helper()
	cells, tables := 0, 0
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "|") {
			cells = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if cells == 0 {
			cells = n
			tables++
		}
		if n != cells {
			t.Errorf("%d cells in place of %d: %s", n, cells, line)
		}
	}
	if tables < 3 {
		t.Errorf("only %d tables were looked at", tables)
	}
}

// The profile has the 31 attributes of 45 CFR 170.315(b)(11)(iv)(B), each cited
// where the rule has it, and none empty.
func TestTheProfileHasThe31Attributes(t *testing.T) {
	var want []string
	for section, n := range []int{4, 4, 2, 4, 2, 4, 5, 4, 2} {
		for i := range n {
			want = append(want, fmt.Sprintf("(%d)(%s)", section+1, []string{"i", "ii", "iii", "iv", "v"}[i]))
		}
	}
	for kind := range kinds {
		h, err := newCard(t, released(t, kind)).HTI1()
		if err != nil {
			t.Fatal(err)
		}
		var p card.Profile
		if err := json.Unmarshal(h, &p); err != nil {
			t.Fatal(err)
		}
		if len(want) != 31 || len(p.Attributes) != 31 {
			t.Fatalf("%s has %d attributes of %d", kind, len(p.Attributes), len(want))
		}
		if !strings.Contains(p.Alignment, "aligned with") || strings.Contains(string(h), "required") {
			t.Errorf("%s speaks of more than alignment", kind)
		}
		for i, a := range p.Attributes {
			if a.Number != i+1 || a.Citation != want[i] || a.Name == "" || a.Text == "" || a.Group == "" ||
				!slices.Contains([]string{"computed", "stated", "computed and stated", "not stated"}, a.Source) {
				t.Errorf("%s: attribute %d is %+v", kind, i+1, a)
			}
		}
		external := kind == "outside"
		if got := strings.Contains(p.Attributes[22].Text, "Mean absolute error"); got != external {
			t.Errorf("%s: figures of external data are there: %v", kind, got)
		}
		if got := strings.Contains(p.Attributes[20].Text, "Not examined"); got != external {
			t.Errorf("%s: test data of the same source were not examined: %v", kind, got)
		}
	}
}

// The figures of a card are those of the result.
func TestFiguresAreThoseOfTheResult(t *testing.T) {
	r := released(t, "holdout")
	text := string(newCard(t, r).Markdown())
	mae := r.Result.Validation.Metrics["mae"]
	if want := fmt.Sprintf("| Mean absolute error | %.4g", mae); !strings.Contains(text, want) {
		t.Errorf("the card does not say %q", want)
	}
	g := r.Result.Audit.Group("g", "a|b")
	if want := fmt.Sprintf(`| g: a\|b | %d | %.4g (`, *g.N, g.Metrics["mae"].Estimate); !strings.Contains(text, want) {
		t.Errorf("the card does not say %q", want)
	}
}

// A group that stands for several is named by all of them, and a figure that the
// audit withholds of a group that it shows reads so.
func TestJoinedGroupsAndWithheldFigures(t *testing.T) {
	r := released(t, "holdout")
	result, audit := *r.Result, *r.Result.Audit
	audit.Groups = slices.Clone(audit.Groups)
	r.Result, result.Audit = &result, &audit
	n := 40
	audit.Groups = append(audit.Groups,
		fairness.Group{Attribute: "h", Level: "one", N: &n, State: fairness.OK, As: "Other", With: []string{"two"}, Withheld: []string{"within20"},
			Metrics: map[string]fairness.Metric{"mae": {Estimate: 7.25}, "bias": {Estimate: 1}}},
		fairness.Group{Attribute: "h", Level: "two", State: fairness.Merged},
		fairness.Group{Attribute: "h", Level: "three", N: &n, State: fairness.OK, With: []string{"four", "five"}, Metrics: map[string]fairness.Metric{"mae": {Estimate: 7.5}}})
	all := forms(t, newCard(t, r))
	for _, line := range []string{"| h: Other (one and two) | 40 | 7.250 | withheld | 1.000 |", "| h: two | withheld |  |  |  |", "| h: three, four and five | 40 | 7.500 |  |  |"} {
		if !strings.Contains(all["markdown"], line) {
			t.Errorf("the card has no row %q", line)
		}
	}
	if !strings.Contains(all["xml"], "<Label>h: Other (one and two): Mean absolute error, 40 patients</Label>") {
		t.Error("the XML does not name the groups that are joined")
	}
}

// What the study declared before there were results is on the card.
func TestTheCardHasWhatTheStudyDeclares(t *testing.T) {
	kinds["declared"] = strings.Replace(kinds["holdout"], "  minimum_cell: 11\n", `  minimum_cell: 12
  criteria: [{metric: mae, attribute: g, margin: 0.5}, {metric: within20, margin: 0.25, kind: ratio}]
`, 1)
	defer delete(kinds, "declared")
	for name, text := range forms(t, newCard(t, released(t, "declared"))) {
		for _, words := range []string{"fewer than 12 patients are withheld", "errors are examined by g, each", "By the criteria that the study declared beforehand:", "mae by g: a difference from the reference group of more than 0.5", "within20 by every attribute: a ratio to the reference group above 1.25 or below its inverse"} {
			if !strings.Contains(text, words) {
				t.Errorf("%s does not say %q", name, words)
			}
		}
	}
}

// The template is YAML, names every key with what it asks, and states nothing.
func TestTheTemplateNamesEveryKey(t *testing.T) {
	var template map[string]any
	if err := yaml.Unmarshal([]byte(card.Template()), &template); err != nil {
		t.Fatal(err)
	}
	for _, f := range new(card.About).Fields() {
		section, key, nested := strings.Cut(f.Key, ".")
		holds := template
		if nested {
			holds, _ = template[section].(map[string]any)
		} else {
			key = section
		}
		value, ok := holds[key]
		if list, isList := value.([]any); !ok || value != "" && (!isList || len(list) > 0) || !strings.Contains(card.Template(), "# "+f.Asks) {
			t.Errorf("the template has %s as %v", f.Key, value)
		}
	}
}
