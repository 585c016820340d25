package study

import (
	"fmt"
	"math"
	"slices"
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
	unknown int  // index of the level unknown, -1 if not declared
	keep    bool // a missing value as NaN
	plain   bool // of numbers, none of which means missing
}

func newFeatureColumns(s *Study, h *header) []featureColumn {
	columns := make([]featureColumn, len(s.Features))
	coded := slices.ContainsFunc(s.Missing, func(marker string) bool { _, ok := parseNumber(marker); return ok })
	for i, f := range s.Features {
		columns[i] = featureColumn{at: h.index[f.Column], feature: f, unknown: -1, keep: s.KeepsMissing(), plain: f.Type != Category && !coded}
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
// why there is neither. NaN is a missing value that the model keeps.
func (c *featureColumn) read(record, markers []string) (float64, SkipReason) {
	if c.plain { // nearly every cell
		if x, ok := shortDecimal(record[c.at]); ok && c.feature.Range.Contains(x) {
			return x, ""
		}
	}
	cell := strings.TrimSpace(record[c.at])
	if isMissing(markers, cell) {
		if c.unknown >= 0 {
			return float64(c.unknown), ""
		}
		if c.keep {
			return math.NaN(), ""
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
	return numberWithin(cell, c.feature.Range)
}

// numberWithin reads a number that may not leave its range.
func numberWithin(cell string, within Range) (float64, SkipReason) {
	x, ok := parseNumber(cell)
	if !ok {
		return 0, NotANumber
	}
	if !within.Contains(x) {
		return 0, OutOfRange
	}
	return x, ""
}

// covariateColumn reads an offset or a weight from a record.
type covariateColumn struct {
	at      int
	column  string
	within  Range
	missing SkipReason
}

// newCovariateColumn is nil for a covariate that the model does not have.
func newCovariateColumn(c *Covariate, missing SkipReason, h *header) *covariateColumn {
	if c == nil {
		return nil
	}
	return &covariateColumn{h.index[c.Column], c.Column, c.Range, missing}
}

// read gives 0 where there is no covariate.
func (c *covariateColumn) read(record, markers []string) (float64, *Skip) {
	if c == nil {
		return 0, nil
	}
	cell := strings.TrimSpace(record[c.at])
	if isMissing(markers, cell) {
		return 0, &Skip{c.column, c.missing}
	}
	x, reason := numberWithin(cell, c.within)
	if reason != "" {
		return 0, &Skip{c.column, reason}
	}
	return x, nil
}

// outcomeColumn reads the outcome from a record.
type outcomeColumn struct {
	at, event          int // event is that of a survival outcome
	outcome            Outcome
	positive, negative *vocabulary // of a binary outcome's values, or of the event's
}

func newOutcomeColumn(s *Study, h *header) outcomeColumn {
	o := s.Outcome
	c := outcomeColumn{at: h.index[o.Column], outcome: o, positive: vocabularyOf(o.Positive), negative: vocabularyOf(o.Negative)}
	if o.Event != nil {
		c.event = h.index[o.Event.Column]
		c.positive, c.negative = vocabularyOf(o.Event.Positive), vocabularyOf(o.Event.Negative)
	}
	return c
}

// read gives the outcome in its own unit, or 0 or 1.
func (c *outcomeColumn) read(record, markers []string) (float64, SkipReason) {
	o := c.outcome
	if o.Type == Binary && o.AtLeast == nil {
		yes, reason := c.listed(record[c.at], markers)
		if yes {
			return 1, reason
		}
		return 0, reason
	}
	cell := strings.TrimSpace(record[c.at])
	if isMissing(markers, cell) {
		return 0, MissingOutcome
	}
	y, ok := parseNumber(cell)
	switch {
	case !ok:
		return 0, OutcomeNotANumber
	case o.Type == Count && y != math.Trunc(y):
		return 0, OutcomeNotACount
	case o.Range != nil && !o.Range.Contains(y):
		return 0, OutcomeOutOfRange
	case o.AtLeast == nil:
		return y, ""
	case y >= *o.AtLeast:
		return 1, ""
	}
	return 0, ""
}

// readEvent reports whether the event of a survival outcome happened.
func (c *outcomeColumn) readEvent(record, markers []string) (bool, SkipReason) {
	return c.listed(record[c.event], markers)
}

// listed reports whether a cell has one of the positive values; any other is
// negative unless the negative ones are listed too.
func (c *outcomeColumn) listed(cell string, markers []string) (bool, SkipReason) {
	cell = strings.TrimSpace(cell)
	if isMissing(markers, cell) {
		return false, MissingOutcome
	}
	if _, ok := c.positive.index(cell); ok {
		return true, ""
	}
	if _, ok := c.negative.index(cell); len(c.negative.texts) > 0 && !ok {
		return false, OutcomeUndeclared
	}
	return false, ""
}
