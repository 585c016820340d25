package paper

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// style is what drawings take from the page's style sheet: the palette, the
// rules for elements of an svg, and the colours of legends and cells.
type style struct {
	palette map[string]string
	rules   []rule
}

// rule sets properties of elements that have a name or classes, or both.
type rule struct {
	within  string // "svg", "legend" or "td"
	element string
	classes []string
	set     map[string]string
}

var (
	comment   = regexp.MustCompile(`(?s)/\*.*?\*/`)
	ruleShape = regexp.MustCompile(`([^{}]+)\{([^{}]*)\}`)
	variable  = regexp.MustCompile(`var\((--[a-z0-9-]+)\)`)
)

// readStyle reads what it knows of a style sheet and leaves the rest to screens.
func readStyle(css string) style {
	s := style{palette: map[string]string{}}
	css = comment.ReplaceAllString(css, "")
	for _, m := range ruleShape.FindAllStringSubmatch(css, -1) {
		set := map[string]string{}
		for property := range strings.SplitSeq(m[2], ";") {
			if name, value, ok := strings.Cut(property, ":"); ok {
				set[strings.TrimSpace(name)] = strings.TrimSpace(value)
			}
		}
		for selector := range strings.SplitSeq(m[1], ",") {
			s.add(strings.Fields(selector), set)
		}
	}
	for _, r := range s.rules {
		for name, value := range r.set {
			r.set[name] = variable.ReplaceAllStringFunc(value, func(v string) string { return s.palette[variable.FindStringSubmatch(v)[1]] })
		}
	}
	return s
}

func (s *style) add(selector []string, set map[string]string) {
	last := ""
	if len(selector) > 0 {
		last = selector[len(selector)-1]
	}
	element, classes, _ := strings.Cut(last, ".")
	r := rule{element: element, set: set}
	if classes != "" {
		r.classes = strings.Split(classes, ".")
	}
	switch {
	case len(selector) == 1 && last == ":root":
		for name, value := range set {
			s.palette[name] = value
		}
		return
	case len(selector) == 2 && selector[0] == "svg":
		r.within = "svg"
	case len(selector) == 2 && selector[0] == ".legend":
		r.within = "legend"
	case len(selector) == 1 && element == "td" && classes != "":
		r.within = "td"
	case len(selector) == 1 && element == "" && classes != "":
		r.within = "any"
	default:
		return
	}
	s.rules = append(s.rules, r)
}

// of gathers the properties of an element; a later rule wins.
func (s *style) of(within string, n *node) map[string]string {
	out := map[string]string{}
	for _, r := range s.rules {
		if r.within == within && (r.element == "" || r.element == n.name) && !slices.ContainsFunc(r.classes, func(c string) bool { return !n.is(c) }) {
			for name, value := range r.set {
				out[name] = value
			}
		}
	}
	return out
}

// colour is red, green and blue.
type colour [3]int

var (
	ink   = colour{22, 36, 47}
	soft  = colour{76, 91, 104}
	hair  = colour{213, 221, 227} // of lines between things
	brand = colour{11, 92, 99}
	wash  = colour{243, 246, 247}
)

// readColour reads #abc and #aabbcc.
func readColour(text string) (c colour, ok bool) {
	hex, found := strings.CutPrefix(strings.TrimSpace(text), "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	v, err := strconv.ParseUint(hex, 16, 24)
	if !found || len(hex) != 6 || err != nil {
		return c, false
	}
	return colour{int(v >> 16), int(v >> 8 & 255), int(v & 255)}, true
}
