package paper

import (
	"bytes"
	"fmt"
	"strings"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/goregular"
)

// Millimetres of A4, and points of type.
const (
	pageWidth, pageHeight = 210.0, 297.0
	margin                = 18.0
	bottom                = pageHeight - 20
	body                  = 9.5
	perPoint              = 25.4 / 72 // mm
	leading               = 1.42      // of a line, over the size of its type
)

// sheet is a document that is being set, from the top down.
type sheet struct {
	*fpdf.Fpdf
	style       style
	left, right float64
	fault       error
}

func newSheet(title string, style style, about About) *sheet {
	s := &sheet{Fpdf: fpdf.New("P", "mm", "A4", ""), style: style, left: margin, right: pageWidth - margin}
	s.SetMargins(margin, margin, margin)
	s.SetAutoPageBreak(false, 0)
	s.SetCatalogSort(true)
	s.SetCreationDate(about.Time.UTC())
	s.SetModificationDate(about.Time.UTC())
	s.SetProducer("", true)
	s.SetTitle(title, true)
	s.SetLang("en")
	s.AddUTF8FontFromBytes("go", "", goregular.TTF)
	s.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	s.AddUTF8FontFromBytes("go", "I", goitalic.TTF)
	s.AddUTF8FontFromBytes("go", "BI", gobolditalic.TTF)
	s.AddUTF8FontFromBytes("mono", "", gomono.TTF)
	s.AliasNbPages("{pages}")
	s.SetFooterFunc(func() {
		s.SetFont("go", "", 7.5)
		s.ink(soft)
		s.SetXY(margin, pageHeight-13)
		s.CellFormat(pageWidth-2*margin-25, 4, s.cut(shown(title), pageWidth-2*margin-30), "", 0, "L", false, 0, "")
		s.CellFormat(25, 4, fmt.Sprintf("%d of {pages}", s.PageNo()), "", 0, "R", false, 0, "")
	})
	s.AddPage()
	return s
}

func (s *sheet) bytes() ([]byte, error) {
	if s.fault != nil {
		return nil, s.fault
	}
	var b bytes.Buffer
	err := s.Output(&b)
	return b.Bytes(), err
}

func (s *sheet) ink(c colour)  { s.SetTextColor(c[0], c[1], c[2]) }
func (s *sheet) fill(c colour) { s.SetFillColor(c[0], c[1], c[2]) }
func (s *sheet) draw(c colour) { s.SetDrawColor(c[0], c[1], c[2]) }

// need begins a page unless so much of this one is left.
func (s *sheet) need(height float64) {
	if s.GetY()+height > bottom && s.GetY() > margin {
		s.AddPage()
		s.SetY(margin)
	}
}

func (s *sheet) space(height float64) {
	if s.GetY() > margin {
		s.SetY(s.GetY() + height)
	}
}

// cut shortens a text to a width.
func (s *sheet) cut(text string, width float64) string {
	for s.GetStringWidth(text) > width && text != "" {
		runes := []rune(strings.TrimSuffix(text, "…"))
		text = strings.TrimRight(string(runes[:len(runes)-1]), " ") + "…"
	}
	return text
}

// block sets an element that stands on its own lines.
func (s *sheet) block(n *node) {
	if s.fault != nil {
		return
	}
	switch n.name {
	case "script", "style", "nav":
	case "a": // beside blocks there is only the one that skips to the report
	case "body", "main", "header", "footer", "div", "section", "details", "form":
		s.container(n)
	case "h1":
		s.heading(n, 19, 3)
	case "h2":
		s.Bookmark(shown(n.text()), 0, -1)
		s.heading(n, 13, 5)
	case "h3", "summary":
		s.heading(n, 10.5, 3)
	case "p":
		s.paragraphOf(n)
	case "ul", "ol":
		s.list(n)
	case "dl":
		s.definitions(n)
	case "pre":
		s.listing(n)
	case "table":
		s.table(n)
	case "figure":
		s.container(n)
	case "figcaption":
		s.paragraph(n, 8.5, soft)
	case "svg":
		s.drawing(n)
	case "":
		if strings.TrimSpace(n.words) != "" {
			s.paragraph(&node{name: "p", children: []*node{n}}, body, ink)
		}
	default:
		s.fault = fmt.Errorf("there is no rule for <%s> outside a paragraph", n.name)
	}
}

func (s *sheet) container(n *node) {
	var blocks []*node
	for _, c := range n.children {
		if c.name != "" || strings.TrimSpace(c.words) != "" {
			blocks = append(blocks, c)
		}
	}
	for i, c := range blocks {
		if (c.name == "h2" || c.name == "h3") && i+1 < len(blocks) {
			s.need(20 + s.figureHeight(blocks[i+1:]))
		}
		s.block(c)
	}
}

// figureHeight is what a figure needs that follows a heading at once or after
// its legend, so that the three stay together.
func (s *sheet) figureHeight(after []*node) float64 {
	if after[0].is("legend") && len(after) > 1 {
		return 8 + s.figureHeight(after[1:])
	}
	if after[0].name != "figure" {
		return 0
	}
	height := 0.0
	for _, c := range after[0].children {
		switch c.name {
		case "figcaption":
			height += heightOf(s.lines(s.runs(c, look{size: 8.5}), s.right-s.left)) + 2
		case "svg":
			if width, tall, err := viewBox(c); err == nil {
				height += (s.right - s.left) * tall / width
			}
		case "ul":
			height += 8
		}
	}
	return min(height, bottom-margin-25)
}

func (s *sheet) heading(n *node, size, above float64) {
	s.need(size*perPoint*leading + 22)
	s.space(above)
	s.set(s.runs(n, look{style: "B", size: size, colour: ink}), s.left, s.right)
	s.space(1.2)
}

func (s *sheet) paragraphOf(n *node) {
	switch {
	case n.is("kind"):
		s.paragraph(n, 8, soft)
	case n.is("note"):
		s.note(n)
	case n.is("soft"):
		s.paragraph(n, 8.5, soft)
	default:
		s.paragraph(n, body, ink)
	}
}

func (s *sheet) paragraph(n *node, size float64, c colour) {
	s.set(s.runs(n, look{size: size, colour: c}), s.left, s.right)
	s.space(1.8)
}

// note is a paragraph with a bar beside it.
func (s *sheet) note(n *node) {
	lines := s.lines(s.runs(n, look{size: body, colour: ink}), s.right-s.left-5)
	height := heightOf(lines)
	s.need(height)
	s.fill(brand)
	s.Rect(s.left, s.GetY(), 0.9, height, "F")
	s.put(lines, s.left+4, s.right)
	s.space(2.2)
}

// list sets items, with whatever stands before each on the screen: a bullet, a
// number, the look of a line of a drawing, nothing.
func (s *sheet) list(n *node) {
	switch {
	case n.is("tiles"):
		s.tiles(n)
		return
	case n.is("legend"):
		s.legend(n)
		return
	}
	for i, item := range n.all("li") {
		mark, indent := "•", 4.5
		if n.name == "ol" {
			mark = fmt.Sprintf("%d.", i+1)
		}
		if n.is("findings") {
			mark, indent = "", 0
		}
		s.need(2 * body * perPoint * leading)
		if mark != "" {
			y := s.GetY()
			s.SetFont("go", "", body)
			s.ink(soft)
			s.Text(s.left, y+body*perPoint*1.07, mark)
		}
		s.left += indent
		s.item(item)
		s.left -= indent
		s.space(1)
	}
	s.space(1.2)
}

// item sets inline words up to a block inside, then the block.
func (s *sheet) item(n *node) {
	inline := &node{name: "p"}
	flush := func() {
		if strings.TrimSpace(inline.text()) != "" {
			s.set(s.runs(inline, look{size: body, colour: ink}), s.left, s.right)
		}
		inline = &node{name: "p"}
	}
	for _, c := range n.children {
		if c.name != "" && !isInline(c.name) {
			flush()
			s.block(c)
			continue
		}
		inline.children = append(inline.children, c)
	}
	flush()
}

// tiles sets the headline figures side by side.
func (s *sheet) tiles(n *node) {
	const across, gap, height = 4, 4.0, 21.0
	items := n.all("li")
	width := (s.right - s.left - gap*(across-1)) / across
	for i, item := range items {
		if i%across == 0 {
			s.need(height + gap)
		}
		x, y := s.left+float64(i%across)*(width+gap), s.GetY()
		s.draw(hair)
		s.SetLineWidth(0.25)
		s.RoundedRect(x, y, width, height, 1.5, "1234", "D")
		s.SetXY(x, y+1.8)
		for _, part := range item.children {
			switch part.name {
			case "strong":
				s.put(s.lines(s.runs(part, look{style: "B", size: 14, colour: ink}), width-6), x+3, x+width-3)
			case "span":
				s.put(s.lines(s.runs(part, look{size: 7.5, colour: soft}), width-6), x+3, x+width-3)
			}
		}
		s.SetY(y)
		if i%across == across-1 || i == len(items)-1 {
			s.SetY(y + height + gap)
		}
	}
}

// legend sets what the colours of a drawing mean.
func (s *sheet) legend(n *node) {
	s.SetFont("go", "", 8)
	x := s.left
	s.need(6)
	for _, item := range n.all("li") {
		words := shown(strings.Join(strings.Fields(item.text()), " "))
		width := s.GetStringWidth(words) + 10
		if x > s.left && x+width > s.right {
			x = s.left
			s.SetY(s.GetY() + 4.6)
		}
		y := s.GetY()
		for _, mark := range item.children {
			switch mark.name {
			case "i":
				s.swatch(mark, x, y+0.8)
			case "svg":
				s.drawn(mark, x, y+1, 5)
			}
		}
		s.SetFont("go", "", 8)
		s.ink(soft)
		s.Text(x+6, y+3.4, words)
		x += width + 2
	}
	s.SetY(s.GetY() + 6.5)
}

func (s *sheet) swatch(mark *node, x, y float64) {
	c, ok := readColour(s.style.of("legend", mark)["background"])
	if !ok {
		return
	}
	s.fill(c)
	switch {
	case mark.is("circle"):
		s.Circle(x+1.6, y+1.6, 1.5, "F")
	case mark.is("diamond"):
		s.Polygon([]fpdf.PointType{{X: x + 1.6, Y: y}, {X: x + 3.2, Y: y + 1.6}, {X: x + 1.6, Y: y + 3.2}, {X: x, Y: y + 1.6}}, "F")
	default:
		s.Rect(x, y, 3.2, 3.2, "F")
	}
}

// definitions sets terms beside what they stand for.
func (s *sheet) definitions(n *node) {
	const term = 42.0
	var below float64
	for _, c := range n.children {
		switch c.name {
		case "dt":
			s.need(3 * body * perPoint * leading)
			y := s.GetY()
			s.put(s.lines(s.runs(c, look{size: 8.5, colour: soft}), term-3), s.left, s.left+term)
			below = s.GetY()
			s.SetY(y)
		case "dd":
			s.put(s.lines(s.runs(c, look{size: 8.5, colour: ink}), s.right-s.left-term), s.left+term, s.right)
			s.SetY(max(s.GetY(), below) + 0.6)
			below = 0
		case "div":
			s.definitions(c)
		}
	}
	s.space(2)
}

// listing sets lines as they are; one that is too long goes on below.
func (s *sheet) listing(n *node) {
	for line := range strings.Lines(strings.Trim(n.text(), "\n")) {
		t := look{family: "mono", size: 8, colour: ink}
		lines := s.lines([]run{{strings.TrimRight(line, "\n"), t}}, s.right-s.left-6)
		for _, l := range lines {
			s.need(l.height)
			s.fill(wash)
			s.Rect(s.left, s.GetY(), s.right-s.left, l.height, "F")
			s.put([]textLine{l}, s.left+3, s.right)
		}
	}
	s.space(2.5)
}
