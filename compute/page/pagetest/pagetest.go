// Package pagetest says what is wrong with a page of results, for the tests of
// whatever writes one. A page is read offline and archived, on paper and by a
// screen reader too: nothing in it runs or is fetched, every element is closed,
// every drawing has words, every table has headings (WCAG 2.2: 1.1.1, 1.3.1,
// 3.1.1).
package pagetest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var (
	foreign   = regexp.MustCompile(`(?i)<script|<link|<img|<iframe|<object|\son[a-z]+=|src=|href="[^#]|url\(|@import|javascript:|https?:`)
	unwritten = regexp.MustCompile(`ZgotmplZ|NaN|[^a-z]Inf\b|%!|<nil>|0xc0`)
	id        = regexp.MustCompile(`\sid="([^"]+)"`)
	reference = regexp.MustCompile(`aria-labelledby="([^"]+)"`)
	drawing   = regexp.MustCompile(`<svg[^>]*>`)
)

// Faults of a page; none if it is as it should be.
func Faults(page string) []string {
	var faults []string
	add := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if found := foreign.FindString(page); found != "" {
		add("it contains %q, which runs or is fetched", found)
	}
	if found := unwritten.FindString(page); found != "" {
		add("it has a value that could not be written: %s", found)
	}
	if err := wellFormed(page); err != nil {
		add("it is not well-formed: %v", err)
	}
	if !strings.Contains(page, `<html lang="en">`) || strings.Count(page, "<h1>") != 1 {
		add("it does not say its language, or has not one heading")
	}
	ids(page, add)
	drawings(page, add)
	tables(page, add)
	return faults
}

func wellFormed(page string) error {
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.Entity = true, xml.HTMLEntity
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// ids are unique, and whatever is referred to is there.
func ids(page string, add func(string, ...any)) {
	known := map[string]bool{}
	for _, m := range id.FindAllStringSubmatch(page, -1) {
		if known[m[1]] {
			add("id %s is there twice", m[1])
		}
		known[m[1]] = true
	}
	for _, m := range reference.FindAllStringSubmatch(page, -1) {
		for target := range strings.FieldsSeq(m[1]) {
			if !known[target] {
				add("%s is referred to and not there", target)
			}
		}
	}
}

// drawings have words, unless they only repeat what stands beside them.
func drawings(page string, add func(string, ...any)) {
	for _, svg := range drawing.FindAllString(page, -1) {
		spoken := strings.Contains(svg, `role="img"`) && strings.Contains(svg, "aria-label")
		if !spoken && !strings.Contains(svg, `aria-hidden="true"`) {
			add("a drawing has no words: %s", svg)
		}
	}
	if strings.Contains(page, "></desc>") || strings.Contains(page, "<title></title>") || strings.Contains(page, `aria-label=""`) {
		add("a drawing is described by nothing")
	}
}

// tables have headings with a scope, and rows as many cells as headings.
func tables(page string, add func(string, ...any)) {
	if strings.Contains(page, "<th>") || strings.Count(page, "<table") != strings.Count(page, "<thead>") {
		add("a heading of a table has no scope, or a table has no headings")
	}
	for part := range strings.SplitSeq(page, "<table>") {
		body, _, found := strings.Cut(part, "</table>")
		if !found || strings.Contains(body, "colspan") || strings.Contains(body, "rowspan") {
			continue
		}
		lines := strings.Split(body, "<tr>")
		if len(lines) < 2 {
			add("a table is empty")
			continue
		}
		want := strings.Count(lines[1], `scope="col"`)
		for _, line := range lines[2:] {
			if got := strings.Count(line, "<td") + strings.Count(line, `scope="row"`); got != want {
				add("a row of %d cells stands under %d headings: %s", got, want, line)
			}
		}
	}
}

// Contrast of two colours such as #0f2a30 (WCAG 2.2, 1.4.3): from 1 to 21.
func Contrast(a, b string) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func luminance(colour string) float64 {
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v, _ := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		c := float64(v) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
