package plot

import (
	"math"
	"strconv"
	"strings"
)

// Number writes a number with four significant digits, without exponents where
// a person can do without them.
func Number(x float64) string {
	a := math.Abs(x)
	switch {
	case x == 0:
		return "0"
	case a >= 1e6 || a < 1e-4:
		return Minus(strconv.FormatFloat(x, 'g', 3, 64))
	case a >= 1000:
		return Minus(strconv.FormatFloat(x, 'f', 0, 64))
	}
	return Minus(strconv.FormatFloat(x, 'f', 3-int(math.Floor(math.Log10(a))), 64))
}

// Likelihood writes a log-likelihood, a deviance or an information criterion: of
// these, differences of one count, however large they are.
func Likelihood(x float64) string {
	if math.Abs(x) >= 1e9 {
		return Number(x)
	}
	return Minus(strconv.FormatFloat(x, 'f', 2, 64))
}

// Plain writes a number that somebody has declared, such as a range or a time,
// without the zeros that Number would add.
func Plain(x float64) string {
	if a := math.Abs(x); a >= 1e-4 && a < 1e7 {
		return Minus(strconv.FormatFloat(roundTo(x, 6), 'f', -1, 64))
	}
	return Number(x)
}

func roundTo(x float64, digits int) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	return rounded
}

// PValue writes a p-value; below 0.0001 its size says no more.
func PValue(p float64) string {
	if p < 1e-4 {
		return "<\u00a00.0001"
	}
	return strconv.FormatFloat(p, 'f', 4, 64)
}

// Percent writes a share.
func Percent(share float64) string {
	return Minus(strconv.FormatFloat(100*share, 'f', 1, 64)) + "%"
}

// Minus replaces the hyphen by the sign of the same width as plus.
func Minus(text string) string { return strings.ReplaceAll(text, "-", "−") }

// Grouped writes a count with thin spaces between thousands.
func Grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// Plural writes a count and its noun.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Grouped(n) + " " + many
}

// Short cuts a label that would run into the drawing. The whole label is in
// the drawing's description and in the tables.
func Short(label string) string {
	const most = 27
	runes := []rune(label)
	if len(runes) <= most {
		return label
	}
	return string(runes[:most-1]) + "…"
}
