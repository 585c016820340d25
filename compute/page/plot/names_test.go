package plot

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Every dot has its name, and no name stands on another, on a dot or outside of the
// chart, however the dots crowd.
func TestEveryDotHasItsName(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for try := range 60 {
		c := &Chart{X: XAxis(0, 1), Y: YAxis(0, 1)}
		spread := []float64{1, 0.2, 0.05, 0}[try%4]
		var dots []Named
		for i := range 2 + try%9 {
			at := XY{0.5 + spread*(random.Float64()-0.5), 0.5 + spread*(random.Float64()-0.5)}
			d := Named{at, 5, fmt.Sprintf("0.%d", i)}
			if i == 1 {
				d.Radius, d.Text = 8, "0.1, released"
			}
			dots = append(dots, d)
			c.Spans = append(c.Spans, c.Span(XY{0.1, at.Y}, XY{0.9, at.Y}))
		}
		c.NameDots(dots)
		for i, d := range dots {
			if !slices.ContainsFunc(c.Names, func(n Name) bool { return slices.Contains(strings.Split(n.Text, "; "), d.Text) }) {
				t.Errorf("%d: %s has no name", try, d.Text)
			}
			x, y := c.X.At(d.At.X), c.Y.At(d.At.Y)
			for _, n := range c.Names {
				if n.box().overlaps(box{x - d.Radius, y - d.Radius, x + d.Radius, y + d.Radius}) {
					t.Errorf("%d: %s covers dot %d", try, n.Text, i)
				}
			}
		}
		for i, n := range c.Names {
			if b := n.box(); b.left < chartLeft || b.right > 800 || b.top < 0 || b.bottom > chartBottom {
				t.Errorf("%d: %s is outside: %+v", try, n.Text, b)
			}
			for _, o := range c.Names[i+1:] {
				if n.box().overlaps(o.box()) {
					t.Errorf("%d: %s stands on %s", try, n.Text, o.Text)
				}
			}
		}
	}
}

// Dots at one place share a name, in their order.
func TestDotsAtOnePlaceShareAName(t *testing.T) {
	c := &Chart{X: XAxis(0, 1), Y: YAxis(0, 1)}
	c.NameDots([]Named{{XY{0.5, 0.5}, 5, "0"}, {XY{0.5, 0.5001}, 8, "0.5, released"}, {XY{0.9, 0.9}, 5, "1"}})
	var texts []string
	for _, n := range c.Names {
		texts = append(texts, n.Text)
	}
	if !slices.Equal(texts, []string{"0; 0.5, released", "1"}) {
		t.Errorf("%q", texts)
	}
}
