package plot

import (
	"cmp"
	"math"
	"slices"
)

// Named is what a dot is called.
type Named struct {
	At     XY
	Radius float64 // of its dot
	Text   string
}

// Size of a name's letters, about.
const (
	letter     = 7.3
	nameHeight = 15.0
	nearby     = 7.0 // dots nearer than this share a name
)

// box is a rectangle that something stands in.
type box struct{ left, top, right, bottom float64 }

func (a box) overlaps(b box) bool {
	return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

// cuts reports whether a line goes through the box: the half of the line's way that
// is nearer is looked at until it is short.
func (a box) cuts(l Line) bool {
	if a.overlaps(box{min(l.X1, l.X2) - 0.5, min(l.Y1, l.Y2) - 0.5, max(l.X1, l.X2) + 0.5, max(l.Y1, l.Y2) + 0.5}) {
		if math.Hypot(l.X2-l.X1, l.Y2-l.Y1) < 4 {
			return true
		}
		x, y := (l.X1+l.X2)/2, (l.Y1+l.Y2)/2
		return a.cuts(Line{l.X1, l.Y1, x, y}) || a.cuts(Line{x, y, l.X2, l.Y2})
	}
	return false
}

// NameDots writes a name for every dot, none over another, over a dot, or out of
// the chart; dots that lie on each other share theirs. A name that has to stand
// away from its dot has a line to it. The largest dots have the best places, which
// are free of the other lines of the chart too where there are such.
func (c *Chart) NameDots(dots []Named) {
	var taken []box
	for _, d := range dots {
		x, y := c.X.At(d.At.X), c.Y.At(d.At.Y)
		taken = append(taken, box{x - d.Radius - 1, y - d.Radius - 1, x + d.Radius + 1, y + d.Radius + 1})
	}
	var leaders []Line
	named := c.shared(dots)
	slices.SortStableFunc(named, func(a, b Named) int { return cmp.Compare(b.Radius, a.Radius) })
	for _, d := range named {
		x, y := c.X.At(d.At.X), c.Y.At(d.At.Y)
		name, leader, found := c.place(x, y, d, taken, leaders)
		if !found {
			continue // a chart full of names has no place for more; the words say all
		}
		c.Names = append(c.Names, name)
		taken = append(taken, name.box())
		if leader != nil {
			leaders = append(leaders, *leader)
		}
	}
	c.Leaders = append(c.Leaders, leaders...)
}

// shared joins the names of dots that lie on each other.
func (c *Chart) shared(dots []Named) (out []Named) {
	for _, d := range dots {
		joined := false
		for i, o := range out {
			if !joined && math.Hypot(c.X.At(o.At.X)-c.X.At(d.At.X), c.Y.At(o.At.Y)-c.Y.At(d.At.Y)) < nearby {
				out[i].Text, out[i].Radius, joined = o.Text+"; "+d.Text, max(o.Radius, d.Radius), true
			}
		}
		if !joined {
			out = append(out, d)
		}
	}
	return out
}

func (n Name) box() box {
	return box{n.X, n.Y - nameHeight + 3, n.X + letter*float64(len([]rune(n.Text))), n.Y + 3}
}

// place is the nearest free place for a name, first beside its dot; a second look
// forgives what crosses only lines.
func (c *Chart) place(x, y float64, d Named, taken []box, leaders []Line) (name Name, leader *Line, found bool) {
	width := letter * float64(len([]rune(d.Text)))
	within := box{chartLeft, chartTop - 10, chartRight + 14, chartBottom}
	for _, strict := range []bool{true, false} {
		for _, away := range []float64{0, 16, 32, 48, 64, 90, 120, 160} {
			reach := d.Radius + 4 + away
			for _, angle := range []float64{-45, 45, -135, 135, -90, 90, 0, 180, -20, 20, -160, 160, -65, 65, -115, 115} {
				sin, cos := math.Sincos(angle * math.Pi / 180)
				// The near side of the name, or its middle where it stands above or below.
				leader = nil
				name = Name{X: x + reach*cos - width*(1-cos)/2, Y: y + reach*sin + 4 + 5*sin, Text: d.Text}
				b := name.box()
				free := b.left >= within.left && b.right <= within.right && b.top >= within.top && b.bottom <= within.bottom
				for _, t := range taken {
					free = free && !b.overlaps(t)
				}
				for _, l := range leaders {
					free = free && !b.cuts(l)
				}
				if strict {
					for _, l := range append(c.Spans, c.Lines...) {
						free = free && !b.cuts(l)
					}
				}
				if away > 0 {
					leader = &Line{x, y, min(max(x, b.left), b.right), min(max(y, b.top), b.bottom)}
				}
				if strict && leader != nil {
					for _, t := range taken {
						own := t.left < x && x < t.right && t.top < y && y < t.bottom
						free = free && (own || !t.cuts(*leader))
					}
				}
				if !free {
					continue
				}
				return name, leader, true
			}
		}
	}
	return name, nil, false
}
