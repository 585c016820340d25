// Package paper sets a page of this project as a PDF, for those who archive,
// sign or print. It reads the page itself, so that paper says neither more nor
// less than the screen does, and a section that is added to a page is on paper
// the same day.
//
// It is no browser. It knows the elements that our pages are made of and the
// few rules of their style sheet that drawings need, and an element that it does
// not know is an error rather than a gap. The page is the accessible form: a
// PDF of this package has bookmarks, text that can be searched, and a language,
// but no tags for a screen reader.
//
// The fonts are inside: Go's, which have the letters of Latin, Greek and
// Cyrillic scripts. The same page and the same [About] give the same document,
// though not the same bytes: the library orders the tables inside a font anew
// each time. What is signed is the report, not its PDF.
package paper

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// About is what the file says of itself.
type About struct {
	Time     time.Time // of what the page is about; the file's date
	Software string    // that made it, with its version
	Notes    []Note    // further entries of the document's information
}

// Note is an entry of the document's information, such as a machine-readable
// form of what the page shows.
type Note struct{ Name, Value string }

// Set writes the page as a PDF on A4. The page must be one of this project's:
// well-formed, with its style inside.
func Set(page []byte, about About) ([]byte, error) {
	root, err := parse(page)
	if err != nil {
		return nil, fmt.Errorf("the page cannot be set on paper: %w", err)
	}
	body := root.find("body")
	if body == nil {
		return nil, errors.New("the page cannot be set on paper: it has no body")
	}
	style, title := "", ""
	if n := root.find("style"); n != nil {
		style = n.text()
	}
	if n := root.find("title"); n != nil {
		title = n.text()
	}
	s := newSheet(title, readStyle(style), about)
	s.block(body)
	out, err := s.bytes()
	if err != nil {
		return nil, fmt.Errorf("the page cannot be set on paper: %w", err)
	}
	return note(out, title, about)
}

// node is an element, or text if it has no name.
type node struct {
	name     string
	attr     map[string]string
	children []*node
	words    string
}

// parse reads the page. It is our own, and yet may hold other people's words, so
// its depth is bounded.
func parse(page []byte) (*node, error) {
	const deepest = 60
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.Entity = true, xml.HTMLEntity
	root := &node{name: "document"}
	open := []*node{root}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root, nil
		}
		if err != nil {
			return nil, err
		}
		top := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			n := &node{name: t.Name.Local, attr: make(map[string]string, len(t.Attr))}
			for _, a := range t.Attr {
				n.attr[a.Name.Local] = a.Value
			}
			top.children = append(top.children, n)
			if open = append(open, n); len(open) > deepest {
				return nil, errors.New("its elements lie too deep")
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.children = append(top.children, &node{words: string(t)})
		}
	}
}

// find gives the first element of that name, in the order of the text.
func (n *node) find(name string) *node {
	if n.name == name {
		return n
	}
	for _, c := range n.children {
		if found := c.find(name); found != nil {
			return found
		}
	}
	return nil
}

// all gives the children of that name.
func (n *node) all(name string) (out []*node) {
	for _, c := range n.children {
		if c.name == name {
			out = append(out, c)
		}
	}
	return out
}

func (n *node) text() string {
	if n.name == "" {
		return n.words
	}
	var b strings.Builder
	for _, c := range n.children {
		b.WriteString(c.text())
	}
	return b.String()
}

// is says whether the element is of a class.
func (n *node) is(class string) bool {
	for c := range strings.FieldsSeq(n.attr["class"]) {
		if c == class {
			return true
		}
	}
	return false
}
