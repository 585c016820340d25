package paper_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/consilium-fl/consilium/compute/page/paper"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

var about = paper.About{Time: time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC), Software: "consilium 1.2"}

// page wraps what a test is about as our pages do.
func page(main string) []byte {
	return []byte(`<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"/><title>Bias audit: Dosis für α&lt;β</title><style>` + string(plot.Style()) +
		`</style></head><body><a class="skip" href="#main">Skip</a><main id="main">` + main + `</main></body></html>`)
}

const everything = `<h1>Title</h1><p class="kind">kind</p><p>Words with <strong>weight</strong>, <em>stress</em>, <code>code</code>,
a <a href="https://example.org">link</a>, a <span class="chip found">◆ chip</span> and a digest <span class="digest">0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef</span>.</p>
<ul class="tiles"><li><strong>12</strong><span>patients</span></li></ul><p class="note">Mind this.</p>
<ul><li>one<ul><li>inside</li></ul></li></ul><ol><li>first</li></ol><ul class="findings"><li>found</li></ul>
<ul class="legend"><li><i class="under"></i>low</li><li><svg class="swatch" viewBox="0 0 40 10"><path class="line series1" d="M0 5H40"/></svg>line</li></ul>
<dl><dt>Study</dt><dd>name</dd></dl><pre>a command
and another</pre><details><summary>More</summary><p>inside</p></details>
<div class="scroll"><table><caption>A table</caption><thead><tr><th scope="col">Group</th><th scope="col">Value<small>unit</small></th></tr></thead>
<tbody><tr><th scope="row">a<small>level</small></th><td class="p3">1.5<small>1 to 2</small></td></tr><tr><td class="hidden" colspan="2">hidden</td></tr></tbody></table></div>
<h3>Figure</h3><figure><figcaption>What it is</figcaption><svg viewBox="0 0 800 100"><title>t</title><desc>d</desc>
<rect class="bar" x="1" y="2" width="30" height="8" rx="2"/><line class="all" x1="0" x2="9" y1="0" y2="9"/><circle class="dot" cx="4" cy="5" r="3"/>
<polygon class="own" points="1,2 3,4 5,6"/><path class="band series0" d="M1 2L3 4H5V6Z"/><g transform="translate(0 20)"><text x="5" y="5" text-anchor="middle">mid<tspan class="value" dx="9">v</tspan></text></g>
<text transform="rotate(-90 14 12)" x="1" y="2" font-style="italic">up</text></svg></figure>`

func TestAPageIsSet(t *testing.T) {
	out, err := paper.Set(page(everything), about)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out, []byte("/Type /Page\n")); n != 1 {
		t.Errorf("it has %d pages, want 1", n)
	}
	if !bytes.Contains(out, []byte("/Lang (en)")) {
		t.Error("its language is not said")
	}
	if _, err := exec.LookPath("pdftotext"); err != nil {
		t.Skip("pdftotext is not installed: that the words can be read is not checked")
	}
	read := exec.Command("pdftotext", "-", "-")
	read.Stdin = bytes.NewReader(out)
	text, err := read.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Words with weight, stress, code", "♦ chip", "Mind this.", "inside", "A table", "1 to 2", "What it is", "up", "Dosis für α<β", "1 of 1"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q cannot be read in it:\n%s", want, text)
		}
	}
}

func TestLongTablesAndWordsGoOnOnNewPages(t *testing.T) {
	var rows strings.Builder
	for i := range 200 {
		fmt.Fprintf(&rows, `<tr><th scope="row">%d</th><td>%s</td></tr>`, i, strings.Repeat("long", 60))
	}
	out, err := paper.Set(page(`<table><thead><tr><th>n</th><th>words</th></tr></thead><tbody>`+rows.String()+`</tbody></table>`), about)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(out, []byte("/Type /Page\n")); n < 5 || n > 60 {
		t.Errorf("200 long rows take %d pages", n)
	}
}

func TestWhatHasNoRuleIsRefused(t *testing.T) {
	for name, body := range map[string]string{
		"element":   `<marquee>x</marquee>`,
		"shape":     `<svg viewBox="0 0 10 10"><ellipse cx="1" cy="1" rx="1" ry="2"/></svg>`,
		"curve":     `<svg viewBox="0 0 10 10"><path class="line series0" d="M0 0C1 1 2 2 3 3"/></svg>`,
		"relative":  `<svg viewBox="0 0 10 10"><path class="line series0" d="m0 0"/></svg>`,
		"transform": `<svg viewBox="0 0 10 10"><g transform="scale(2)"></g></svg>`,
		"points":    `<svg viewBox="0 0 10 10"><polygon points="1,2 3"/></svg>`,
		"no box":    `<svg><line/></svg>`,
		"not a box": `<svg viewBox="0 0 NaN 10"><line/></svg>`,
		"unclosed":  `<p>x`,
		"too deep":  strings.Repeat("<div>", 100) + strings.Repeat("</div>", 100),
	} {
		if _, err := paper.Set(page(body), about); err == nil {
			t.Errorf("%s: it was set, and something on the page is not on paper", name)
		}
	}
	if _, err := paper.Set([]byte(`<html></html>`), about); err == nil {
		t.Error("a page without a body was set")
	}
}

func TestTheInformationIsFoundByItsName(t *testing.T) {
	const card = "<ModelCard>≥ 5 mg (per week) \\ 😀\r\n</ModelCard>"
	with := about
	with.Notes = []paper.Note{{"chaiMcXml", card}, {"chaiMcSoftwareId", "consilium"}}
	out, err := paper.Set(page("<p>x</p>"), with)
	if err != nil {
		t.Fatal(err)
	}
	// As a reader does: the last trailer, its cross references, the object.
	start := regexp.MustCompile(`startxref\s+(\d+)\s+%%EOF\s*$`).FindSubmatch(out)
	if start == nil {
		t.Fatal("there is no trailer at the end")
	}
	refs, _ := strconv.Atoi(string(start[1]))
	m := regexp.MustCompile(`^xref\n(\d+) 1\n(\d{10}) 00000 n \ntrailer\n<<\n/Size (\d+)\n/Root \d+ 0 R\n/Info (\d+) 0 R\n/Prev (\d+)\n`).FindSubmatch(out[refs:])
	if m == nil {
		t.Fatalf("the cross references are not where they are said to be: %.80q", out[refs:])
	}
	at, _ := strconv.Atoi(string(m[2]))
	if want := string(m[4]) + " 0 obj\n"; !bytes.HasPrefix(out[at:], []byte(want)) {
		t.Fatalf("at the offset there is %.20q, want %q", out[at:], want)
	}
	previous, _ := strconv.Atoi(string(m[5]))
	if !bytes.HasPrefix(out[previous:], []byte("xref")) {
		t.Error("the references before are not where they are said to be")
	}
	for name, want := range map[string]string{"chaiMcXml": card, "chaiMcSoftwareId": "consilium", "Producer": about.Software, "Title": "Bias audit: Dosis für α<β"} {
		v := regexp.MustCompile(`/` + name + ` <FEFF([0-9A-F]*)>`).FindSubmatch(out[at:])
		if v == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		raw, err := hex.DecodeString(string(v[1]))
		if err != nil {
			t.Fatal(err)
		}
		units := make([]uint16, len(raw)/2)
		for i := range units {
			units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
		}
		if got := string(utf16.Decode(units)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	with.Notes = []paper.Note{{"bad name /Root", ""}}
	if _, err := paper.Set(page("<p>x</p>"), with); err == nil {
		t.Error("an entry that would end its name was taken")
	}
}

func FuzzSet(f *testing.F) {
	f.Add(everything)
	f.Add(`<table><tbody><tr><td colspan="99">x</td></tr></tbody></table>`)
	f.Add(`<svg viewBox="0 0 1e4 1"><text dx="NaN">x</text></svg>`)
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 5000 {
			return
		}
		paper.Set(page(body), about) // no panic, and an end
	})
}
