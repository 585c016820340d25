package records

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"testing"
)

// shapes are all the errors a file can cause, with # for numbers. An error that
// is none of them may have repeated what the file holds.
var shapes = []string{
	"f.csv is empty; its first line must name the columns",
	"f.csv is in UTF-#; save it as CSV in UTF-#",
	"f.csv line #: the name of column # is not in UTF-#; save the file as CSV in UTF-#",
	"f.csv line #: columns # and # have the same name; rename one",
	"f.csv line # has more than one of comma, semicolon and tab, so it is not clear which separates the columns; write a name that holds one in quotation marks, or save the file with commas",
	"f.csv has lines that end in a carriage return only; save it with line feeds",
	"f.csv line #: the file ends in the middle of this record; it looks cut short, export it again",
	"f.csv: a record has more than # bytes; look for a quotation mark that is never closed",
	"f.csv: the record that begins on line # has a quotation mark that is never closed; the file may be cut short, export it again",
	`f.csv line #, byte #: a quotation mark stands inside a cell; write the cell in quotation marks with "" for each one inside`,
}

var digits = regexp.MustCompile(`\d+`)

// FuzzCSV: no file panics, and no error repeats anything of the file.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("id,dose\n1,30\n"))
	f.Add([]byte("\xef\xbb\xbf\"id\",dose\r\n\"a\r\nb\",30\r\n"))
	f.Add([]byte("id;dose\r1;30\r"))
	f.Add([]byte("id,dose\n1,\"30"))
	f.Fuzz(func(t *testing.T, content []byte) {
		rows, err := newCSVRows("f.csv", bytes.NewReader(content))
		records := 0
		for err == nil {
			if records++; records > len(content)+1 {
				t.Fatal("more records than bytes")
			}
			_, err = rows.Next()
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if shape := digits.ReplaceAllString(err.Error(), "#"); !slices.Contains(shapes, shape) {
			t.Errorf("error %q is not one of the known shapes", shape)
		}
	})
}
