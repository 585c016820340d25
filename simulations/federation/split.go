package federation

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/site-agent/records"
)

// Split divides records into sites by the value of a column, in the order of
// the sites' names. Every site keeps all columns.
func Split(source records.Source, column string) ([]Site, error) {
	rows, err := source.Open()
	if err != nil {
		return nil, err
	}
	defer rows.Close() // read only: nothing is lost if closing fails
	columns := rows.Columns()
	at := slices.Index(columns, column)
	if at < 0 {
		return nil, fmt.Errorf("the data has no column %q to divide it into sites; its first line must name the columns", column)
	}
	bySite := make(map[string][][]string)
	for number := 1; ; number++ {
		record, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if at >= len(record) {
			return nil, fmt.Errorf("record %d ends before column %q: it has %d cells and the header has %d", number, column, len(record), len(columns))
		}
		name := strings.TrimSpace(record[at])
		if err := identity.CheckName(name); err != nil {
			return nil, fmt.Errorf("record %d names no usable site in column %q: a site is 1 to 64 letters, digits, spaces, dots, underscores or hyphens", number, column)
		}
		bySite[name] = append(bySite[name], slices.Clone(record))
	}
	if len(bySite) == 0 {
		return nil, errors.New("the data has a header and no records")
	}
	sites := make([]Site, 0, len(bySite))
	for name, own := range bySite {
		sites = append(sites, Site{Name: name, Records: records.Memory(columns, own)})
	}
	slices.SortFunc(sites, func(a, b Site) int { return strings.Compare(a.Name, b.Name) })
	return sites, nil
}
