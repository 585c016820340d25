package card

import (
	"bytes"
	_ "embed"
	"html/template"

	"github.com/consilium-fl/consilium/compute/page/plot"
)

//go:embed card.html
var cardHTML string

var page = template.Must(template.New("card").Funcs(template.FuncMap{"style": plot.Style, "clean": clean}).Parse(cardHTML))

// HTML writes the card as a page that stands alone: its style is inside, and
// there is no script and no link to another host.
func (c *Card) HTML() ([]byte, error) {
	p := &document{}
	c.read(p)
	var b bytes.Buffer
	if err := page.Execute(&b, p); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// document is the card as the template sees it.
type document struct {
	Title string
	Parts []section
	unstated
}

// section is what stands under one heading of the second order; the first has none.
type section struct {
	Heading  string
	Pieces   []piece
	Unstated string
}

// piece is a text, under a heading of the third order if it has one. A short
// one stands beside its name.
type piece struct {
	Heading, Name string
	Blocks        []shownBlock
	Listing       string
}

// shownBlock is a block with its fields where a template finds them.
type shownBlock struct {
	Paragraph string
	Items     []string
	Head      []string
	Rows      [][]string
}

func (d *document) title(title string) { d.Title, d.Parts = title, []section{{}} }
func (d *document) section(heading string) {
	d.end()
	d.Parts = append(d.Parts, section{Heading: heading})
}
func (d *document) say(t text) { d.put(piece{Blocks: blocks(t)}) }
func (d *document) end()       { d.Parts[len(d.Parts)-1].Unstated = d.take() }

func (d *document) under(heading, value string) {
	if t := stated(value); t.stated {
		d.put(piece{Heading: heading, Blocks: blocks(t)})
		return
	}
	d.add(heading)
}

func (d *document) line(name, value string) {
	if t := stated(value); t.stated {
		d.put(piece{Name: name, Blocks: blocks(t)})
		return
	}
	d.add(name)
}

func (d *document) listing(heading, value string) { d.put(piece{Heading: heading, Listing: value}) }

func (d *document) put(p piece) {
	last := &d.Parts[len(d.Parts)-1]
	last.Pieces = append(last.Pieces, p)
}

func blocks(t text) (out []shownBlock) {
	for _, b := range t.blocks {
		out = append(out, shownBlock{b.paragraph, b.items, b.head, b.rows})
	}
	return out
}
