package federation

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"math/rand/v2"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/page/paper"
	"github.com/consilium-fl/consilium/internal/records"
)

// A cohort with groups of all kinds: Alder and Birch are large, Cedar has seven
// patients, Dogwood none, and of Elm nobody has the outcome.
const rareGroups = `
study: rare
version: 1
title: A response and a rare group
outcome: %s
features:
  - {column: x, type: number, range: [-5, 5]}
model: {kind: glm, family: %s}
fairness:
  attributes:
    - {column: clan, levels: [Alder, Birch, Cedar, Dogwood, Elm]}
    - {column: sex, levels: [female, male]}
  disclosure: %s
`

// resident of the cohort, as a test knows it.
type resident struct {
	clan    string
	x, dose float64
	y       int
}

func rarePatients() (sites []Site, all []resident) {
	r := rand.New(rand.NewPCG(5, 1))
	cedar := 0
	for i, name := range []string{"Basel", "Bern", "Geneva", "Zug"} {
		var rows [][]string
		for k := range 120 {
			p := resident{clan: []string{"Alder", "Alder", "Birch", "Elm"}[r.IntN(4)], x: math.Round(1000*r.NormFloat64()) / 1000}
			if k%60 == 0 && cedar < 7 {
				p.clan, p.x = "Cedar", -3-math.Round(1000*r.Float64())/1000
				cedar++
			}
			if p.clan != "Elm" && p.x+r.NormFloat64() > 0.3 {
				p.y = 1
			}
			p.dose = math.Round(100*(30+4*p.x+3*r.NormFloat64())) / 100
			if p.clan == "Cedar" { // whose figures are nobody else's
				p.y, p.dose = min(cedar-1, 1), p.dose+30
			}
			rows = append(rows, []string{strconv.Itoa(p.y), fmt.Sprint(p.dose), fmt.Sprint(p.x), p.clan, []string{"female", "male"}[(k+i)%2]})
			all = append(all, p)
		}
		sites = append(sites, Site{Name: name, Records: records.Memory([]string{"y", "dose", "x", "clan", "sex"}, rows)})
	}
	return sites, all
}

// Rule: what is withheld is nowhere to be read, in no form: not as a count, a
// percentage, a share of all or a figure, of the small group or, under
// complementary disclosure, of the one that it is counted with; on the page of the
// audit, that of the result, the card, its XML, and all three as PDF. And the
// reader can tell withheld from undefined from nobody, in each of them.
func TestWithheldIsWithheldInEveryText(t *testing.T) {
	long(t)
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Log("pdftotext is not installed: what the PDFs say is not checked")
	}
	for _, kind := range []struct{ outcome, family, disclosure string }{
		{`{column: y, type: binary, positive: ["1"]}`, "binomial", "complementary"},
		{`{column: y, type: binary, positive: ["1"]}`, "binomial", "primary"},
		{`{column: dose, type: number, range: [0, 60], unit: mg}`, "gaussian", "complementary"},
		{`{column: dose, type: number, range: [0, 60], unit: mg}`, "gaussian", "primary"},
	} {
		t.Run(kind.family+" "+kind.disclosure, func(t *testing.T) {
			sites, all := rarePatients()
			r := run(t, Spec{Protocol: fmt.Appendf(nil, rareGroups, kind.outcome, kind.family, kind.disclosure), Sites: sites, Dir: t.TempDir(), Seed: 1})
			secret := figuresOf(t, r, all, "Cedar")
			if kind.disclosure == "complementary" {
				secret = append(secret, size(all, "Alder")) // the rest of Cedar
			}
			for where, lines := range texts(t, r) {
				for _, line := range lines {
					for _, figure := range secret {
						if holds(line, figure) {
							t.Errorf("%s shows %s: %s", where, figure, line)
						}
					}
				}
				toldApart(t, where, lines)
				if kind.family == "binomial" && undefinedIn(where, kind.disclosure) && !slices.ContainsFunc(lines, func(line string) bool {
					return strings.Contains(line, "Elm") && (strings.Contains(line, "not estimable") || strings.Contains(line, "no patient of the"))
				}) {
					t.Errorf("%s does not say what is undefined", where)
				}
			}
		})
	}
}

// figuresOf a group, by the released model, in the forms in which reports write
// numbers: those with three digits or more, but for none and all of the group.
func figuresOf(t *testing.T, r *Result, all []resident, clan string) (forms []string) {
	t.Helper()
	terms := r.Model.GLM.Terms
	if len(terms) != 2 || terms[1].Name != "x" {
		t.Fatalf("terms %+v", terms)
	}
	binary := r.Model.GLM.Family == "binomial"
	var n, positive, called, both, mean, bias, absolute, square, outcome float64
	for _, p := range all {
		if p.clan != clan {
			continue
		}
		predicted, y := terms[0].Estimate+terms[1].Estimate*p.x, p.dose
		if binary {
			predicted, y = 1/(1+math.Exp(-predicted)), float64(p.y)
		}
		n++
		outcome += y
		mean += predicted
		bias += predicted - y
		absolute += math.Abs(predicted - y)
		square += (predicted - y) * (predicted - y)
		if y == 1 {
			positive++
		}
		if predicted >= 0.5 {
			called++
			both += float64(p.y)
		}
	}
	share := func(part, whole float64) {
		if whole/10 < part && part < whole {
			forms = append(forms, fmt.Sprintf("%.1f%%", 100*part/whole))
		}
	}
	number := func(x float64) {
		for _, digits := range []int{3, 4} {
			if form := fmt.Sprintf("%.*f", digits, math.Abs(x)); math.Abs(x) > 0.1 {
				forms = append(forms, form)
			}
		}
	}
	share(n, float64(len(all)))
	number(bias / n)
	number(square / n)
	number(mean / n)
	if binary {
		share(positive, n)
		share(mean, n)
		share(both, positive)
		share(called-both, n-positive)
	} else {
		number(absolute / n)
		number(math.Sqrt(square / n))
		number(outcome / n)
		forms = append(forms, fmt.Sprintf("%.2f", absolute/n), fmt.Sprintf("%.2f", math.Sqrt(square/n)))
	}
	return forms
}

func size(all []resident, clan string) string {
	n := 0
	for _, p := range all {
		if p.clan == clan {
			n++
		}
	}
	return strconv.Itoa(n)
}

// holds reports whether a number stands in a text by itself.
func holds(line, number string) bool {
	return regexp.MustCompile(`(^|[^\d.])` + regexp.QuoteMeta(number) + `($|[^\d])`).MatchString(line)
}

// texts are what people read of a result, line by line: rows of tables, sentences
// and descriptions of drawings.
func texts(t *testing.T, r *Result) map[string][]string {
	t.Helper()
	all := map[string][]string{
		"the report": lines(r.Page), "the result": lines(r.ResultPage),
		"the card": strings.Split(string(r.Card), "\n"), "the card's XML": strings.Split(string(r.CardXML), "\n"),
	}
	tool, err := exec.LookPath("pdftotext")
	if err != nil {
		return all
	}
	set := func(page []byte) []byte {
		pdf, err := paper.Set(page, paper.About{Time: time.Unix(0, 0), Software: "test"})
		if err != nil {
			t.Fatal(err)
		}
		return pdf
	}
	for name, pdf := range map[string][]byte{"the report on paper": set(r.Page), "the result on paper": set(r.ResultPage), "the card on paper": r.CardPDF} {
		read := exec.Command(tool, "-layout", "-", "-")
		read.Stdin = bytes.NewReader(pdf)
		text, err := read.Output()
		if err != nil {
			t.Fatal(err)
		}
		all[name] = strings.Split(string(text), "\n")
	}
	return all
}

var (
	style = regexp.MustCompile(`(?s)<style.*?</style>`)
	ends  = regexp.MustCompile(`</(tr|p|li|dd|h1|h2|h3|text|title|figcaption|caption)>|\. `)
	tag   = regexp.MustCompile(`<[^>]*>`)
)

func lines(page []byte) []string {
	text := ends.ReplaceAllString(style.ReplaceAllString(string(page), ""), "\n")
	return strings.Split(html.UnescapeString(tag.ReplaceAllString(text, " ")), "\n")
}

// rules are what may be said of how many patients a figure needs.
var rules = regexp.MustCompile(`fewer than \d+`)

// undefinedIn says where the rates of those with the outcome stand by group: the
// card leaves out a rate that all groups have withheld.
func undefinedIn(where, disclosure string) bool {
	return where == "the report" || disclosure == "primary" && where == "the card"
}

// toldApart wants lines about a small group and an empty one to say so, each in
// other words, and the small one's to hold no number.
func toldApart(t *testing.T, where string, all []string) {
	t.Helper()
	small, nobody := 0, 0
	for i, line := range all {
		text := strings.Join(strings.Fields(line), " ")
		wrapped := func() bool { // on paper a name can end in the next line
			before := strings.Join(all[max(0, i-2):i], " ")
			first := "" // words of a narrow column
			for _, line := range all[max(0, i-2):i] {
				if words := strings.Fields(line); len(words) > 0 {
					first += words[0] + " "
				}
			}
			return strings.Contains(before, "Alder, with") || strings.Contains(before, "clan: Alder") || first == "Alder, with "
		}
		says := func(words ...string) bool {
			for _, w := range words {
				if strings.Contains(text, w) {
					return true
				}
			}
			return false
		}
		switch {
		case says("Alder, with Cedar", "Alder and Cedar", "levels:", "[Alder, Birch"), strings.Contains(where, "paper") && says("Cedar") && wrapped():
		case says("Cedar") && says("withheld", "hidden", "fewer than"):
			small++
			fallthrough
		case says("Cedar"):
			if strings.ContainsAny(rules.ReplaceAllString(text, ""), "0123456789") || says("no patients", "not estimable") {
				t.Errorf("%s, of a group of seven patients: %s", where, text)
			}
		case says("Dogwood"):
			if says("no patients", "Dogwood 0", "Dogwood | 0", "Dogwood group of the audit 0") {
				nobody++
			}
			if says("withheld", "hidden", "fewer than", "not estimable") {
				t.Errorf("%s, of a group of nobody: %s", where, text)
			}
		}
	}
	if small == 0 || nobody == 0 {
		t.Errorf("%s has %d lines that say what is withheld, %d that say who is nobody", where, small, nobody)
	}
}
