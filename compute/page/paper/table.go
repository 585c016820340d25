package paper

import (
	"strconv"
	"strings"
)

// cell of a table that is being set.
type cell struct {
	node   *node
	head   bool
	column int
	span   int
	align  float64 // 0 left, 0.5 middle, 1 right
	fill   *colour
}

const padding = 1.3 // mm, beside and above a cell's words

// table sets rows under a head that is repeated on every page. Type becomes
// smaller until each column has room for its longest word.
func (s *sheet) table(n *node) {
	if caption := n.find("caption"); caption != nil {
		s.need(25)
		s.paragraph(caption, 8.5, soft)
	}
	var head, rows [][]cell
	columns := 0
	for _, part := range n.children {
		if part.name != "thead" && part.name != "tbody" {
			continue
		}
		for _, tr := range part.all("tr") {
			row, width := s.cells(tr)
			columns = max(columns, width)
			if part.name == "thead" {
				head = append(head, row)
			} else {
				rows = append(rows, row)
			}
		}
	}
	if columns == 0 {
		return
	}
	size := 8.5
	widths, fits := s.widths(append(head[:len(head):len(head)], rows...), columns, size)
	for !fits && size > 5 {
		size -= 0.5
		widths, fits = s.widths(append(head[:len(head):len(head)], rows...), columns, size)
	}
	start := 0.0 // height of the head and a row, which stay together
	for _, row := range head {
		start += s.rowHeight(row, widths, size)
	}
	if len(rows) > 0 {
		start += s.rowHeight(rows[0], widths, size)
	}
	s.need(min(start, bottom-margin))
	for i, row := range head {
		s.row(row, widths, size, i == len(head)-1)
	}
	for _, row := range rows {
		if s.GetY()+s.rowHeight(row, widths, size) > bottom {
			s.AddPage()
			s.SetY(margin)
			for i, h := range head {
				s.row(h, widths, size, i == len(head)-1)
			}
		}
		s.row(row, widths, size, false)
	}
	s.space(3)
}

func (s *sheet) cells(tr *node) (row []cell, columns int) {
	for _, c := range tr.children {
		if c.name != "td" && c.name != "th" {
			continue
		}
		span, err := strconv.Atoi(c.attr["colspan"])
		if err != nil || span < 1 || span > 100 {
			span = 1
		}
		at := cell{node: c, head: c.name == "th" && c.attr["scope"] != "row", column: columns, span: span, align: 1}
		switch {
		case c.attr["scope"] == "row", c.is("left"), c.is("hidden"):
			at.align = 0
		case c.is("heat"):
			at.align = 0.5
		}
		if c.name == "td" {
			if fill, ok := readColour(s.style.of("td", c)["background"]); ok {
				at.fill = &fill
			}
		}
		row, columns = append(row, at), columns+span
	}
	return row, columns
}

func (s *sheet) cellRuns(c cell, size float64) []run {
	t := look{size: size, colour: ink}
	if c.head {
		t = t.bold()
	}
	if c.node.is("hidden") {
		t, t.colour = t.italic(), soft
	}
	return s.runs(c.node, t)
}

// widths divides the width of the page among the columns: each gets what its
// longest word needs, and of the rest in proportion to what its lines would like.
func (s *sheet) widths(rows [][]cell, columns int, size float64) (out []float64, fits bool) {
	const longest = 45.0 // of a word that may be divided, such as a digest
	least, natural := make([]float64, columns), make([]float64, columns)
	for _, row := range rows {
		for _, c := range row {
			if c.span > 1 {
				continue
			}
			for _, l := range s.lines(s.cellRuns(c, size), 1e6) {
				natural[c.column] = max(natural[c.column], l.width)
				stuck := 0.0 // words that no space divides
				for _, w := range l.words {
					if w.spaced {
						stuck = 0
					}
					stuck += w.width
					least[c.column] = max(least[c.column], min(stuck, longest))
				}
			}
		}
	}
	room := s.right - s.left - 2*padding*float64(columns)
	var sumLeast, sumNatural float64
	for i := range columns {
		natural[i] = max(natural[i], least[i])
		sumLeast, sumNatural = sumLeast+least[i], sumNatural+natural[i]
	}
	out = make([]float64, columns)
	for i := range out {
		switch {
		case sumNatural <= room:
			out[i] = natural[i] + (room-sumNatural)/float64(columns)
		case sumLeast <= room:
			out[i] = least[i] + (room-sumLeast)*(natural[i]-least[i])/(sumNatural-sumLeast)
		default:
			out[i] = room * least[i] / sumLeast
		}
		out[i] += 2 * padding
	}
	return out, sumLeast <= room
}

func (s *sheet) cellLines(c cell, widths []float64, size float64) (lines []textLine, left, width float64) {
	left = s.left
	for _, w := range widths[:c.column] {
		left += w
	}
	for i := c.column; i < min(c.column+c.span, len(widths)); i++ {
		width += widths[i]
	}
	return s.lines(s.cellRuns(c, size), width-2*padding+0.01), left, width
}

func (s *sheet) rowHeight(row []cell, widths []float64, size float64) (height float64) {
	for _, c := range row {
		lines, _, _ := s.cellLines(c, widths, size)
		height = max(height, heightOf(lines))
	}
	return height + padding
}

// row sets one; one that is taller than a page goes on over its end.
func (s *sheet) row(row []cell, widths []float64, size float64, last bool) {
	height := s.rowHeight(row, widths, size)
	s.need(min(height, bottom-margin))
	y := s.GetY()
	for _, c := range row {
		lines, left, width := s.cellLines(c, widths, size)
		if c.fill != nil {
			s.fill(*c.fill)
			s.Rect(left, y, width, height, "F")
		}
		s.SetY(y + padding/2)
		for _, l := range lines {
			s.line(l, left+padding+c.align*(width-2*padding-l.width))
			s.SetY(s.GetY() + l.height)
		}
	}
	s.draw(hair)
	s.SetLineWidth(0.2)
	if last {
		s.draw(soft)
		s.SetLineWidth(0.35)
	}
	s.Line(s.left, y+height, s.right, y+height)
	s.SetY(y + height)
}

// number reads an attribute; what is missing is zero.
func (n *node) number(name string) float64 {
	x, err := strconv.ParseFloat(strings.TrimSpace(n.attr[name]), 64)
	if err != nil {
		return 0
	}
	return x
}
