// Package study is the protocol file: what a researcher asks, what every
// hospital computes, and the vocabulary both share.
//
// A study is one YAML file. Its SHA-256 is its name: hospitals approve those
// bytes and no others. Parse refuses whatever it does not understand, naming
// the line and the nearest key, because a misspelt key that is ignored is a
// different study from the one that was approved.
//
// The same file yields the same design matrix at every hospital. A [Builder]
// takes records as rows of text and keeps those that the study can use. What
// becomes of a record is fixed here, in this order, and the first reason that
// applies is the one counted:
//
//  1. malformed: another number of cells than the file has columns
//  2. excluded: cohort.exclude_if names a value that the cell has
//  3. missing_required: a column of cohort.require, or validation.by, is missing
//  4. of a study that monitors, the period: missing, unreadable, outside all windows
//  5. the outcome: missing, not a number, not a count, out of range, undeclared
//     value; of a survival outcome first the time, then the event
//  6. each feature as listed: missing, not a number, out of range, undeclared level
//  7. the offset, then the weight: missing, not a number, out of range
//
// Cells are compared without surrounding spaces. A cell is missing when it is
// empty or one of the study's missing words (NA unless the study lists
// others). A missing category is the level "unknown" where the study declares
// that level. A value matches when the text is the same or both are the same
// number. Attributes of the bias audit never cost a record: any value that is
// not declared is the group "unknown".
//
// The package is pure. It never prints a record: a [Matrix] and a [Builder]
// show only a redaction, and no error, reason or count holds a cell's content.
package study

import (
	"bytes"
	"crypto/sha256"
	"math"
	"slices"
	"time"
)

// SiteID is the name of a hospital as the roster has it.
type SiteID string

// Limits of a protocol file. They bound what a site allocates for a file it
// has not yet approved.
const (
	MaxFileBytes  = 1 << 20
	MaxFeatures   = 1000
	MaxLevels     = 200
	MaxTerms      = 2000
	MaxAttributes = 50
	maxNameBytes  = 128
	maxValues     = 1000 // gathered in one level, or listed
)

// Study is a checked protocol file. Parse is the only way to make one; the
// fields are for reading.
type Study struct {
	Name     string
	Version  int
	Title    string
	Outcome  Outcome
	Features []Feature
	Missing  []string // words that mean missing, besides the empty cell
	Cohort   Cohort
	Model    Model
	Fairness Fairness
	Privacy  Privacy
	Schedule Schedule
	// Validation says on whom the model is tried; its Kind is empty if on nobody.
	Validation Validation
	// Mitigation is nil where nothing is to be done about differences between groups.
	Mitigation *Mitigation
	// Monitor is what a study that watches a release declares; nil of any other.
	Monitor *Monitor

	source []byte
	terms  []Term
	curves []curve // of the splines, once their knots are known
}

// Type of an outcome or a feature.
type Type string

const (
	Number   Type = "number"
	Category Type = "category" // features only
	Binary   Type = "binary"   // outcomes only
	Count    Type = "count"    // outcomes only
	Survival Type = "survival" // outcomes only
)

// Range is an inclusive interval. It catches unit mistakes and bounds the
// encoding of the secure sum.
type Range struct{ Lo, Hi float64 }

// Contains reports whether Lo <= x <= Hi.
func (r Range) Contains(x float64) bool { return r.Lo <= x && x <= r.Hi }

// Scale on which a number outcome is fitted: the key transform of the file.
type Scale string

const (
	Identity Scale = "identity"
	Sqrt     Scale = "sqrt" // needs a range from 0 up
	Log      Scale = "log"  // needs a range above 0
)

// Outcome is what the model predicts.
type Outcome struct {
	Column string // of a survival outcome: that of the time
	Type   Type   // Number, Binary, Count or Survival
	Range  *Range // never nil but for listed values; optional beside AtLeast; of a survival outcome: the time's
	Unit   string // for people; may be empty
	Scale  Scale  // Identity but for a number

	// A binary outcome is 1 for a value in Positive, or for a number of at
	// least AtLeast; one of the two is set.
	Positive []string
	Negative []string // if set, any other value skips the record instead of meaning 0
	AtLeast  *float64

	Event *Event    // of a survival outcome only
	Grid  []float64 // of a survival outcome only: ascending times above Range.Lo, for curves and for a pooled baseline; a listed one may end before Range.Hi
}

// Event says in which column a survival outcome has the event, and what it is.
type Event struct {
	Column   string
	Positive []string // the event happened at the time
	Negative []string // if set, any other value skips the record instead of meaning censored
}

// Transform takes an outcome in its own unit to the scale of the fit.
func (o Outcome) Transform(y float64) float64 {
	switch o.Scale {
	case Sqrt:
		return math.Sqrt(y)
	case Log:
		return math.Log(y)
	}
	return y
}

// Inverse takes a linear predictor back to the outcome's unit. Below zero a
// square root has no inverse: the prediction is 0.
func (o Outcome) Inverse(eta float64) float64 {
	switch o.Scale {
	case Sqrt:
		eta = max(eta, 0)
		return eta * eta
	case Log:
		return math.Exp(eta)
	}
	return eta
}

// Bounds of the outcome on the scale of the fit; 0 and 1 for a binary one.
func (o Outcome) Bounds() (lo, hi float64) {
	if o.Type == Binary {
		return 0, 1
	}
	return o.Transform(o.Range.Lo), o.Transform(o.Range.Hi)
}

// Feature is a column that the model sees.
type Feature struct {
	Column    string
	Type      Type    // Number or Category
	Range     Range   // of a number
	Unit      string  // of a number, for people; may be empty
	Levels    []Level // of a category
	Reference int     // index of the level that has no term
}

// Level is a category's value, or several gathered under one name.
type Level struct {
	Name   string
	Values []string
}

// Unknown is the level that a missing category takes where it is declared,
// and the audit group of everything that an attribute does not declare.
const Unknown = "unknown"

// Cohort says which records take part beyond having outcome and features.
type Cohort struct {
	Require   []string // columns that may not be missing
	ExcludeIf []Exclusion
}

// Exclusion leaves out records whose cell has one of the values.
type Exclusion struct {
	Column string
	Equals []string
}

// Thresholds of the committee that opens a sum.
const (
	Supermajority = "supermajority" // more than two thirds
	Unanimous     = "unanimous"
)

// Privacy holds the floors of every round.
type Privacy struct {
	MinimumContributors int
	Threshold           string // Supermajority or Unanimous
}

// Schedule bounds the fit.
type Schedule struct {
	Rounds    int           // most iterations of an iterative fit
	Tolerance float64       // relative change that ends it
	Deadline  time.Duration // of a round's collecting
}

// Digest is the SHA-256 of the file's exact bytes: the study's name.
func (s *Study) Digest() [32]byte { return sha256.Sum256(s.source) }

// Source returns the file's exact bytes.
func (s *Study) Source() []byte { return bytes.Clone(s.source) }

// MinimumContributors is the least number of hospitals in an opened sum.
func (s *Study) MinimumContributors() int { return s.Privacy.MinimumContributors }

// Threshold is how many of a committee of m must agree to open a sum.
func (s *Study) Threshold(m int) int {
	if s.Privacy.Threshold == Unanimous {
		return m
	}
	return 2*m/3 + 1
}

// Deadline is how long a round collects contributions.
func (s *Study) Deadline() time.Duration { return s.Schedule.Deadline }

// Columns lists every column that the study reads, each once. Nothing else
// of a record is looked at.
func (s *Study) Columns() []string {
	columns := []string{s.Outcome.Column}
	add := func(column string) {
		if !slices.Contains(columns, column) {
			columns = append(columns, column)
		}
	}
	if s.Outcome.Event != nil {
		add(s.Outcome.Event.Column)
	}
	for _, f := range s.Features {
		add(f.Column)
	}
	for _, covariate := range []*Covariate{s.Model.Offset, s.Model.Weights} {
		if covariate != nil {
			add(covariate.Column)
		}
	}
	if s.Validation.By != "" {
		add(s.Validation.By)
	}
	if s.Monitor != nil {
		add(s.Monitor.Column)
	}
	for _, column := range s.Cohort.Require {
		add(column)
	}
	for _, e := range s.Cohort.ExcludeIf {
		add(e.Column)
	}
	for _, a := range s.Fairness.Attributes {
		add(a.Column)
	}
	return columns
}
