package study

import (
	"slices"
	"strconv"
	"strings"
)

// parseNumber reads a decimal number. What strconv takes beyond that is not a
// number in a patient's record: NaN, Inf, hexadecimal, digits with underscores.
func parseNumber(text string) (float64, bool) {
	if text == "" {
		return 0, false
	}
	if v, ok := shortDecimal(text); ok {
		return v, true
	}
	for i := range len(text) {
		switch c := text[i]; {
		case '0' <= c && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil
}

// tens are the powers of ten of a short decimal's fraction.
var tens = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// shortDecimal reads what nearly every cell is: a sign, at most 15 digits, a
// decimal point. Digits and power of ten are float64 exactly, so their quotient
// is the number nearest to the decimal (Clinger, PLDI 1990), as strconv's.
func shortDecimal(text string) (float64, bool) {
	i := 0
	if len(text) > 0 && text[0] == '-' {
		i = 1
	}
	digits := len(text) - i
	if digits == 0 || digits > 16 {
		return 0, false
	}
	whole, negative := uint64(0), i == 1
	for ; i < len(text); i++ {
		d := text[i] - '0'
		if d > 9 {
			break
		}
		whole = 10*whole + uint64(d)
	}
	fraction := 0
	if i < len(text) {
		if text[i] != '.' {
			return 0, false
		}
		digits--
		fraction = len(text) - i - 1
		for i++; i < len(text); i++ {
			d := text[i] - '0'
			if d > 9 {
				return 0, false
			}
			whole = 10*whole + uint64(d)
		}
	}
	if digits == 0 || digits > 15 {
		return 0, false
	}
	x := float64(whole)
	if fraction > 0 {
		x /= tens[fraction]
	}
	if negative {
		x = -x
	}
	return x, true
}

// vocabulary maps the values of a cell to the index of what they mean. A cell
// has a value if it is the same text, or if both are the same number: a
// spreadsheet's "1.0" is a study's "1". Texts with leading zeros are codes, not
// numbers.
type vocabulary struct {
	texts   map[string]int
	numbers map[float64]int
}

func newVocabulary() *vocabulary {
	return &vocabulary{texts: map[string]int{}, numbers: map[float64]int{}}
}

// add reports whether the value was new.
func (v *vocabulary) add(value string, index int) bool {
	if _, taken := v.index(value); taken {
		return false
	}
	v.texts[value] = index
	if x, ok := valueNumber(value); ok {
		v.numbers[x] = index
	}
	return true
}

func (v *vocabulary) index(cell string) (int, bool) {
	if i, ok := v.texts[cell]; ok {
		return i, true
	}
	if len(v.numbers) == 0 {
		return 0, false
	}
	x, ok := valueNumber(cell)
	if !ok {
		return 0, false
	}
	i, ok := v.numbers[x]
	return i, ok
}

func valueNumber(text string) (float64, bool) {
	digits := strings.TrimLeft(text, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] != '.' {
		return 0, false
	}
	return parseNumber(text)
}

func vocabularyOf(values []string) *vocabulary {
	v := newVocabulary()
	for _, value := range values {
		v.add(value, 0)
	}
	return v
}

func vocabularyOfLevels(levels []Level) *vocabulary {
	v := newVocabulary()
	for i, level := range levels {
		for _, value := range level.Values {
			v.add(value, i)
		}
	}
	return v
}

// isMissing reports whether a trimmed cell says that nothing is known.
func isMissing(markers []string, cell string) bool {
	return cell == "" || slices.Contains(markers, cell)
}
