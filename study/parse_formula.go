package study

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxInteractions is the most products that a file may list.
const MaxInteractions = 1000

// readInteractions reads pairs of features written a:b.
func (s *Study) readInteractions(r *reader, n *yaml.Node) {
	if n == nil || r.fault != nil {
		return
	}
	index := make(map[string]int, len(s.Features))
	for i, f := range s.Features {
		index[f.Column] = i
	}
	seen := map[[2]int]bool{}
	for i, element := range r.list(n, "model.interactions", MaxInteractions) {
		key := fmt.Sprintf("model.interactions[%d]", i)
		if element.Kind == yaml.MappingNode {
			r.fail(element, key, `write "a:b" without a space, or in quotes`, "%s must be a single value", key)
		}
		pair, ok := s.pair(r, element, key, index)
		if !ok {
			return
		}
		if pair[0] == pair[1] {
			r.fail(element, key, "for a bend, use splines", "%s: a feature has no product with itself", key)
		}
		if seen[pair] || seen[[2]int{pair[1], pair[0]}] {
			r.fail(element, key, "remove one of the two", "%s: the product is listed already", key)
		}
		seen[pair] = true
		s.Model.Interactions = append(s.Model.Interactions, Interaction{Features: pair[:]})
	}
}

// pair finds the two features of a:b. A column may have a colon in its name,
// so every colon is tried.
func (s *Study) pair(r *reader, n *yaml.Node, key string, index map[string]int) (pair [2]int, ok bool) {
	text := r.line(n, key, 2*maxNameBytes+3)
	if r.fault != nil {
		return pair, false
	}
	found := 0
	for i := range len(text) {
		if text[i] != ':' {
			continue
		}
		a, first := index[strings.TrimSpace(text[:i])]
		b, second := index[strings.TrimSpace(text[i+1:])]
		if first && second {
			pair, found = [2]int{a, b}, found+1
		}
	}
	if found == 1 {
		return pair, true
	}
	parts := strings.Split(text, ":")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	stranger := slices.IndexFunc(parts, func(part string) bool { _, known := index[part]; return !known })
	switch {
	case found > 1:
		r.fail(n, key, "rename a column", "%s: %q can be read in more than one way", key, text)
	case len(parts) == 1:
		r.fail(n, key, `write "a:b"`, "%s: %q is not a pair of features", key, text)
	case stranger >= 0:
		r.fail(n, key, s.nearestFeature(parts[stranger]), "%s: %q is not a feature", key, parts[stranger])
	default:
		r.fail(n, key, "list each pair", "%s: %q multiplies %d features; only pairs have a product", key, text, len(parts))
	}
	return pair, false
}

func (s *Study) nearestFeature(name string) string {
	var columns []string
	for _, f := range s.Features {
		columns = append(columns, f.Column)
	}
	if near := Nearest(name, columns); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "every part must be the column of a feature"
}

var splineText = regexp.MustCompile(`^spline\(\s*(.+?)\s*,\s*df:\s*([0-9]+)\s*\)$`)

// Degrees of freedom that a spline may have.
const (
	minDF = 2
	maxDF = 8
)

// readSplines reads numbers written spline(column, df: 4).
func (s *Study) readSplines(r *reader, n *yaml.Node) {
	if n == nil || r.fault != nil {
		return
	}
	for i, element := range r.list(n, "model.splines", MaxFeatures) {
		key := fmt.Sprintf("model.splines[%d]", i)
		var parts []string
		if element.Kind == yaml.ScalarNode {
			parts = splineText.FindStringSubmatch(r.line(element, key, 2*maxNameBytes))
		}
		if parts == nil {
			r.fail(element, key, `write "spline(age, df: 4)", with the quotes`, "%s is not a spline", key)
			return
		}
		f := slices.IndexFunc(s.Features, func(f Feature) bool { return f.Column == parts[1] })
		df, err := strconv.Atoi(parts[2])
		switch {
		case f < 0:
			r.fail(element, key, s.nearestFeature(parts[1]), "%s: %q is not a feature", key, parts[1])
		case s.Features[f].Type != Number:
			r.fail(element, key, "", "%s: %q is a category, which has no curve", key, parts[1])
		case err != nil || df < minDF || df > maxDF:
			r.fail(element, key, "", "%s: df must be a whole number from %d to %d", key, minDF, maxDF)
		case slices.ContainsFunc(s.Model.Splines, func(other Spline) bool { return other.Feature == f }):
			r.fail(element, key, "remove one of the two", "%s: %q has a spline already", key, parts[1])
		}
		if r.fault != nil {
			return
		}
		s.Model.Splines = append(s.Model.Splines, Spline{Feature: f, DF: df})
	}
}
