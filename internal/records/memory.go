package records

import (
	"fmt"
	"io"
	"log/slog"
)

// Memory is a source of rows that are already in memory. The rows are not
// copied; a caller must not change them.
func Memory(columns []string, rows [][]string) Source {
	return &memory{columns, func(i int) ([]string, bool) {
		if i < len(rows) {
			return rows[i], true
		}
		return nil, false
	}}
}

// memory keeps its rows behind a function, which nothing that prints values by
// reflection can open.
type memory struct {
	columns []string
	row     func(i int) ([]string, bool)
}

func (m *memory) Open() (Rows, error) { return &memoryRows{source: m}, nil }

type memoryRows struct {
	source *memory
	next   int
}

func (r *memoryRows) Columns() []string { return r.source.columns }
func (r *memoryRows) Close() error      { return nil }

func (r *memoryRows) Next() ([]string, error) {
	row, ok := r.source.row(r.next)
	if !ok {
		return nil, io.EOF
	}
	r.next++
	return row, nil
}

const redaction = "[records withheld]"

func (m *memory) Format(f fmt.State, _ rune)     { fmt.Fprint(f, redaction) }
func (m *memory) LogValue() slog.Value           { return slog.StringValue(redaction) }
func (r *memoryRows) Format(f fmt.State, _ rune) { fmt.Fprint(f, redaction) }
func (r *memoryRows) LogValue() slog.Value       { return slog.StringValue(redaction) }
