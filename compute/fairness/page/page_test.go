package page_test

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/fairness/page"
	"github.com/consilium-fl/consilium/compute/page/pagetest"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/study"
)

const protocol = `
study: small
version: 1
title: Dose <b>of</b> a drug & more
outcome: %s
features:
  - {column: a, type: number, range: [-10, 10]}
  - {column: c, type: category, levels: [u, v], reference: u}
model: {kind: glm, family: %s}
fairness:
  disclosure: primary
  attributes:
    - {column: g, levels: ["<script>alert(1)</script>", "a group with a very long name indeed, longer than its column", few]}
    - {column: h, levels: [x, none]}
  minimum_cell: 11
`

// completed runs a small study in one place.
func completed(t *testing.T, binary bool) (*study.Study, *study.Matrix, *pipeline.Result) {
	t.Helper()
	return complete(t, protocol, binary)
}

func complete(t *testing.T, protocol string, binary bool) (*study.Study, *study.Matrix, *pipeline.Result) {
	t.Helper()
	outcome, family := `{column: y, type: number, range: [-20, 20], unit: mg/wk}`, "gaussian"
	if binary {
		outcome, family = `{column: y, type: binary, positive: ["1"]}`, "binomial"
	}
	s, err := study.Parse([]byte(fmt.Sprintf(protocol, outcome, family)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.NewBuilder([]string{"y", "a", "c", "g", "h"})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 300 {
		a := random.NormFloat64()
		y := strconv.FormatFloat(1+a+random.NormFloat64(), 'g', -1, 64)
		if binary {
			y = strconv.Itoa(random.IntN(2))
		}
		g := []string{"<script>alert(1)</script>", "a group with a very long name indeed, longer than its column"}[i%2]
		if i < 3 {
			g = "few"
		}
		b.Add([]string{y, strconv.FormatFloat(a, 'g', -1, 64), string("uv"[i/2%2]), g, "x"})
	}
	m := b.Matrix()
	session := pipeline.New(s)
	for {
		q, done, err := session.Next()
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return s, m, session.Result()
		}
		values, err := pipeline.Answer(s, q.Step, q.Parameters, pipeline.Site{Name: "A", Records: m})
		if err != nil {
			t.Fatal(err)
		}
		sum, err := compute.NewSum(3, q.Layout, values)
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Absorb(sum); err != nil {
			t.Fatal(err)
		}
	}
}

func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, binary := range []bool{false, true} {
		s, m, r := completed(t, binary)
		html, err := page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: r.Audit,
			Diagnoses: []compute.Diagnosis{{Kind: compute.EmptyLevel, Terms: []string{"c=w"}, Message: "left out"}},
			Evidence:  []page.Fact{{Name: "Audit digest", Value: "00ff"}}})
		if err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprint("report, binary ", binary)] = string(html)
		forecast, err := r.Model.Forecast(s, m)
		if err != nil {
			t.Fatal(err)
		}
		local, err := fairness.Local(s, r.Audit, m, forecast)
		if err != nil {
			t.Fatal(err)
		}
		if html, err = page.Compare("St. Anna", r.Audit, local, nil); err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprint("comparison, binary ", binary)] = string(html)
	}
	return out
}

// Nothing in a page runs or is fetched, any reader shows the same, and what a
// researcher writes is text.
func TestPagesHaveNoFaults(t *testing.T) {
	for name, html := range pages(t) {
		for _, fault := range pagetest.Faults(html) {
			t.Errorf("%s: %s", name, fault)
		}
		if !strings.Contains(html, "&lt;script&gt;alert(1)") {
			t.Errorf("%s does not show the group's name", name)
		}
		if strings.Count(html, "<svg") < 4 {
			t.Errorf("%s has few drawings", name)
		}
	}
}

func TestPageShowsWhatIsHidden(t *testing.T) {
	for name, html := range pages(t) {
		if !strings.Contains(html, "hidden: fewer than 11 patients") || !strings.Contains(html, "no patients") {
			t.Errorf("%s does not say what is hidden", name)
		}
		if strings.HasPrefix(name, "report") {
			for _, want := range []string{"few</strong>: fewer than 11 patients", "consilium audit verify", "00ff", "left out", "Dose &lt;b&gt;of"} {
				if !strings.Contains(html, want) {
					t.Errorf("%s lacks %q", name, want)
				}
			}
		} else if !strings.Contains(html, "St. Anna only") {
			t.Errorf("%s does not say whose it is", name)
		}
	}
}

// Each group that has quantiles of its error has a box, a combination or a
// withheld group none, and what the box shows is said in words too.
func TestErrorsOfNumbersAreBoxes(t *testing.T) {
	_, _, r := completed(t, false)
	html, err := page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: r.Audit})
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(html), `<h3 id="plot-spread">`)
	figure, _, closed := strings.Cut(rest, "</figure>")
	if !found || !closed {
		t.Fatal("the report draws no boxes")
	}
	boxes := 0
	for _, g := range r.Audit.Groups {
		if _, ok := g.Metrics["absolute_error_p25"]; ok && !strings.Contains(g.Attribute, " × ") {
			boxes++
		}
	}
	if n := strings.Count(figure, `class="bar"`); n != boxes || boxes < 1 {
		t.Errorf("%d boxes for %d groups that have quantiles", n, boxes)
	}
	if n := strings.Count(figure, "are off by at most"); n < boxes {
		t.Errorf("only %d quantiles are said in words", n)
	}
	_, _, r = completed(t, true)
	if html, err = page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: r.Audit}); err != nil || strings.Contains(string(html), "plot-spread") {
		t.Errorf("a report of probabilities has boxes of errors (%v)", err)
	}
}

func TestPageIsAFunctionOfTheReport(t *testing.T) {
	first, second := pages(t), pages(t)
	for name := range first {
		if !bytes.Equal([]byte(first[name]), []byte(second[name])) {
			t.Errorf("%s differs when rendered again", name)
		}
	}
}

// A study that declares no attributes audits all patients, and its page says
// that nothing could be compared.
func TestPageWithoutAttributes(t *testing.T) {
	for _, binary := range []bool{false, true} {
		without := protocol[:strings.Index(protocol, "fairness:")]
		_, _, r := complete(t, without, binary)
		html, err := page.Render(page.Document{Cohort: r.Cohort, Model: r.Model.GLM, Audit: r.Audit})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(html), "not two groups") || strings.Contains(string(html), "NaN") || len(r.Audit.Groups) != 1 {
			t.Error("a page without groups")
		}
	}
}

func TestUnfinishedStudyHasNoPage(t *testing.T) {
	_, _, r := completed(t, false)
	if _, err := page.Render(page.Document{Cohort: r.Cohort}); err == nil {
		t.Error("rendered")
	}
	other := *r.Audit
	other.Study = "another"
	if _, err := page.Compare("x", r.Audit, &other, nil); err == nil {
		t.Error("compared two studies")
	}
}

// The audit of the whole comes from a coordinator that may lie.
func TestCompareSurvivesAnyAuditOfTheWhole(t *testing.T) {
	for _, binary := range []bool{false, true} {
		s, m, r := completed(t, binary)
		forecast, err := r.Model.Forecast(s, m)
		if err != nil {
			t.Fatal(err)
		}
		local, err := fairness.Local(s, r.Audit, m, forecast)
		if err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func(a *fairness.Audit){
			"no groups":        func(a *fairness.Audit) { a.Groups = nil },
			"a group less":     func(a *fairness.Audit) { a.Groups = a.Groups[1:] },
			"another group":    func(a *fairness.Audit) { a.Groups[1].Level = "another" },
			"another outcome":  func(a *fairness.Audit) { a.OutcomeType = "count" },
			"another study":    func(a *fairness.Audit) { a.Study = "another" },
			"groups in excess": func(a *fairness.Audit) { a.Groups = append(a.Groups, a.Groups...) },
		} {
			whole := *r.Audit
			whole.Groups = slices.Clone(whole.Groups)
			spoil(&whole)
			if _, err := page.Compare("x", &whole, local, nil); err == nil {
				t.Errorf("%s: compared", name)
			}
		}
		for name, spoil := range map[string]func(g *fairness.Group){
			"no figures": func(g *fairness.Group) { *g = fairness.Group{Attribute: g.Attribute, Level: g.Level} },
			"enormous figures": func(g *fairness.Group) {
				above := math.Nextafter(math.MaxFloat64, 0)
				for name := range g.Metrics {
					g.Metrics[name] = fairness.Metric{Estimate: math.MaxFloat64, Lower: &above}
				}
			},
			"neighbours": func(g *fairness.Group) {
				above := math.Nextafter(1e300, 2e300)
				for name := range g.Metrics {
					g.Metrics[name] = fairness.Metric{Estimate: 1e300, Lower: &above, Upper: &above}
				}
			},
			"tiny figures": func(g *fairness.Group) {
				for name := range g.Metrics {
					g.Metrics[name] = fairness.Metric{Estimate: math.SmallestNonzeroFloat64}
				}
			},
		} {
			whole, own := *r.Audit, *local
			whole.Groups, own.Groups = slices.Clone(whole.Groups), slices.Clone(local.Groups)
			for i := range whole.Groups {
				whole.Groups[i].Metrics = maps.Clone(whole.Groups[i].Metrics)
				spoil(&whole.Groups[i])
				own.Groups[i].Metrics = nil // so that the axis has the spoiled figures alone
			}
			if html, err := page.Compare("x", &whole, &own, nil); err == nil && len(html) > 1<<20 {
				t.Errorf("%s: a page of %d bytes", name, len(html))
			}
		}
	}
}

// Text has a contrast of at least 4.5 against what it stands on (WCAG 2.2,
// 1.4.3), computed from the style sheet's own colours.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("../../page/plot/style.css")
	if err != nil {
		t.Fatal(err)
	}
	colour := map[string]string{"white": "#ffffff", "stripe": "#f7f9fa", "note": "#eef6f6", "kind": "#d3ecec"}
	for _, m := range regexp.MustCompile(`--(\w+): (#[0-9a-f]{6})`).FindAllStringSubmatch(string(css), -1) {
		colour[m[1]] = m[2]
	}
	for _, pair := range [][2]string{
		{"ink", "paper"}, {"soft", "paper"}, {"soft", "wash"}, {"soft", "stripe"}, {"ink", "note"}, {"brand", "paper"},
		{"found", "paper"}, {"unsure", "stripe"}, {"none", "stripe"}, {"white", "brand"}, {"kind", "brand"}, {"kind", "deep"},
		{"white", "under"}, {"white", "over"}, {"purple", "paper"}, {"under", "paper"}, {"over", "paper"}, {"ink", "within"},
	} {
		if colour[pair[0]] == "" || colour[pair[1]] == "" {
			t.Fatalf("no colour for %v", pair)
		}
		if c := pagetest.Contrast(colour[pair[0]], colour[pair[1]]); c < 4.5 {
			t.Errorf("%s on %s: contrast %.2f", pair[0], pair[1], c)
		}
	}
}
