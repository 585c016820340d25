package paper

import (
	"strings"
)

// look is the look of words.
type look struct {
	family string // "mono", or empty for the text's own
	style  string // "B", "I", both or neither
	size   float64
	colour colour
	link   string
}

func (t look) font() string {
	if t.family == "" {
		return "go"
	}
	return t.family
}

func (t look) bold() look {
	if !strings.Contains(t.style, "B") {
		t.style = "B" + t.style
	}
	return t
}

func (t look) italic() look {
	if !strings.Contains(t.style, "I") {
		t.style += "I"
	}
	return t
}

// run is words of one look. "\n" alone breaks the line.
type run struct {
	words string
	look
}

// nbsp is a space that does not divide a line.
const nbsp = "\u00a0"

// substitutes stand for signs that the fonts do not have.
var substitutes = strings.NewReplacer("◆", "♦", "✓", "√", "\u202f", nbsp, "\u2009", nbsp, "⁻", "-", "‑", "-")

// shown writes a text with the signs that the fonts have.
func shown(text string) string { return substitutes.Replace(text) }

func isInline(name string) bool {
	switch name {
	case "strong", "b", "em", "i", "span", "small", "code", "a", "br", "sub", "sup", "time", "abbr":
		return true
	}
	return false
}

// runs gathers the words inside an element. What is not inline inside an inline
// element is a fault of the page.
func (s *sheet) runs(n *node, t look) []run {
	var out []run
	for _, c := range n.children {
		next := t
		switch c.name {
		case "":
			out = append(out, run{shown(c.words), t})
			continue
		case "strong", "b":
			next = t.bold()
		case "em", "i":
			next = t.italic()
		case "code":
			next.family, next.style, next.size = "mono", "", t.size*0.94
		case "a":
			if strings.HasPrefix(c.attr["href"], "https://") {
				next.link, next.colour = c.attr["href"], brand
			}
		case "small":
			next.size, next.style, next.colour = t.size*0.86, "", soft
			out = append(out, run{"\n", t})
		case "br":
			out = append(out, run{"\n", t})
			continue
		case "svg", "script":
			continue
		default:
			if isInline(c.name) {
				break
			}
			out = append(out, run{"\n", t})
		}
		if c.is("chip") {
			next = next.bold()
			next.size *= 0.94
		}
		if value, ok := readColour(s.style.of("any", c)["color"]); ok {
			next.colour = value
		}
		if c.is("digest") {
			next.family, next.style, next.size = "mono", "", t.size*0.9
		}
		inside := s.runs(c, next)
		if n.name == "td" && c.name == "small" && !c.is("words") {
			for i := range inside {
				inside[i].words = strings.Join(strings.Fields(inside[i].words), nbsp)
			}
		}
		out = append(out, inside...)
	}
	return out
}

// word is what stays together on a line.
type word struct {
	run
	width  float64
	spaced bool // a space before it, unless it begins a line
}

// textLine is a line of words.
type textLine struct {
	words  []word
	width  float64
	height float64
}

func heightOf(lines []textLine) (h float64) {
	for _, l := range lines {
		h += l.height
	}
	return h
}

// breaks says where a line may break; a space that holds words together is none.
func breaks(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' }

// words splits runs where a line may break.
func (s *sheet) words(runs []run) []word {
	var out []word
	spaced := false
	for _, r := range runs {
		if r.words == "\n" {
			out = append(out, word{run: r})
			spaced = false
			continue
		}
		s.SetFont(r.font(), r.style, r.size)
		if r.words != "" && strings.TrimLeft(r.words, " \t\r\n") != r.words {
			spaced = true
		}
		for i, text := range strings.FieldsFunc(r.words, breaks) {
			out = append(out, word{run{text, r.look}, s.GetStringWidth(text), spaced || i > 0})
			spaced = false
		}
		if r.words != "" && strings.TrimRight(r.words, " \t\r\n") != r.words {
			spaced = true
		}
	}
	return out
}

// gap is the width of the space before a word.
func (s *sheet) gap(w word) float64 {
	if !w.spaced {
		return 0
	}
	s.SetFont(w.font(), w.style, w.size)
	return s.GetStringWidth(" ")
}

// lines breaks runs into lines of at most a width. A word that is longer than a
// line, such as a digest, is divided.
func (s *sheet) lines(runs []run, width float64) []textLine {
	var out []textLine
	var now textLine
	end := func() {
		if len(now.words) > 0 {
			out = append(out, now)
		}
		now = textLine{}
	}
	for _, w := range s.words(runs) {
		if w.words == "\n" {
			end()
			continue
		}
		for w.width > width {
			head, tail := s.divide(w, width)
			if tail.words == "" {
				break
			}
			end()
			now.words, now.width, now.height = []word{head}, head.width, head.size*perPoint*leading
			end()
			w = tail
		}
		gap := s.gap(w)
		if len(now.words) > 0 && now.width+gap+w.width > width && w.spaced {
			end()
		}
		if len(now.words) == 0 {
			gap = 0
		}
		now.words = append(now.words, w)
		now.width += gap + w.width
		now.height = max(now.height, w.size*perPoint*leading)
	}
	end()
	return out
}

// divide cuts a word where a width ends.
func (s *sheet) divide(w word, width float64) (head, tail word) {
	s.SetFont(w.font(), w.style, w.size)
	runes := []rune(w.words)
	n := 1
	for n < len(runes) && s.GetStringWidth(string(runes[:n+1])) <= width {
		n++
	}
	head, tail = w, w
	head.words, tail.words = string(runes[:n]), string(runes[n:])
	head.width, tail.width = s.GetStringWidth(head.words), s.GetStringWidth(tail.words)
	tail.spaced = false
	return head, tail
}

// set writes runs between two edges, over pages if need be.
func (s *sheet) set(runs []run, left, right float64) { s.put(s.lines(runs, right-left), left, right) }

func (s *sheet) put(lines []textLine, left, right float64) {
	for _, l := range lines {
		s.need(l.height)
		s.line(l, left)
		s.SetY(s.GetY() + l.height)
	}
}

// line writes one at the present height.
func (s *sheet) line(l textLine, x float64) {
	base := s.GetY() + l.height*0.5 + l.height/leading*0.34
	for i, w := range l.words {
		if i > 0 {
			x += s.gap(w)
		}
		s.SetFont(w.font(), w.style, w.size)
		s.ink(w.colour)
		s.Text(x, base, w.words)
		if w.link != "" {
			s.LinkString(x, s.GetY(), w.width, l.height, w.link)
		}
		x += w.width
	}
}
