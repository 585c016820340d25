package records

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxRecordBytes bounds one record, so that a quotation mark that is never
// closed costs an error and not the machine's memory.
const maxRecordBytes = 1 << 20

// CSV is a source that reads a file of comma-separated values (RFC 4180) in
// UTF-8, with or without a byte order mark, whose first line names the columns.
// Semicolons or tabs may separate instead, if the first line has no commas.
// A record with too few or too many cells is left to the study, which skips it;
// quoting that does not close and a file that ends in the middle of a record are
// errors. A cut that falls exactly after a last cell cannot be seen.
func CSV(path string) Source { return csvSource(path) }

type csvSource string

func (c csvSource) name() string { return filepath.Base(string(c)) }

func (c csvSource) Open() (Rows, error) {
	return c.open(func(file io.Reader) io.Reader { return file })
}

// open opens the file, which is read through what through makes of it.
func (c csvSource) open(through func(file io.Reader) io.Reader) (Rows, error) {
	file, err := os.Open(string(c))
	if err != nil {
		return nil, fmt.Errorf("the records cannot be opened: %w", err)
	}
	rows, err := newCSVRows(c.name(), through(file))
	if err != nil {
		file.Close()
		return nil, err
	}
	rows.file = file
	return rows, nil
}

type csvRows struct {
	name    string
	file    io.Closer
	input   *metered
	reader  *csv.Reader
	columns []string
}

func newCSVRows(name string, input io.Reader) (*csvRows, error) {
	buffered := bufio.NewReaderSize(input, longestHeader)
	start, err := buffered.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s cannot be read: %w", name, err)
	}
	switch {
	case len(start) == 0:
		return nil, fmt.Errorf("%s is empty; its first line must name the columns", name)
	case bytes.Equal(start, []byte("\xef\xbb\xbf")):
		buffered.Discard(len(start)) // what was peeked is there
	case bytes.HasPrefix(start, []byte("\xff\xfe")), bytes.HasPrefix(start, []byte("\xfe\xff")):
		return nil, fmt.Errorf("%s is in UTF-16; save it as CSV in UTF-8", name)
	}
	comma, err := separator(name, buffered)
	if err != nil {
		return nil, err
	}
	r := readCSV(name, buffered)
	r.reader.Comma = comma
	header, err := r.Next()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is empty; its first line must name the columns", name)
	}
	if err != nil {
		return nil, err
	}
	r.columns = slices.Clone(header)
	return r, r.checkHeader()
}

func readCSV(name string, input io.Reader) *csvRows {
	r := &csvRows{name: name, input: &metered{input: input}}
	r.reader = csv.NewReader(r.input)
	r.reader.FieldsPerRecord = -1 // a wrong number of cells is the study's to count
	r.reader.ReuseRecord = true
	return r
}

func (r *csvRows) checkHeader() error {
	first := map[string]int{}
	for i, column := range r.columns {
		column = strings.TrimSpace(column)
		r.columns[i] = column
		if !utf8.ValidString(column) {
			return fmt.Errorf("%s line 1: the name of column %d is not in UTF-8; save the file as CSV in UTF-8", r.name, i+1)
		}
		if strings.Contains(column, "\r") {
			return fmt.Errorf("%s has lines that end in a carriage return only; save it with line feeds", r.name)
		}
		if at, again := first[column]; again && column != "" {
			return fmt.Errorf("%s line 1: columns %d and %d have the same name; rename one", r.name, at+1, i+1)
		}
		first[column] = i
	}
	return nil
}

func (r *csvRows) Columns() []string { return r.columns }
func (r *csvRows) Close() error      { return r.file.Close() }

func (r *csvRows) Next() ([]string, error) {
	r.input.limit = r.reader.InputOffset() + maxRecordBytes
	record, err := r.reader.Read()
	if err != nil {
		return nil, r.describe(err)
	}
	if len(record) < len(r.columns) && r.input.ended {
		line, _ := r.reader.FieldPos(0)
		return nil, fmt.Errorf("%s line %d: the file ends in the middle of this record; it looks cut short, export it again", r.name, line)
	}
	return record, nil
}

// describe words an error of the CSV reader without the text it is about.
func (r *csvRows) describe(err error) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return io.EOF
	case errors.Is(err, errRecordTooLong):
		return fmt.Errorf("%s: a record has more than %d bytes; look for a quotation mark that is never closed", r.name, maxRecordBytes)
	case !errors.As(err, &parse):
		return fmt.Errorf("%s cannot be read: %w", r.name, err)
	case errors.Is(parse.Err, csv.ErrQuote) && r.input.ended:
		return fmt.Errorf("%s: the record that begins on line %d has a quotation mark that is never closed; "+
			"the file may be cut short, export it again", r.name, parse.StartLine)
	default:
		return fmt.Errorf("%s line %d, byte %d: a quotation mark stands inside a cell; "+
			`write the cell in quotation marks with "" for each one inside`, r.name, parse.Line, parse.Column)
	}
}

func (r *csvRows) Format(f fmt.State, _ rune) { fmt.Fprint(f, redaction) }
func (r *csvRows) LogValue() slog.Value       { return slog.StringValue(redaction) }

var errRecordTooLong = errors.New("record too long")

// metered counts what is read, refuses to go far beyond the limit, and knows
// the end. The CSV reader asks for more only while it lacks the end of a line,
// so once it has been told the end, the record it returns is the last one and
// no line feed closes it.
type metered struct {
	input io.Reader
	total int64
	limit int64
	ended bool
}

func (m *metered) Read(p []byte) (int, error) {
	if m.total > m.limit {
		return 0, errRecordTooLong
	}
	n, err := m.input.Read(p)
	m.total += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		return n, nil // the end is told by itself, when it is asked for
	}
	m.ended = m.ended || errors.Is(err, io.EOF)
	return n, err
}
