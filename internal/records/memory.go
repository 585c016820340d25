package records

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Memory is a source of rows that are in memory already. They are copied, all
// cells of a row into one text: millions of cells that are strings each would be
// gone through again by every collection of garbage.
func Memory(columns []string, rows [][]string) Source {
	packed := packedRows{texts: make([]string, len(rows)), first: make([]int, 1, len(rows)+1)}
	for i, row := range rows {
		packed.texts[i] = strings.Join(row, "")
		end := 0
		for _, cell := range row {
			end += len(cell)
			packed.ends = append(packed.ends, end)
		}
		packed.first = append(packed.first, len(packed.ends))
	}
	return &memory{columns, packed.appendRow}
}

// packedRows keep the cells of a row one after another: the k-th of row i ends
// at ends[first[i]+k].
type packedRows struct {
	texts       []string
	first, ends []int
}

// appendRow appends the cells of a row, if there is such a row.
func (p *packedRows) appendRow(record []string, i int) ([]string, bool) {
	if i >= len(p.texts) {
		return record, false
	}
	start := 0
	for _, end := range p.ends[p.first[i]:p.first[i+1]] {
		record, start = append(record, p.texts[i][start:end]), end
	}
	return record, true
}

// memory keeps its rows behind a function, which nothing that prints values by
// reflection can open.
type memory struct {
	columns   []string
	appendRow func(record []string, i int) ([]string, bool)
}

func (m *memory) Open() (Rows, error) {
	return &memoryRows{source: m, cells: func() []string { return nil }}, nil
}

// memoryRows reuses the slice of a record, behind a function as well.
type memoryRows struct {
	source *memory
	next   int
	cells  func() []string
}

func (r *memoryRows) Columns() []string { return r.source.columns }
func (r *memoryRows) Close() error      { return nil }

func (r *memoryRows) Next() ([]string, error) {
	record, ok := r.source.appendRow(r.cells()[:0], r.next)
	if !ok {
		return nil, io.EOF
	}
	r.next++
	r.cells = func() []string { return record }
	return record, nil
}

const redaction = "[records withheld]"

func (m *memory) Format(f fmt.State, _ rune)     { fmt.Fprint(f, redaction) }
func (m *memory) LogValue() slog.Value           { return slog.StringValue(redaction) }
func (r *memoryRows) Format(f fmt.State, _ rune) { fmt.Fprint(f, redaction) }
func (r *memoryRows) LogValue() slog.Value       { return slog.StringValue(redaction) }
