package study

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Error says what is wrong with a protocol file and where.
type Error struct {
	Line    int    // 1-based; 0 when the whole file is meant
	Key     string // dotted path of the key at fault, such as outcome.range; may be empty
	Message string
	Hint    string // what to do; may be empty
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.text()
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.text())
}

// In words the error for the file it was found in, in the form that editors
// and terminals turn into a link.
func (e *Error) In(file string) string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", file, e.text())
	}
	return fmt.Sprintf("%s:%d: %s", file, e.Line, e.text())
}

func (e *Error) text() string {
	if e.Hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.Hint
}

var (
	yamlLine = regexp.MustCompile(`^line (\d+): `)
	// yamlParser matches the complaints whose line the YAML package counts from
	// 0, at the beginning of the value that is at fault.
	yamlParser = regexp.MustCompile(`^(did not find expected (node content|key|',' or|'-' indicator|<)|found (duplicate|undefined))`)
	// starValue matches a value that begins with a star and has no quotes.
	starValue = regexp.MustCompile(`(?:[\[{,:]\s*|-\s+)(\*[^\s,\[\]{}"']+)`)
)

// tabbed is of a line that a tab indents, which YAML does not know and no eye sees.
func tabbed(line string) bool {
	return strings.Contains(line[:len(line)-len(strings.TrimLeft(line, " \t"))], "\t")
}

// syntaxError words a complaint of the YAML parser.
func syntaxError(src []byte, err error) *Error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	// An unquoted star allele is the commonest mistake by far: YAML reads it as a
	// reference to another part of the file.
	if strings.Contains(text, "unknown anchor") || strings.Contains(text, "alphabetic or numeric character") {
		for i, line := range strings.Split(string(src), "\n") {
			m := starValue.FindStringSubmatch(line)
			if m == nil || strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			return &Error{
				Line:    i + 1,
				Message: clip(m[1] + " without quotes is a YAML reference, not a value"),
				Hint:    clip(fmt.Sprintf("write %q", m[1])),
			}
		}
	}
	e := &Error{Line: 1}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
		if yamlParser.MatchString(text) {
			e.Line++
		}
	}
	e.Message = "not valid YAML: " + clip(text)
	if lines := strings.Split(string(src), "\n"); e.Line >= 1 && e.Line <= len(lines) && tabbed(lines[e.Line-1]) {
		e.Message, e.Hint = "not valid YAML: a tab indents the line", "indent with spaces"
	}
	return e
}
