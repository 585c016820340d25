// Package describe counts who is in the data, as the first sum of every study.
//
// The sum says how many patients there are, how many at each level of each
// category and in each group of the bias audit, and, for a binary outcome, how
// many of those are positive; and for numbers their sum and sum of squares. No
// smallest or largest value ever leaves a hospital: an extreme is one person's.
//
// Where a study keeps records with missing features, the counts say in how many
// patients each feature is there.
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
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Step is the name of the first question.
const Step = "describe/counts"

const (
	maxRows  = 1 << 24 // of one site, as the layouts of every step assume
	fracBits = 60
)

// CountsLayout is the vector of the first step.
func CountsLayout(s *study.Study) []compute.Field {
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
	count("patients", 1)
	count("levels", x.levels)
	count("groups", x.groups)
	switch s.Outcome.Type {
	case study.Binary:
		count("positives", 1)
		count("level_positives", x.levels)
	case study.Survival:
		count("events", 1)
		count("level_events", x.levels)
	}
	if s.Outcome.Type != study.Binary {
		sum("outcome", 1)
		sum("outcome_squared", 1)
	}
	sum("numbers", len(x.numbers))
	sum("numbers_squared", len(x.numbers))
	if s.KeepsMissing() {
		count("present", len(s.Features))
		count("products_present", x.products)
	}
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
	numbers    []int     // terms that are numbers: of a feature, of its spline, or a product
	products   int       // how many of them are products
	mid, half  []float64 // of each number's bounds
	outMid     float64   // of the outcome's range, if it has one
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
	for _, a := range s.CountedAttributes() {
		x.groupAt = append(x.groupAt, x.groups)
		x.groups += len(a.Groups())
	}
	for j, t := range x.terms {
		if j > 0 && t.Level < 0 {
			x.numbers = append(x.numbers, j)
			x.mid = append(x.mid, t.Lo/2+t.Hi/2)
			x.half = append(x.half, t.Hi/2-t.Lo/2)
			if t.Feature < 0 {
				x.products++
			}
		}
	}
	if r := s.Outcome.Range; s.Outcome.Type != study.Binary {
		x.outMid, x.outHalf = r.Lo/2+r.Hi/2, r.Hi/2-r.Lo/2
	}
	return x
}

// AnswerCounts is a site's vector for the first step.
func AnswerCounts(s *study.Study, m *study.Matrix) ([]float64, error) {
	if err := checkRows(m); err != nil {
		return nil, err
	}
	x := newIndex(s)
	binary, survival := s.Outcome.Type == study.Binary, s.Outcome.Type == study.Survival
	levels := make([]float64, x.levels)
	levelHappened := make([]float64, x.levels)
	groups := make([]float64, x.groups)
	present := make([]float64, len(s.Features))
	var productsPresent []float64
	happened := 0.0
	numbers := compute.NewAccumulator(len(x.numbers))
	squares := compute.NewAccumulator(len(x.numbers))
	products := make([]float64, len(x.numbers))
	outcome := compute.NewAccumulator(2)
	at := make([]int, len(s.Features))
	var row []float64
	for i := range m.Rows() {
		row = m.AppendRow(row[:0], i)
		y := m.Outcome(i)
		did := binary && y == 1 || survival && m.Event(i)
		if did {
			happened++
		}
		x.place(at, row)
		for f, level := range at {
			switch {
			case level == missing:
				continue
			case level >= 0:
				levels[level]++
				if did {
					levelHappened[level]++
				}
			}
			present[f]++
		}
		for a, first := range x.groupAt {
			groups[first+m.Group(i, a)]++
		}
		for k, j := range x.numbers {
			if math.IsNaN(row[j]) {
				continue
			}
			z := (row[j] - x.mid[k]) / x.half[k]
			numbers.Add(k, z)
			squares.Add(k, z*z)
			products[k]++
		}
		if !binary {
			z := (y - x.outMid) / x.outHalf
			outcome.Add(0, z)
			outcome.Add(1, z*z)
		}
	}
	out := append([]float64{float64(m.Rows())}, levels...)
	out = append(out, groups...)
	if binary || survival {
		out = append(append(out, happened), levelHappened...)
	}
	if !binary {
		out = append(out, outcome.Values()...)
	}
	out = append(out, numbers.Values()...)
	out = append(out, squares.Values()...)
	if s.KeepsMissing() {
		for k, j := range x.numbers {
			if x.terms[j].Feature < 0 {
				productsPresent = append(productsPresent, products[k])
			}
		}
		out = append(append(out, present...), productsPresent...)
	}
	return out, nil
}

// missing stands for the level of a record whose feature is missing.
const missing = -2

// place finds the level of each category in a row, its position among all
// levels; -1 for a number, or missing.
func (x index) place(at []int, row []float64) {
	copy(at, x.references)
	for j, t := range x.terms {
		switch {
		case t.Feature < 0 || t.Knot > 0:
		case math.IsNaN(row[j]):
			at[t.Feature] = missing
		case t.Level >= 0 && row[j] == 1:
			at[t.Feature] = x.levelAt[t.Feature] + t.Level
		}
	}
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
	Events       int // survival outcomes only

	study         *study.Study
	index         index
	levels        []int
	levelHappened []int // positives or events
	groups        []int
	outcome       [2]float64 // scaled
	numbers       []float64  // scaled
	squares       []float64
	present       []int // by feature: patients in whom it is not missing
	observed      []int // by number: the same
}

// Read takes the opened sum apart.
func Read(s *study.Study, sum compute.Sum) (*Counts, error) {
	c := &Counts{Contributors: sum.Contributors, study: s, index: newIndex(s)}
	if err := checkSum(sum, CountsLayout(s)); err != nil {
		return nil, err
	}
	c.Patients = whole(sum.Field("patients"))[0]
	c.levels = whole(sum.Field("levels"))
	c.groups = whole(sum.Field("groups"))
	switch s.Outcome.Type {
	case study.Binary:
		c.Positives = whole(sum.Field("positives"))[0]
		c.levelHappened = whole(sum.Field("level_positives"))
	case study.Survival:
		c.Events = whole(sum.Field("events"))[0]
		c.levelHappened = whole(sum.Field("level_events"))
	}
	if s.Outcome.Type != study.Binary {
		c.outcome = [2]float64{sum.Field("outcome")[0], sum.Field("outcome_squared")[0]}
	}
	c.numbers = sum.Field("numbers")
	c.squares = sum.Field("numbers_squared")
	c.count(sum)
	return c, nil
}

// count fills in how many patients have each feature and each number.
func (c *Counts) count(sum compute.Sum) {
	c.present = slices.Repeat([]int{c.Patients}, len(c.study.Features))
	products := slices.Repeat([]int{c.Patients}, c.index.products)
	if c.study.KeepsMissing() {
		c.present = whole(sum.Field("present"))
		products = whole(sum.Field("products_present"))
	}
	for _, j := range c.index.numbers {
		if f := c.index.terms[j].Feature; f >= 0 {
			c.observed = append(c.observed, c.present[f])
			continue
		}
		c.observed = append(c.observed, products[0])
		products = products[1:]
	}
}

// checkSum makes sure that an opened sum has the fields of a layout.
func checkSum(sum compute.Sum, layout []compute.Field) error {
	for _, f := range layout {
		if len(sum.Field(f.Name)) != f.Length {
			return fmt.Errorf("the opened sum has no field %q of length %d", f.Name, f.Length)
		}
	}
	return nil
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

// Means of the columns of the design matrix over the patients in whom they are
// not missing, in their units and without weights. A column that nobody has is
// put in the middle of its bounds.
func (c *Counts) Means() []float64 {
	out := make([]float64, len(c.index.terms))
	out[0] = 1
	for j, t := range c.index.terms {
		if t.Level >= 0 && c.present[t.Feature] > 0 {
			out[j] = float64(c.levels[c.index.levelAt[t.Feature]+t.Level]) / float64(c.present[t.Feature])
		}
	}
	for k, j := range c.index.numbers {
		out[j] = c.index.mid[k]
		if c.observed[k] > 0 {
			out[j] += c.index.half[k] * c.numbers[k] / float64(c.observed[k])
		}
	}
	return out
}

// MeanOutcome is the mean over all patients of a number, a count or a time, in
// its unit.
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

// PatientsPerCoefficient is the least number of patients for each coefficient
// of a model. With fewer the fit begins to describe single patients: DataSHIELD
// refuses a model with more parameters than a third of its records.
const PatientsPerCoefficient = 3

// Diagnose returns why no model can be fitted, nil if the counts know no reason.
func (c *Counts) Diagnose() *compute.Diagnosis {
	if d := c.tooFew(); d != nil {
		return d
	}
	if d := c.emptyReference(); d != nil {
		return d
	}
	if d := c.constant(); d != nil {
		return d
	}
	if c.coefficients() == 0 || c.study.Model.Ridge > 0 {
		return nil
	}
	return c.separated()
}

// coefficients is the number of a model that has them: trees and networks do
// not go by it.
func (c *Counts) coefficients() int {
	empty, _ := c.Empty()
	switch c.study.Model.Kind {
	case study.GLM:
		return len(c.index.terms) - len(empty)
	case study.Cox:
		return len(c.index.terms) - len(empty) - 1
	}
	return 0
}

func (c *Counts) tooFew() *compute.Diagnosis {
	p := c.coefficients()
	switch {
	case c.Patients == 0 || c.Patients < c.study.Fairness.MinimumCell || c.Patients < PatientsPerCoefficient*p:
		message := fmt.Sprintf("a model needs at least the minimum cell of %d patients", c.study.Fairness.MinimumCell)
		if p > 0 {
			message = fmt.Sprintf("a model of %d coefficients needs at least %d patients for each of them, and at least the minimum cell of %d", p, PatientsPerCoefficient, c.study.Fairness.MinimumCell)
		}
		return &compute.Diagnosis{Kind: compute.TooFewPatients, Message: message + "; see the site's dry run for why records were skipped"}
	case c.study.Model.Kind == study.Cox && c.Events > 0 && c.Events < p:
		return &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: fmt.Sprintf("a proportional hazards model of %d coefficients needs more events than there are; leave features out, or wait for more events", p)}
	}
	return nil
}

// constant finds an outcome that does not vary.
func (c *Counts) constant() *compute.Diagnosis {
	what := ""
	switch {
	case c.study.Outcome.Type == study.Binary && c.Positives == 0:
		what = "no patient has the outcome, so nothing distinguishes those who respond"
	case c.study.Outcome.Type == study.Binary && c.Positives == c.Patients:
		what = "every patient has the outcome, so nothing distinguishes those who respond"
	case c.study.Outcome.Type == study.Survival && c.Events == 0:
		what = "no patient had the event, so nothing distinguishes those who have it sooner; check outcome.event.positive"
	}
	if what == "" {
		return nil
	}
	return &compute.Diagnosis{Kind: compute.ConstantTarget, Message: what}
}

// emptyReference finds a feature of which nobody has the reference level. Its
// other levels then add up to the intercept; only a ridge can tell them apart.
func (c *Counts) emptyReference() *compute.Diagnosis {
	if c.coefficients() == 0 || c.study.Model.Ridge > 0 {
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
// likelihood estimate is infinite (Albert and Anderson, Biometrika 71, 1984; for
// a level without events, Bryson and Johnson, Technometrics 23, 1981).
func (c *Counts) separated() *compute.Diagnosis {
	var names []string
	for f, feature := range c.study.Features {
		if c.index.levelAt[f] < 0 || c.levelHappened == nil {
			continue
		}
		for l, level := range feature.Levels {
			n := c.levels[c.index.levelAt[f]+l]
			did := c.levelHappened[c.index.levelAt[f]+l]
			if n > 0 && (did == 0 || did == n && c.study.Outcome.Type == study.Binary) {
				names = append(names, feature.Column+"="+level.Name)
			}
		}
	}
	if names == nil {
		return nil
	}
	message := "in these levels either no patient or every patient has the outcome, so the best-fitting coefficient is infinite; gather them with other levels, or use a ridge"
	if c.study.Outcome.Type == study.Survival {
		message = "in these levels no patient had the event, so the best-fitting coefficient is infinite; gather them with other levels, or use a ridge"
	}
	return &compute.Diagnosis{Kind: compute.Separation, Terms: names, Message: message}
}
