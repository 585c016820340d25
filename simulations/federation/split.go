package federation

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/study"
)

// Split divides records into sites by the value of a column, in the order of
// the sites' names. Every site keeps all columns. A record that names no site
// belongs to none: it is left out and counted.
func Split(source records.Source, column string) (sites []Site, nowhere int, err error) {
	rows, err := source.Open()
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close() // read only: nothing is lost if closing fails
	columns := rows.Columns()
	at := slices.Index(columns, column)
	if at < 0 {
		if near := study.Nearest(column, columns); near != "" {
			return nil, 0, fmt.Errorf("the data has no column %q to divide it into sites; did you mean %q?", column, near)
		}
		return nil, 0, fmt.Errorf("the data has no column %q to divide it into sites; its first line must name the columns", column)
	}
	bySite := make(map[string][][]string)
	for number := 1; ; number++ {
		record, err := rows.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		if at >= len(record) || strings.TrimSpace(record[at]) == "" {
			nowhere++
			continue
		}
		name := strings.TrimSpace(record[at])
		if err := identity.CheckName(name); err != nil {
			return nil, 0, fmt.Errorf("record %d names no usable site in column %q: %w", number, column, err)
		}
		bySite[name] = append(bySite[name], slices.Clone(record))
	}
	if len(bySite) == 0 {
		return nil, nowhere, fmt.Errorf("no record names a site in column %q", column)
	}
	for name, own := range bySite {
		sites = append(sites, Site{Name: name, Records: records.Memory(columns, own)})
	}
	folded := make(map[string]string, len(bySite))
	for _, name := range slices.Sorted(maps.Keys(bySite)) {
		// A consortium does not admit two members whom a person could confuse.
		if other, again := folded[strings.ToLower(name)]; again {
			return nil, 0, fmt.Errorf("column %q names a site both as %q and as %q; write it in one way", column, other, name)
		}
		folded[strings.ToLower(name)] = name
	}
	slices.SortFunc(sites, func(a, b Site) int { return strings.Compare(a.Name, b.Name) })
	return sites, nowhere, nil
}
