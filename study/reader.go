package study

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// reader walks a YAML tree strictly. It keeps the first fault; after that
// every method returns a zero value, so that the code that reads a section
// need not check after each key.
type reader struct{ fault *Error }

func (r *reader) fail(n *yaml.Node, key, hint, format string, args ...any) {
	if r.fault == nil {
		r.fault = &Error{Line: n.Line, Key: clip(key), Message: clip(fmt.Sprintf(format, args...)), Hint: clip(hint)}
	}
}

// clip keeps an overlong key or value of a hostile file out of messages.
func clip(text string) string {
	const most = 400
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// document parses exactly one YAML document without anchors, references and
// tags: a file that people approve by its digest says everything where it is
// read.
func (r *reader) document(src []byte) *yaml.Node {
	if !utf8.Valid(src) {
		r.fault = &Error{Message: "not a text file in UTF-8"}
		return nil
	}
	// People approve what they read: nothing may make it look otherwise.
	if at := bytes.IndexFunc(src, reordering); at >= 0 {
		r.fault = &Error{
			Line:    1 + bytes.Count(src[:at], []byte("\n")),
			Message: "an invisible character changes the direction of the text",
			Hint:    "remove it",
		}
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(src))
	var doc, next yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		r.fault = &Error{Message: "the file is empty"}
		return nil
	case err != nil:
		r.fault = syntaxError(src, err)
		return nil
	}
	switch err := decoder.Decode(&next); {
	case err == nil:
		r.fail(&next, "", "keep one study per file", "a second document begins here")
		return nil
	case !errors.Is(err, io.EOF):
		r.fault = syntaxError(src, err)
		return nil
	}
	r.plainYAML(&doc, 0)
	if r.fault != nil || len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

func reordering(c rune) bool { return unicode.Is(unicode.Bidi_Control, c) }

func (r *reader) plainYAML(n *yaml.Node, depth int) {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.fail(n, "", "write the value out, in quotes if it begins with * or &", "YAML anchors and references are not allowed")
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n, "", "leave the tag out", "the YAML tag %q is not allowed", n.Tag)
	case depth > 12:
		r.fail(n, "", "", "nested too deeply for a study")
	default:
		for _, child := range n.Content {
			r.plainYAML(child, depth+1)
		}
	}
}

// sectionOf are the keys that people look for elsewhere: what has a place of its
// own in a study is often written where it takes effect.
var sectionOf = map[string]string{
	"rounds": "schedule", "tolerance": "schedule", "deadline": "schedule",
	"minimum_cell": "fairness", "attributes": "fairness", "criteria": "fairness", "disclosure": "fairness",
	"minimum_contributors": "privacy", "threshold": "privacy",
	"learning_rate": "model", "trees": "model", "family": "model", "ridge": "model",
	"require": "cohort", "exclude_if": "cohort",
}

// section is a mapping whose keys are all known and different.
type section struct {
	*reader
	node   *yaml.Node
	path   string
	values map[string]*yaml.Node
}

// section reads a mapping. It never returns nil; after a fault it is empty.
func (r *reader) section(n *yaml.Node, path string, known ...string) *section {
	s := &section{reader: r, node: n, path: path, values: map[string]*yaml.Node{}}
	if n == nil || r.fault != nil {
		s.node = &yaml.Node{}
		return s
	}
	if n.Kind != yaml.MappingNode {
		what := "a study"
		if path != "" {
			what = path
		}
		r.fail(n, path, "", "%s must be keys with values (%s)", what, strings.Join(known, ", "))
		return s
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		switch {
		case key.Kind != yaml.ScalarNode:
			r.fail(key, path, "", "a key must be a word")
		case first[name] != 0:
			r.fail(key, s.key(name), "remove one of the two", "duplicate key %q, first on line %d", name, first[name])
		case !slices.Contains(known, name):
			hint := fmt.Sprintf("known here: %s", strings.Join(known, ", "))
			if near := Nearest(name, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			} else if place := sectionOf[name]; place != "" && path != place {
				hint = fmt.Sprintf("%s stands under %s; %s", name, place, hint)
			}
			r.fail(key, s.key(name), hint, "unknown key %q", name)
		}
		first[name] = key.Line
		s.values[name] = value
	}
	return s
}

func (s *section) key(name string) string {
	if s.path == "" {
		return name
	}
	return s.path + "." + name
}

func (s *section) has(name string) bool { return s.values[name] != nil }

// need is the value of a key that may not be absent.
func (s *section) need(name, why string) *yaml.Node {
	n := s.values[name]
	if n == nil {
		s.fail(s.node, s.key(name), why, "missing key %q", s.key(name))
	}
	return n
}

// refuse says why a key makes no sense beside another.
func (s *section) refuse(name, why string) {
	if n := s.values[name]; n != nil {
		s.fail(n, s.key(name), "remove it", "%s: %s", s.key(name), why)
	}
}

// choice is one of a few words; fallback if the key is absent.
func (s *section) choice(name, fallback string, words ...string) string {
	n := s.values[name]
	if n == nil || s.fault != nil {
		return fallback
	}
	word := s.text(n, s.key(name))
	if s.fault == nil && !slices.Contains(words, word) {
		hint := ""
		if near := Nearest(word, words); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		s.fail(n, s.key(name), hint, "%s: %q is not one of %s", s.key(name), word, strings.Join(words, ", "))
	}
	return word
}

// integer is a whole number between two bounds; fallback if the key is absent.
func (s *section) integer(name string, fallback, low, high int) int {
	n := s.values[name]
	if n == nil || s.fault != nil {
		return fallback
	}
	return s.whole(n, s.key(name), low, high)
}

// real is a number between two bounds; fallback if the key is absent.
func (s *section) real(name string, fallback, low, high float64) float64 {
	n := s.values[name]
	if n == nil || s.fault != nil {
		return fallback
	}
	v := s.number(n, s.key(name))
	if s.fault == nil && !(Range{low, high}).Contains(v) {
		s.fail(n, s.key(name), "", "%s must be from %s to %s", s.key(name), decimal(low), decimal(high))
	}
	return v
}

// decimal writes 1e12 as people do.
func decimal(x float64) string {
	return strings.NewReplacer("e+0", "e", "e+", "e", "e-0", "e-").Replace(strconv.FormatFloat(x, 'g', -1, 64))
}

// text is a scalar of at most maxNameBytes as written, without surrounding
// spaces.
func (r *reader) text(n *yaml.Node, key string) string { return r.line(n, key, maxNameBytes) }

func (r *reader) line(n *yaml.Node, key string, most int) string {
	switch {
	case n == nil || r.fault != nil:
		return ""
	case n.Kind != yaml.ScalarNode:
		r.fail(n, key, "", "%s must be a single value", key)
		return ""
	case n.Tag == "!!null":
		r.fail(n, key, "write a value, in quotes if the word null is meant", "%s has no value", key)
		return ""
	}
	text := strings.TrimSpace(n.Value)
	if len(text) > most {
		r.fail(n, key, "", "%s is longer than %d bytes", key, most)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		r.fail(n, key, "", "%s holds a control character", key)
	}
	return text
}

// name is a text that is not empty.
func (r *reader) name(n *yaml.Node, key string) string {
	text := r.text(n, key)
	if n != nil && text == "" {
		r.fail(n, key, "", "%s is empty", key)
	}
	return text
}

// whole is a whole number between two bounds.
func (r *reader) whole(n *yaml.Node, key string, low, high int) int {
	v, err := strconv.Atoi(r.text(n, key))
	if err != nil || v < low || v > high {
		r.fail(n, key, "", "%s must be a whole number from %d to %d", key, low, high)
	}
	return v
}

// number is a finite decimal number.
func (r *reader) number(n *yaml.Node, key string) float64 {
	if n == nil || r.fault != nil {
		return 0
	}
	v, ok := parseNumber(r.text(n, key))
	if !ok {
		r.fail(n, key, "", "%s must be a number", key)
	}
	return v
}

// list is a sequence of at least one and at most most elements.
func (r *reader) list(n *yaml.Node, key string, most int) []*yaml.Node {
	switch {
	case n == nil || r.fault != nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		r.fail(n, key, "write [a, b]", "%s must be a list", key)
		return nil
	case len(n.Content) == 0:
		r.fail(n, key, "", "%s is an empty list", key)
		return nil
	case len(n.Content) > most:
		r.fail(n, key, "", "%s has %d elements, more than %d", key, len(n.Content), most)
		return nil
	}
	return n.Content
}

// texts is a list of different texts.
func (r *reader) texts(n *yaml.Node, key string, most int) []string {
	var texts []string
	for i, element := range r.list(n, key, most) {
		text := r.text(element, fmt.Sprintf("%s[%d]", key, i))
		if slices.Contains(texts, text) {
			r.fail(element, key, "remove one of the two", "%s lists %q twice", key, text)
		}
		texts = append(texts, text)
	}
	return texts
}
