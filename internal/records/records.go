// Package records brings a hospital's patient records into a design matrix.
//
// A [Source] yields rows of text under named columns: a CSV file, or rows in
// memory. [Load] hands each row to the study's rules and forgets it; only the
// study's numbers stay, in a [study.Matrix], which has no printable form. A
// record that the study cannot use is counted and skipped. A file that is
// damaged is refused whole, with the line and what to do, because the rest of a
// damaged file is a different cohort from the one that was meant.
//
// No error, log line or count of this package holds a cell's content, and no
// value of its types prints one. Column names appear in errors only where the
// study itself names the column or a near match.
package records

import (
	"errors"
	"fmt"
	"io"

	"github.com/consilium-fl/consilium/study"
)

// Source is where a site's records come from. Open may be called any number
// of times; each gives all the records from the beginning.
type Source interface {
	Open() (Rows, error)
}

// Rows reads records one by one.
type Rows interface {
	// Columns names the cells of every record.
	Columns() []string
	// Next is the next record, valid until the following call, or io.EOF after
	// the last one. Any other error means that the source is damaged.
	Next() ([]string, error)
	Close() error
}

// Load reads a source through a study: the matrix of its usable records and
// how many were skipped for which reason.
func Load(s *study.Study, src Source) (*study.Matrix, map[study.SkipReason]int, error) {
	b, err := Build(s, src)
	if err != nil {
		return nil, nil, err
	}
	return b.Matrix(), b.Skipped(), nil
}

// Build is Load for callers that also want to know at which columns records
// were skipped.
func Build(s *study.Study, src Source) (*study.Builder, error) {
	rows, err := src.Open()
	if err != nil {
		return nil, err
	}
	return build(s, src, rows)
}

// build reads the rows of a source to their end and closes them.
func build(s *study.Study, src Source, rows Rows) (*study.Builder, error) {
	defer rows.Close() // read only: nothing is lost if closing fails
	b, err := s.NewBuilder(rows.Columns())
	if err != nil {
		return nil, within(src, err)
	}
	for {
		record, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		b.Add(record)
	}
}

// within names the source in an error, where it has a name.
func within(src Source, err error) error {
	if named, ok := src.(interface{ name() string }); ok {
		return fmt.Errorf("%s: %w", named.name(), err)
	}
	return err
}
