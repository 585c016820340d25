// Package describe counts who is in the data, as the first sum of every study.
//
// The sum says how many patients there are, how many at each level of each
// category and in each group of the bias audit, and, for a binary outcome, how
// many of those are positive; and for numbers their sum and sum of squares. No
// smallest or largest value ever leaves a hospital: an extreme is one person's.
//
// Its reader uses the counts twice. Before a model is fitted they tell whether
// one can be: a level without patients has no effect to estimate, a level in
// which everyone or no one responds has none that is finite. In the published
// result every count below the study's minimum cell is withheld and says so; a
// true zero says zero.
package describe

import (
	"fmt"
	"math"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Step is the name of the one question.
const Step = "describe/counts"

const (
	maxRows  = 1 << 24 // of one site, as the layouts of every step assume
	fracBits = 60
)

// Layout is the vector of the step.
func Layout(s *study.Study) []compute.Field {
	var fields []compute.Field
	count := func(name string, length int) {
		if length > 0 {
			fields = append(fields, compute.Field{Name: name, Length: length, Bound: maxRows})
		}
	}
	sum := func(name string, length int) {
		if length > 0 {
			fields = append(fields, compute.Field{Name: name, Length: length, FracBits: fracBits, Bound: maxRows})
		}
	}
	x := newIndex(s)
	binary := s.Outcome.Type == study.Binary
	count("patients", 1)
	count("levels", x.levels)
	count("groups", x.groups)
	if binary {
		count("positives", 1)
		count("level_positives", x.levels)
	} else {
		sum("outcome", 1)
		sum("outcome_squared", 1)
	}
	sum("numbers", len(x.numbers))
	sum("numbers_squared", len(x.numbers))
	return fields
}

// index says where a feature's levels, an attribute's groups and a number
// stand in the vector.
type index struct {
	terms      []study.Term
	levelAt    []int // by feature: position of its first level, -1 for a number
	references []int // by feature: position of its reference level, -1 for a number
	levels     int
	groupAt    []int // by attribute: position of its first group
	groups     int
	numbers    []int     // terms that are numbers
	mid, half  []float64 // of each number's declared range
	outMid     float64   // of the outcome's, if it is a number
	outHalf    float64
}

func newIndex(s *study.Study) index {
	x := index{terms: s.Terms()}
	for _, f := range s.Features {
		if f.Type != study.Category {
			x.levelAt = append(x.levelAt, -1)
			x.references = append(x.references, -1)
			continue
		}
		x.levelAt = append(x.levelAt, x.levels)
		x.references = append(x.references, x.levels+f.Reference)
		x.levels += len(f.Levels)
	}
	for _, a := range s.Fairness.Attributes {
		x.groupAt = append(x.groupAt, x.groups)
		x.groups += len(a.Groups())
	}
	for j, t := range x.terms {
		if t.Feature >= 0 && t.Level < 0 {
			x.numbers = append(x.numbers, j)
			x.mid = append(x.mid, t.Lo/2+t.Hi/2)
			x.half = append(x.half, t.Hi/2-t.Lo/2)
		}
	}
	if r := s.Outcome.Range; s.Outcome.Type == study.Number {
		x.outMid, x.outHalf = r.Lo/2+r.Hi/2, r.Hi/2-r.Lo/2
	}
	return x
}

// Answer is a site's vector.
func Answer(s *study.Study, m *study.Matrix) ([]float64, error) {
	if err := checkRows(m); err != nil {
		return nil, err
	}
	x := newIndex(s)
	binary := s.Outcome.Type == study.Binary
	levels := make([]float64, x.levels)
	levelPositives := make([]float64, x.levels)
	groups := make([]float64, x.groups)
	positives := 0.0
	numbers := compute.NewAccumulator(len(x.numbers))
	squares := compute.NewAccumulator(len(x.numbers))
	outcome := compute.NewAccumulator(2)
	at := make([]int, len(s.Features))
	for i := range m.Rows() {
		row, y := m.Row(i), m.Outcome(i)
		copy(at, x.references)
		for j, t := range x.terms {
			if t.Level >= 0 && row[j] == 1 {
				at[t.Feature] = x.levelAt[t.Feature] + t.Level
			}
		}
		for _, level := range at {
			if level >= 0 {
				levels[level]++
				if binary {
					levelPositives[level] += y
				}
			}
		}
		for a, first := range x.groupAt {
			groups[first+m.Group(i, a)]++
		}
		for k, j := range x.numbers {
			z := (row[j] - x.mid[k]) / x.half[k]
			numbers.Add(k, z)
			squares.Add(k, z*z)
		}
		if binary {
			positives += y
		} else {
			z := (y - x.outMid) / x.outHalf
			outcome.Add(0, z)
			outcome.Add(1, z*z)
		}
	}
	out := append([]float64{float64(m.Rows())}, levels...)
	out = append(out, groups...)
	if binary {
		out = append(append(out, positives), levelPositives...)
	} else {
		out = append(out, outcome.Values()...)
	}
	out = append(out, numbers.Values()...)
	return append(out, squares.Values()...), nil
}

func checkRows(m *study.Matrix) error {
	if m.Rows() > maxRows {
		return fmt.Errorf("a site can contribute at most %d patients; raise the limit in a new release", maxRows)
	}
	return nil
}

// Counts is the opened sum, exact. It is for deciding; what is published is
// its Cohort.
type Counts struct {
	Contributors int
	Patients     int
	Positives    int // binary outcomes only

	study          *study.Study
	index          index
	levels         []int
	levelPositives []int
	groups         []int
	outcome        [2]float64 // scaled
	numbers        []float64  // scaled
	squares        []float64
}

// Read takes the opened sum apart.
func Read(s *study.Study, sum compute.Sum) (*Counts, error) {
	c := &Counts{Contributors: sum.Contributors, study: s, index: newIndex(s)}
	for _, f := range Layout(s) {
		if len(sum.Field(f.Name)) != f.Length {
			return nil, fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	c.Patients = whole(sum.Field("patients"))[0]
	c.levels = whole(sum.Field("levels"))
	c.groups = whole(sum.Field("groups"))
	if s.Outcome.Type == study.Binary {
		c.Positives = whole(sum.Field("positives"))[0]
		c.levelPositives = whole(sum.Field("level_positives"))
	} else {
		c.outcome = [2]float64{sum.Field("outcome")[0], sum.Field("outcome_squared")[0]}
	}
	c.numbers = sum.Field("numbers")
	c.squares = sum.Field("numbers_squared")
	return c, nil
}

func whole(values []float64) []int {
	out := make([]int, len(values))
	for i, v := range values {
		out[i] = int(math.Round(v))
	}
	return out
}

// Group is the number of patients in a group of an attribute, both by index.
func (c *Counts) Group(attribute, group int) int {
	return c.groups[c.index.groupAt[attribute]+group]
}

// Means of the columns of the design matrix over all patients, in their units.
func (c *Counts) Means() []float64 {
	n := float64(c.Patients)
	out := make([]float64, len(c.index.terms))
	for j, t := range c.index.terms {
		switch {
		case t.Feature < 0:
			out[j] = 1
		case t.Level >= 0:
			out[j] = float64(c.levels[c.index.levelAt[t.Feature]+t.Level]) / n
		}
	}
	for k, j := range c.index.numbers {
		out[j] = c.index.mid[k] + c.index.half[k]*c.numbers[k]/n
	}
	return out
}

// MeanOutcome is the mean of a number outcome over all patients, in its unit.
func (c *Counts) MeanOutcome() float64 {
	return c.index.outMid + c.index.outHalf*c.outcome[0]/float64(c.Patients)
}

// Empty returns the terms, by index, of levels without a patient, and a
// diagnosis for each feature that has one. Such a term is left out of the fit.
// A reference level without patients is not among them: the fit itself finds
// that the remaining levels then repeat the intercept.
func (c *Counts) Empty() (terms []int, diagnoses []compute.Diagnosis) {
	byFeature := make(map[int][]string)
	for j, t := range c.index.terms {
		if t.Level >= 0 && c.levels[c.index.levelAt[t.Feature]+t.Level] == 0 {
			terms = append(terms, j)
			byFeature[t.Feature] = append(byFeature[t.Feature], t.Name)
		}
	}
	for f, feature := range c.study.Features {
		if names := byFeature[f]; names != nil {
			diagnoses = append(diagnoses, compute.Diagnosis{Kind: compute.EmptyLevel, Terms: names,
				Message: fmt.Sprintf("no patient has this value of %s, so it has no effect to estimate: left out of the model, which cannot predict for such a patient", feature.Column)})
		}
	}
	return terms, diagnoses
}

// Diagnose returns why no model can be fitted, nil if the counts know no reason.
func (c *Counts) Diagnose() *compute.Diagnosis {
	empty, _ := c.Empty()
	if p := len(c.index.terms) - len(empty); c.Patients <= p || c.Patients < c.study.Fairness.MinimumCell {
		return &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: fmt.Sprintf("a model of %d coefficients needs more patients than coefficients, and at least the minimum cell of %d; see the site's dry run for why records were skipped", p, c.study.Fairness.MinimumCell)}
	}
	if d := c.emptyReference(); d != nil {
		return d
	}
	if c.study.Outcome.Type != study.Binary {
		return nil
	}
	if c.Positives == 0 || c.Positives == c.Patients {
		what := "no patient has the outcome"
		if c.Positives > 0 {
			what = "every patient has the outcome"
		}
		return &compute.Diagnosis{Kind: compute.ConstantTarget, Message: what + ", so nothing distinguishes those who respond"}
	}
	if c.study.Model.Ridge > 0 {
		return nil
	}
	return c.separated()
}

// emptyReference finds a feature of which nobody has the reference level. Its
// other levels then add up to the intercept; only a ridge can tell them apart.
func (c *Counts) emptyReference() *compute.Diagnosis {
	if c.study.Model.Ridge > 0 {
		return nil
	}
	for f, feature := range c.study.Features {
		if reference := c.index.references[f]; reference >= 0 && c.levels[reference] == 0 {
			name := feature.Levels[feature.Reference].Name
			names := []string{feature.Column + "=" + name}
			return &compute.Diagnosis{Kind: compute.Collinearity, Terms: names,
				Message: fmt.Sprintf("no patient has %s, the reference level of %s, so its other levels together repeat the intercept; choose a reference level that occurs", name, feature.Column)}
		}
	}
	return nil
}

// separated names the levels in which the outcome does not vary: the maximum
// likelihood estimate is infinite (Albert and Anderson, Biometrika 71, 1984).
func (c *Counts) separated() *compute.Diagnosis {
	var names []string
	for f, feature := range c.study.Features {
		if c.index.levelAt[f] < 0 {
			continue
		}
		for l, level := range feature.Levels {
			n := c.levels[c.index.levelAt[f]+l]
			pos := c.levelPositives[c.index.levelAt[f]+l]
			if n > 0 && (pos == 0 || pos == n) {
				names = append(names, feature.Column+"="+level.Name)
			}
		}
	}
	if names == nil {
		return nil
	}
	return &compute.Diagnosis{Kind: compute.Separation, Terms: names,
		Message: "in these levels either no patient or every patient has the outcome, so the best-fitting coefficient is infinite; gather them with other levels, or use a ridge"}
}
