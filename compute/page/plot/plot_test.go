package plot_test

import (
	"bytes"
	"html/template"
	"math"
	"regexp"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute/page/pagetest"
	"github.com/consilium-fl/consilium/compute/page/plot"
)

// Whatever the values, an axis has few ticks, and a value stands on it.
func TestAxesAreFinite(t *testing.T) {
	values := []float64{0, 1, -1, 5e-324, -5e-324, 1e-300, 1e300, -1e300, math.MaxFloat64, -math.MaxFloat64, math.Nextafter(1, 2), 1e15, 1e15 + 1}
	for _, lo := range values {
		for _, hi := range values {
			for _, axis := range []plot.Axis{plot.Linear(lo, hi, 100, 500), plot.Log(lo, hi, 100, 500), plot.XAxisTo(lo, hi).Percent()} {
				if len(axis.Ticks) > 40 {
					t.Errorf("%v to %v: %d ticks", lo, hi, len(axis.Ticks))
				}
				for _, v := range values {
					if at := axis.At(v); !(at >= 74 && at <= 784) {
						t.Errorf("%v on %v to %v stands at %v", v, lo, hi, at)
					}
				}
			}
		}
	}
}

func TestAxesEndAtWholeSteps(t *testing.T) {
	a := plot.Linear(0.3, 4.7, 0, 100)
	var labels []string
	for _, tick := range a.Ticks {
		labels = append(labels, tick.Label)
	}
	if strings.Join(labels, " ") != "0 1 2 3 4 5" || a.At(2.5) != 50 || a.At(-7) != 0 || a.Holds(6) {
		t.Errorf("ticks %v", labels)
	}
	b := plot.Log(0.5, 8, 0, 100)
	if math.Abs(b.At(2)-50) > 1e-9 || b.At(0) != 0 {
		t.Errorf("2 stands at %v between 0.5 and 8", b.At(2))
	}
}

// An interval much wider than the others does not make points of them: it ends
// at the edge, with an arrow.
func TestForestCutsOneEnormousInterval(t *testing.T) {
	f := plot.Forest("id", "t", "c", []plot.Estimate{
		{Label: "a", Value: 2, Lower: 1.5, Upper: 2.5, Text: "2"},
		{Label: "b", Value: 0.5, Lower: 1e-9, Upper: 1e9, Text: "0.5"},
	}, true)
	a, b := f.Rows[0].Dot, f.Rows[1].Dot
	if a.CutFrom || a.CutTo || !b.CutFrom || !b.CutTo || a.To-a.From < 10 || !(b.From < a.From) {
		t.Errorf("%+v %+v", a, b)
	}
	var page bytes.Buffer
	if err := plot.Add(template.New("x")).ExecuteTemplate(&page, "rows", f); err != nil || strings.Count(page.String(), `class="arrow"`) != 2 {
		t.Errorf("%v\n%s", err, &page)
	}
}

func TestNumbersAreWrittenForPeople(t *testing.T) {
	for _, x := range []struct{ got, want string }{
		{plot.Number(0), "0"}, {plot.Number(-1.23456), "−1.235"}, {plot.Number(12345.6), "12346"}, {plot.Number(0.00123456), "0.001235"},
		{plot.Number(1e-9), "1e−09"}, {plot.Plain(200), "200"}, {plot.Plain(-16), "−16"}, {plot.Plain(0.1 + 0.2), "0.3"}, {plot.Plain(0), "0"},
		{plot.Likelihood(-11694.815), "−11694.82"}, {plot.PValue(0.00001), "<\u00a00.0001"}, {plot.Percent(0.1234), "12.3%"},
		{plot.Grouped(1234567), "1\u202f234\u202f567"}, {plot.Plural(1, "hospital", "hospitals"), "1 hospital"},
	} {
		if x.got != x.want {
			t.Errorf("%q, want %q", x.got, x.want)
		}
	}
}

// The tints of the correlation table leave its numbers a contrast of at least
// 4.5 (WCAG 2.2, 1.4.3), and lines one of 3 against the page (1.4.11).
func TestContrastOfTintsAndLines(t *testing.T) {
	css := string(plot.Style())
	tints := regexp.MustCompile(`td\.([pn][1-5]) \{ background: (#[0-9a-f]{6})`).FindAllStringSubmatch(css, -1)
	if len(tints) != 10 {
		t.Fatalf("%d tints", len(tints))
	}
	colours := map[string]string{}
	for _, m := range regexp.MustCompile(`--(\w+): (#[0-9a-f]{6})`).FindAllStringSubmatch(css, -1) {
		colours[m[1]] = m[2]
	}
	for _, m := range tints {
		if c := pagetest.Contrast(colours["ink"], m[2]); c < 4.5 {
			t.Errorf("numbers on %s: contrast %.2f", m[1], c)
		}
	}
	lines := regexp.MustCompile(`svg \.line\.series\d \{ stroke: var\(--(\w+)\)`).FindAllStringSubmatch(css, -1)
	if len(lines) != 6 {
		t.Fatalf("%d looks of lines", len(lines))
	}
	for _, m := range lines {
		if c := pagetest.Contrast(colours[m[1]], "#ffffff"); c < 3 {
			t.Errorf("line of colour %s: contrast %.2f", m[1], c)
		}
	}
}

// A count has no half.
func TestWholeTicksOnly(t *testing.T) {
	for _, last := range []float64{1, 2, 3, 4, 7, 12, 60} {
		axis := plot.XAxisTo(1, last).Whole()
		if len(axis.Ticks) == 0 {
			t.Errorf("to %v: no tick is left", last)
		}
		for _, tick := range axis.Ticks {
			if strings.Contains(tick.Label, ".") {
				t.Errorf("to %v: a tick at %s", last, tick.Label)
			}
		}
	}
}
