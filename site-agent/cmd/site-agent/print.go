package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// printf writes a line of the answer, unless the answer is JSON.
func (a *app) printf(format string, args ...any) {
	if !a.asJSON {
		fmt.Fprintf(a.stdout, format, args...)
	}
}

// notef tells the person at the terminal what is going on. It goes to standard
// error, so that standard output holds only the answer.
func (a *app) notef(format string, args ...any) {
	if !a.asJSON {
		fmt.Fprintf(a.stderr, format, args...)
	}
}

func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// table lines up columns. The first row is the heading.
func (a *app) table(rows [][]string) {
	if a.asJSON {
		return
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, "  "+strings.Join(row, "\t"))
	}
	w.Flush()
}

// onTerminal tells whether a stream is a person's screen.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// size writes a number of bytes for a person.
func size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1000*1000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1000*1000*1000:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// short abbreviates a digest to what a person types.
func short(digest string) string {
	if len(digest) > 12 {
		return digest[:12]
	}
	return digest
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
