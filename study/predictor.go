package study

import (
	"fmt"
	"slices"
)

// Predictor turns records without a known outcome into rows of the design
// matrix. Features are read as in training; the outcome, the cohort's rules and
// the attributes play no part, and neither do weights: they say how much a
// record counts in a fit.
type Predictor struct {
	study    *Study
	width    int
	features []featureColumn
	offset   *covariateColumn // nil without one
	group    *attributeColumn // nil where the released model does not ask for it
	rows     *rows            // no records; knows how to expand one
}

// Unusable says why a record gets no prediction: the column and the kind of
// fault, never the value.
type Unusable struct {
	Column string // empty for a malformed record
	Reason SkipReason
}

func (u *Unusable) Error() string {
	if u.Column == "" {
		return string(u.Reason)
	}
	return fmt.Sprintf("%s: %s", u.Column, u.Reason)
}

// NewPredictor prepares for records with these columns, of which every
// feature's must be there, and the offset's if the model has one.
func (s *Study) NewPredictor(columns []string) (*Predictor, error) {
	needed := make([]string, len(s.Features))
	for i, f := range s.Features {
		needed[i] = f.Column
	}
	if s.Model.Offset != nil && !slices.Contains(needed, s.Model.Offset.Column) {
		needed = append(needed, s.Model.Offset.Column)
	}
	if s.Mitigation.NeedsGroup() {
		if column := s.Fairness.Attributes[s.Mitigation.Attribute].Column; !slices.Contains(needed, column) {
			needed = append(needed, column)
		}
	}
	h, err := newHeader(columns, needed)
	if err != nil {
		return nil, err
	}
	return &Predictor{group: s.groupColumn(h), study: s, width: len(columns), features: newFeatureColumns(s, h),
		offset: newCovariateColumn(s.Model.Offset, MissingOffset, h), rows: newRows(s)}, nil
}

// Offset of the record, 0 if the model has none. A record that cannot be used
// is an [*Unusable].
func (p *Predictor) Offset(record []string) (float64, error) {
	if len(record) != p.width {
		return 0, &Unusable{Reason: Malformed}
	}
	x, skip := p.offset.read(record, p.study.Missing)
	if skip != nil {
		return 0, &Unusable{Column: skip.Column, Reason: skip.Reason}
	}
	return x, nil
}

// Row is the record in the order of [Study.Terms], as [Matrix.Row]. A record
// that cannot be used is an [*Unusable].
func (p *Predictor) Row(record []string) ([]float64, error) {
	if len(record) != p.width {
		return nil, &Unusable{Reason: Malformed}
	}
	values := make([]float64, len(p.features))
	for i := range p.features {
		x, reason := p.features[i].read(record, p.study.Missing)
		if reason != "" {
			return nil, &Unusable{Column: p.features[i].feature.Column, Reason: reason}
		}
		values[i] = x
	}
	return p.rows.expand(make([]float64, 0, len(p.study.terms)), values), nil
}
