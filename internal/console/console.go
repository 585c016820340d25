// Package console holds the conventions of all our commands, so that a person
// who has learned one of them knows how the next will behave.
//
// The answer goes to standard output, and everything said on the way to it goes
// to standard error. With --json the answer is JSON with stable keys, alone, and
// so is an error. An error is three lines: what happened, why, and what to type
// next. The exit code is 0 if it worked, 1 if it was asked properly and did not
// work, and 2 if the command line cannot be understood; a command that only holds
// others explains itself, and a word that is nearly a command is answered with
// the command.
//
// A message may repeat what a person typed, and a path. It never holds a value
// from a record: the errors that come in here do not, and nothing is added.
package console

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
)

// Console is where a command reads, answers and complains. Commands embed it in
// what they share.
type Console struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	JSON           bool // --json: answer in JSON and say nothing else
}

// Printf writes a part of the answer, unless the answer is JSON.
func (c *Console) Printf(format string, args ...any) {
	if !c.JSON {
		fmt.Fprintf(c.Stdout, format, args...)
	}
}

// Notef tells the person at the terminal what is going on. It goes to standard
// error, so that standard output holds only the answer.
func (c *Console) Notef(format string, args ...any) {
	if !c.JSON {
		fmt.Fprintf(c.Stderr, format, args...)
	}
}

// PrintJSON writes an answer as indented JSON.
func (c *Console) PrintJSON(v any) error { return WriteJSON(c.Stdout, v) }

// WriteJSON writes JSON for programs that a person can also read.
func WriteJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// PrintLine writes one JSON object on one line, for streams.
func (c *Console) PrintLine(v any) error {
	encoder := json.NewEncoder(c.Stdout)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// Table lines up columns, unless the answer is JSON. The first row is the
// heading.
func (c *Console) Table(rows [][]string) {
	if c.JSON {
		return
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	w.Flush()
}

// OnTerminal tells whether a stream is a person's screen.
func OnTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Size writes a number of bytes for a person.
func Size[N int | int64 | uint64](n N) string {
	switch x := float64(n); {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case x < 1e6:
		return fmt.Sprintf("%.1f kB", x/1e3)
	case x < 1e9:
		return fmt.Sprintf("%.1f MB", x/1e6)
	default:
		return fmt.Sprintf("%.1f GB", x/1e9)
	}
}

// Short abbreviates a digest to what a person types.
func Short(digest string) string { return digest[:min(len(digest), 12)] }

// Count writes a number with its noun, whose plural ends in s.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
