package paper

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"codeberg.org/go-pdf/fpdf"
)

// drawing sets a figure as wide as the text.
func (s *sheet) drawing(n *node) {
	_, height, err := viewBox(n)
	if err != nil {
		s.fault = err
		return
	}
	width, _, _ := viewBox(n)
	tall := (s.right - s.left) * height / width
	s.need(min(tall, bottom-margin))
	s.drawn(n, s.left, s.GetY(), s.right-s.left)
	s.SetY(s.GetY() + tall + 3)
}

// viewBox is the width and the height of a drawing in its own units.
func viewBox(n *node) (width, height float64, err error) {
	f := strings.Fields(n.attr["viewBox"])
	if len(f) == 4 && f[0] == "0" && f[1] == "0" {
		width, _ = strconv.ParseFloat(f[2], 64)
		height, _ = strconv.ParseFloat(f[3], 64)
	}
	if !(width > 0 && height > 0 && width < 1e5 && height < 1e5) {
		return 0, 0, fmt.Errorf("a drawing has the view box %q", n.attr["viewBox"])
	}
	return width, height, nil
}

// drawn draws at a place, scaled to a width.
func (s *sheet) drawn(n *node, x, y, wide float64) {
	width, _, err := viewBox(n)
	if err != nil {
		s.fault = err
		return
	}
	d := &drawing{sheet: s, scale: wide / width, x: x, y: y}
	for _, c := range n.children {
		d.element(c)
	}
}

// drawing maps a figure's units to the page.
type drawing struct {
	*sheet
	scale, x, y float64
}

func (d *drawing) at(x, y float64) (float64, float64) { return d.x + x*d.scale, d.y + y*d.scale }

func (d *drawing) element(n *node) {
	if d.fault != nil || n.name == "" || n.name == "title" || n.name == "desc" {
		return
	}
	if t := n.attr["transform"]; t != "" {
		d.moved(n, t)
		return
	}
	p := d.style.of("svg", n)
	if o, err := strconv.ParseFloat(p["opacity"], 64); err == nil {
		d.SetAlpha(o, "Normal")
		defer d.SetAlpha(1, "Normal")
	}
	switch n.name {
	case "g":
		for _, c := range n.children {
			d.element(c)
		}
	case "text":
		d.text(n, p)
	case "line":
		if _, seen := d.paint(p); seen {
			x1, y1 := d.at(n.number("x1"), n.number("y1"))
			x2, y2 := d.at(n.number("x2"), n.number("y2"))
			d.Line(x1, y1, x2, y2)
		}
	case "rect":
		x, y := d.at(n.number("x"), n.number("y"))
		if filled, _ := d.paint(p); filled {
			d.Rect(x, y, n.number("width")*d.scale, n.number("height")*d.scale, "F")
		}
	case "circle":
		x, y := d.at(n.number("cx"), n.number("cy"))
		d.shape(p, func(how string) { d.Circle(x, y, n.number("r")*d.scale, how) })
	case "polygon", "polyline":
		points, err := d.points(n.attr["points"])
		if err != nil {
			d.sheet.fault = err
			return
		}
		d.shape(p, func(how string) { d.Polygon(points, how) })
	case "path":
		d.path(n.attr["d"], p)
	default:
		d.sheet.fault = fmt.Errorf("there is no rule for <%s> in a drawing", n.name)
	}
}

// shape fills, strokes or both.
func (d *drawing) shape(p map[string]string, draw func(how string)) {
	filled, stroked := d.paint(p)
	switch {
	case filled && stroked:
		draw("FD")
	case filled:
		draw("F")
	case stroked:
		draw("D")
	}
}

// paint sets colours and line, and says what there is to paint with. As on a
// screen, what has no fill is black and what has no stroke has none.
func (d *drawing) paint(p map[string]string) (filled, stroked bool) {
	d.fill(ink)
	if c, ok := readColour(p["fill"]); ok {
		d.fill(c)
	}
	if c, ok := readColour(p["stroke"]); ok {
		d.draw(c)
		stroked = true
	}
	wide, err := strconv.ParseFloat(strings.TrimSuffix(p["stroke-width"], "px"), 64)
	if err != nil {
		wide = 1
	}
	d.SetLineWidth(wide * d.scale)
	d.SetLineCapStyle("butt")
	if p["stroke-linecap"] == "round" {
		d.SetLineCapStyle("round")
	}
	var dashes []float64
	for f := range strings.FieldsSeq(strings.ReplaceAll(p["stroke-dasharray"], ",", " ")) {
		if x, err := strconv.ParseFloat(f, 64); err == nil {
			dashes = append(dashes, x*d.scale)
		}
	}
	d.SetDashPattern(dashes, 0)
	return p["fill"] != "none", stroked
}

// moved draws an element under its transform.
func (d *drawing) moved(n *node, transform string) {
	plain := &node{name: n.name, attr: map[string]string{}, children: n.children}
	for name, value := range n.attr {
		if name != "transform" {
			plain.attr[name] = value
		}
	}
	call, args, _ := strings.Cut(strings.TrimSuffix(transform, ")"), "(")
	v, err := numbers(args)
	switch {
	case err == nil && call == "translate" && len(v) == 2:
		inner := *d
		inner.x, inner.y = d.at(v[0], v[1])
		inner.element(plain)
	case err == nil && call == "rotate" && len(v) == 3:
		x, y := d.at(v[1], v[2])
		d.TransformBegin()
		d.TransformRotate(-v[0], x, y)
		d.element(plain)
		d.TransformEnd()
	default:
		d.sheet.fault = fmt.Errorf("a drawing has the transform %q", transform)
	}
}

// text writes words at their anchor, with the looks of their spans.
func (d *drawing) text(n *node, p map[string]string) {
	type span struct {
		words string
		look  look
		dx    float64
	}
	var spans []span
	add := func(c *node, words string, p map[string]string) {
		if words = shown(strings.Join(strings.Fields(words), " ")); words != "" {
			spans = append(spans, span{words, d.look(n, p), c.number("dx") * d.scale})
		}
	}
	for _, c := range n.children {
		if c.name == "tspan" {
			own := d.style.of("svg", c)
			for name, value := range p {
				if _, set := own[name]; !set {
					own[name] = value
				}
			}
			add(c, c.text(), own)
			continue
		}
		add(&node{}, c.text(), p)
	}
	var width float64
	for _, sp := range spans {
		d.SetFont(sp.look.font(), sp.look.style, sp.look.size)
		width += sp.dx + d.GetStringWidth(sp.words)
	}
	x, y := d.at(n.number("x")+n.number("dx"), n.number("y")+n.number("dy"))
	switch n.attr["text-anchor"] {
	case "middle":
		x -= width / 2
	case "end":
		x -= width
	}
	for _, sp := range spans {
		d.SetFont(sp.look.font(), sp.look.style, sp.look.size)
		d.ink(sp.look.colour)
		d.Text(x+sp.dx, y, sp.words)
		x += sp.dx + d.GetStringWidth(sp.words)
	}
}

var pixels = regexp.MustCompile(`([0-9.]+)px`)

func (d *drawing) look(n *node, p map[string]string) look {
	t := look{size: 14, colour: ink}
	for _, name := range []string{"font", "font-size"} {
		if m := pixels.FindStringSubmatch(p[name]); m != nil {
			if x, err := strconv.ParseFloat(m[1], 64); err == nil {
				t.size = x
			}
		}
	}
	t.size *= d.scale / perPoint
	if w, err := strconv.Atoi(p["font-weight"]); err == nil && w >= 600 {
		t = t.bold()
	}
	if p["font-style"] == "italic" || n.attr["font-style"] == "italic" {
		t = t.italic()
	}
	if c, ok := readColour(p["fill"]); ok {
		t.colour = c
	}
	return t
}

// path draws straight lines: M, L, H, V and Z in absolute coordinates.
func (d *drawing) path(data string, p map[string]string) {
	filled, stroked := d.paint(p)
	if !filled && !stroked || data == "" {
		return
	}
	var x, y float64
	for _, m := range pathStep.FindAllStringSubmatch(data, -1) {
		v, err := numbers(m[2])
		if err != nil {
			d.sheet.fault = err
			return
		}
		pairs := m[1] == "M" || m[1] == "L"
		if pairs && (len(v) == 0 || len(v)%2 != 0) {
			d.sheet.fault = fmt.Errorf("a path of a drawing has the step %q", m[0])
			return
		}
		switch {
		case pairs:
			for i := 0; i < len(v); i += 2 {
				x, y = v[i], v[i+1]
				d.to(m[1] == "M" && i == 0, x, y)
			}
		case m[1] == "H" && len(v) == 1:
			x = v[0]
			d.to(false, x, y)
		case m[1] == "V" && len(v) == 1:
			y = v[0]
			d.to(false, x, y)
		case m[1] == "Z":
			d.ClosePath()
		default:
			d.sheet.fault = fmt.Errorf("a path of a drawing has the step %q", m[0])
			return
		}
	}
	switch {
	case filled && stroked:
		d.DrawPath("FD")
	case filled:
		d.DrawPath("F")
	default:
		d.DrawPath("D")
	}
}

var pathStep = regexp.MustCompile(`([A-Za-z])([^A-Za-z]*)`)

func (d *drawing) to(move bool, x, y float64) {
	x, y = d.at(x, y)
	if move {
		d.MoveTo(x, y)
		return
	}
	d.LineTo(x, y)
}

func (d *drawing) points(text string) ([]fpdf.PointType, error) {
	v, err := numbers(text)
	if err != nil || len(v)%2 != 0 {
		return nil, fmt.Errorf("a polygon of a drawing has the points %q", text)
	}
	var out []fpdf.PointType
	for i := 0; i < len(v); i += 2 {
		x, y := d.at(v[i], v[i+1])
		out = append(out, fpdf.PointType{X: x, Y: y})
	}
	return out, nil
}

func numbers(text string) (out []float64, err error) {
	for f := range strings.FieldsSeq(strings.ReplaceAll(text, ",", " ")) {
		x, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return nil, fmt.Errorf("a drawing has %q for a number", f)
		}
		out = append(out, x)
	}
	return out, nil
}
