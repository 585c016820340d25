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
	yamlLine      = regexp.MustCompile(`^line (\d+): `)
	unknownAnchor = regexp.MustCompile(`unknown anchor '(.*)' referenced`)
)

// syntaxError words a complaint of the YAML parser. An unquoted star allele is
// by far the commonest: YAML reads it as a reference to another part of the
// file.
func syntaxError(src []byte, err error) *Error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		value := "*" + m[1]
		return &Error{
			Line:    lineOf(src, value),
			Message: fmt.Sprintf("%s without quotes is a YAML reference, not a value", value),
			Hint:    fmt.Sprintf("write %q", value),
		}
	}
	e := &Error{Message: "not valid YAML: " + text}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Message = "not valid YAML: " + text[len(m[0]):]
	}
	return e
}

// lineOf finds the first unquoted occurrence of a text, 0 if there is none.
func lineOf(src []byte, text string) int {
	for i, line := range strings.Split(string(src), "\n") {
		at := strings.Index(line, text)
		if at == 0 || at > 0 && line[at-1] != '"' && line[at-1] != '\'' {
			return i + 1
		}
	}
	return 0
}
