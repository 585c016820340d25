package study

import (
	"fmt"
	"strings"
)

// ColumnError says that the data lack a column that the study reads.
type ColumnError struct {
	Column  string
	Nearest string // a column of the data with a similar name; may be empty
}

func (e *ColumnError) Error() string {
	if e.Nearest == "" {
		return fmt.Sprintf("the data have no column %q, which the study reads", e.Column)
	}
	return fmt.Sprintf("the data have no column %q, which the study reads; did you mean %q?", e.Column, e.Nearest)
}

// header finds columns by name.
type header struct{ index map[string]int }

// newHeader checks that the needed columns are there and no name stands twice.
// It repeats a name of the data only where another column of the study was
// found: in a file without a header line the names are the first patient.
func newHeader(columns, needed []string) (*header, error) {
	h := &header{index: make(map[string]int, len(columns))}
	names := make([]string, len(columns))
	var twice error
	for i, name := range columns {
		names[i] = strings.TrimSpace(name)
		first, again := h.index[names[i]]
		if again && names[i] != "" && twice == nil {
			twice = fmt.Errorf("columns %d and %d of the data have the same name; rename one", first+1, i+1)
		}
		h.index[names[i]] = i
	}
	var missing []string
	for _, column := range needed {
		if _, ok := h.index[column]; !ok {
			missing = append(missing, column)
		}
	}
	switch {
	case len(missing) > 0 && len(missing) == len(needed):
		return nil, fmt.Errorf("the data have none of the study's columns (%s); is the first line the column names?", strings.Join(needed, ", "))
	case twice != nil:
		return nil, twice
	case len(missing) > 0:
		return nil, &ColumnError{Column: missing[0], Nearest: Nearest(missing[0], names)}
	}
	return h, nil
}

// featureColumn reads one feature from a record.
type featureColumn struct {
	at      int
	feature Feature
	words   *vocabulary
	unknown int // index of the level unknown, -1 if not declared
}

func newFeatureColumns(s *Study, h *header) []featureColumn {
	columns := make([]featureColumn, len(s.Features))
	for i, f := range s.Features {
		columns[i] = featureColumn{at: h.index[f.Column], feature: f, unknown: -1}
		if f.Type == Category {
			columns[i].words = vocabularyOfLevels(f.Levels)
			for k, level := range f.Levels {
				if level.Name == Unknown {
					columns[i].unknown = k
				}
			}
		}
	}
	return columns
}

// read gives a number in its own unit or the index of a level, or the reason
// why there is neither.
func (c *featureColumn) read(record, markers []string) (float64, SkipReason) {
	cell := strings.TrimSpace(record[c.at])
	if isMissing(markers, cell) {
		if c.unknown >= 0 {
			return float64(c.unknown), ""
		}
		return 0, MissingFeature
	}
	if c.feature.Type == Category {
		level, ok := c.words.index(cell)
		if !ok {
			return 0, UndeclaredLevel
		}
		return float64(level), ""
	}
	x, ok := parseNumber(cell)
	if !ok {
		return 0, NotANumber
	}
	if !c.feature.Range.Contains(x) {
		return 0, OutOfRange
	}
	return x, ""
}

// outcomeColumn reads the outcome from a record.
type outcomeColumn struct {
	at                 int
	outcome            Outcome
	positive, negative *vocabulary
}

func newOutcomeColumn(s *Study, h *header) outcomeColumn {
	return outcomeColumn{
		at:       h.index[s.Outcome.Column],
		outcome:  s.Outcome,
		positive: vocabularyOf(s.Outcome.Positive),
		negative: vocabularyOf(s.Outcome.Negative),
	}
}

// read gives the outcome in its own unit, or 0 or 1.
func (c *outcomeColumn) read(record, markers []string) (float64, SkipReason) {
	cell := strings.TrimSpace(record[c.at])
	if isMissing(markers, cell) {
		return 0, MissingOutcome
	}
	o := c.outcome
	if o.Type == Binary && o.AtLeast == nil {
		if _, ok := c.positive.index(cell); ok {
			return 1, ""
		}
		if _, ok := c.negative.index(cell); len(o.Negative) > 0 && !ok {
			return 0, OutcomeUndeclared
		}
		return 0, ""
	}
	y, ok := parseNumber(cell)
	switch {
	case !ok:
		return 0, OutcomeNotANumber
	case o.Range != nil && !o.Range.Contains(y):
		return 0, OutcomeOutOfRange
	case o.AtLeast == nil:
		return y, ""
	case y >= *o.AtLeast:
		return 1, ""
	}
	return 0, ""
}
