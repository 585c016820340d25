package study

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// SkipReason says why a record takes no part. The names are stable.
type SkipReason string

const (
	Malformed         SkipReason = "malformed"
	Excluded          SkipReason = "excluded"
	MissingRequired   SkipReason = "missing_required"
	MissingPeriod     SkipReason = "missing_period"
	PeriodUnreadable  SkipReason = "period_unreadable"
	OutsidePeriods    SkipReason = "outside_periods"
	MissingOutcome    SkipReason = "missing_outcome"
	OutcomeNotANumber SkipReason = "outcome_not_a_number"
	OutcomeNotACount  SkipReason = "outcome_not_a_count"
	OutcomeOutOfRange SkipReason = "outcome_out_of_range"
	OutcomeUndeclared SkipReason = "outcome_undeclared_value"
	MissingFeature    SkipReason = "missing_feature"
	NotANumber        SkipReason = "not_a_number"
	OutOfRange        SkipReason = "out_of_range"
	UndeclaredLevel   SkipReason = "undeclared_level"
	MissingOffset     SkipReason = "missing_offset"
	MissingWeight     SkipReason = "missing_weight"
)

// SkipReasons lists every reason in the order in which they are looked for.
func SkipReasons() []SkipReason {
	return []SkipReason{
		Malformed, Excluded, MissingRequired,
		MissingPeriod, PeriodUnreadable, OutsidePeriods,
		MissingOutcome, OutcomeNotANumber, OutcomeNotACount, OutcomeOutOfRange, OutcomeUndeclared,
		MissingFeature, NotANumber, OutOfRange, UndeclaredLevel,
		MissingOffset, MissingWeight,
	}
}

// Misfit tells a study and records that do not speak of the same thing: values
// that it did not declare leave out more records than it can use. Most likely a
// unit, a range or the spelling of a level is another one.
func Misfit(usable int, skipped map[SkipReason]int) bool {
	undeclared := 0
	for _, reason := range []SkipReason{
		Malformed, PeriodUnreadable, OutcomeNotANumber, OutcomeNotACount, OutcomeOutOfRange, OutcomeUndeclared,
		NotANumber, OutOfRange, UndeclaredLevel,
	} {
		undeclared += skipped[reason]
	}
	return undeclared > usable
}

// UsableShare is how many of the records that are in the cohort, and in the periods
// of a study that has some, are usable; 0 where there are none.
func UsableShare(usable int, skipped map[SkipReason]int) float64 {
	all := usable
	for reason, n := range skipped {
		if reason != Excluded && reason != OutsidePeriods {
			all += n
		}
	}
	return float64(usable) / float64(max(all, 1))
}

// MisfitAdvice is what to do about it.
const MisfitAdvice = "more records have values that the study does not declare than it can use: compare its units, ranges and levels with the data's"

// Skip is a reason at a column; the column is empty for a malformed record.
type Skip struct {
	Column string
	Reason SkipReason
}

// Builder turns records into a Matrix. It keeps numbers and indices only, never
// a cell's text, so a caller may reuse the record it passes. A Builder is for
// one goroutine. Like a Matrix it has no printable form.
type Builder struct{ state func() *building }

type building struct {
	study    *Study
	width    int
	excluded []exclusionColumn
	required []int
	folder   *folder // nil without a validation by patients
	period   int     // of a study that monitors
	outcome  outcomeColumn
	features []featureColumn
	offset   *covariateColumn // nil without one
	weight   *covariateColumn // nil without one
	groups   []attributeColumn
	skipped  map[Skip]int
	rows     *rows
}

type exclusionColumn struct {
	at    int
	words *vocabulary
}

type attributeColumn struct {
	at    int
	words *vocabulary
	none  int // the group unknown
}

// NewBuilder prepares for records with these columns. Columns that the study
// does not name are ignored; one that it names and that is not there is a
// [*ColumnError].
func (s *Study) NewBuilder(columns []string) (*Builder, error) {
	h, err := newHeader(columns, s.Columns())
	if err != nil {
		return nil, err
	}
	b := &building{
		study:    s,
		width:    len(columns),
		folder:   newFolder(s, h),
		outcome:  newOutcomeColumn(s, h),
		features: newFeatureColumns(s, h),
		offset:   newCovariateColumn(s.Model.Offset, MissingOffset, h),
		weight:   newCovariateColumn(s.Model.Weights, MissingWeight, h),
		skipped:  map[Skip]int{},
		rows:     newRows(s),
	}
	if s.Monitor != nil {
		b.period = h.index[s.Monitor.Column]
	}
	for _, e := range s.Cohort.ExcludeIf {
		b.excluded = append(b.excluded, exclusionColumn{h.index[e.Column], vocabularyOf(e.Equals)})
	}
	for _, column := range s.Cohort.Require {
		b.required = append(b.required, h.index[column])
	}
	for _, a := range s.Fairness.Attributes {
		b.groups = append(b.groups, attributeColumn{h.index[a.Column], vocabularyOfLevels(a.Levels), len(a.Levels)})
	}
	return &Builder{func() *building { return b }}, nil
}

// Add takes a record, or counts why it does not.
func (b *Builder) Add(record []string) {
	state := b.state()
	if skip, skipped := state.add(record); skipped {
		state.skipped[skip]++
	}
}

func (b *building) add(record []string) (Skip, bool) {
	if len(record) != b.width {
		return Skip{Reason: Malformed}, true
	}
	for i, e := range b.excluded {
		if _, ok := e.words.index(strings.TrimSpace(record[e.at])); ok {
			return Skip{b.study.Cohort.ExcludeIf[i].Column, Excluded}, true
		}
	}
	for i, at := range b.required {
		if isMissing(b.study.Missing, strings.TrimSpace(record[at])) {
			return Skip{b.study.Cohort.Require[i], MissingRequired}, true
		}
	}
	var fold uint16
	if b.folder != nil {
		var named bool
		if fold, named = b.folder.fold(record); !named {
			return Skip{b.study.Validation.By, MissingRequired}, true
		}
	}
	window := 0
	if m := b.study.Monitor; m != nil {
		var reason SkipReason
		if window, reason = m.when(record[b.period], b.study.Missing); reason != "" {
			return Skip{m.Column, reason}, true
		}
	}
	y, reason := b.outcome.read(record, b.study.Missing)
	if reason != "" {
		return Skip{b.study.Outcome.Column, reason}, true
	}
	var event bool
	if b.study.Outcome.Event != nil {
		if event, reason = b.outcome.readEvent(record, b.study.Missing); reason != "" {
			return Skip{b.study.Outcome.Event.Column, reason}, true
		}
	}
	// A record that fails at a later column leaves nothing behind.
	kept := len(b.rows.features)
	if cap(b.rows.features) < kept+len(b.features) { // by half: append alone moves millions of numbers more often
		b.rows.features = slices.Grow(b.rows.features, len(b.features)+kept/2)
	}
	features := b.rows.features[kept : kept+len(b.features)]
	for i := range b.features {
		x, reason := b.features[i].read(record, b.study.Missing)
		if reason != "" {
			return Skip{b.features[i].feature.Column, reason}, true
		}
		features[i] = x
	}
	offset, noOffset := b.offset.read(record, b.study.Missing)
	weight, noWeight := b.weight.read(record, b.study.Missing)
	if skip := cmp.Or(noOffset, noWeight); skip != nil {
		return *skip, true
	}
	b.rows.features = b.rows.features[:kept+len(features)]
	b.rows.take(fold, y, event, offset, weight)
	if b.study.Monitor != nil {
		b.rows.windows = append(b.rows.windows, uint8(window))
	}
	for _, a := range b.groups {
		group, ok := a.words.index(strings.TrimSpace(record[a.at]))
		if !ok {
			group = a.none
		}
		b.rows.groups = append(b.rows.groups, uint8(group))
	}
	return Skip{}, false
}

// Matrix is the design matrix of the records added so far. Records added later
// do not change it.
func (b *Builder) Matrix() *Matrix {
	snapshot := b.state().rows.snapshot()
	return &Matrix{func() *rows { return snapshot }}
}

// Skipped counts the records that take no part, by reason. It is a site's own
// knowledge and never leaves it.
func (b *Builder) Skipped() map[SkipReason]int {
	counts := map[SkipReason]int{}
	for skip, n := range b.state().skipped {
		counts[skip.Reason] += n
	}
	return counts
}

// SkippedByColumn counts the same records by reason and column.
func (b *Builder) SkippedByColumn() map[Skip]int { return maps.Clone(b.state().skipped) }
