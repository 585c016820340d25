package study

import (
	"math"

	"go.yaml.in/yaml/v3"
)

// maxGrid is the most times that a survival outcome's grid may have.
const maxGrid = 1000

// defaultGrid is the number of equal steps of a grid that the file leaves out.
const defaultGrid = 50

func (s *Study) readOutcome(r *reader, n *yaml.Node) {
	at := r.section(n, "outcome", "column", "type", "range", "unit", "transform", "positive", "negative", "at_least", "time", "event")
	o := &s.Outcome
	o.Scale = Identity
	at.need("type", "number, binary, count or survival")
	o.Type = Type(at.choice("type", "", string(Number), string(Binary), string(Count), string(Survival)))
	if o.Type == Survival {
		s.readSurvival(r, at)
		return
	}
	o.Column = r.name(at.need("column", "name the outcome's column"), "outcome.column")
	o.Unit = r.text(at.values["unit"], "outcome.unit")
	at.refuse("time", "only a survival outcome has it")
	at.refuse("event", "only a survival outcome has it")
	if o.Type == Number || o.Type == Count {
		for _, key := range []string{"positive", "negative", "at_least"} {
			at.refuse(key, "only a binary outcome has it")
		}
	}
	switch o.Type {
	case Number:
		o.Range = r.interval(at.need("range", "declare the plausible values, such as range: [2, 320]; they catch unit mistakes and bound the encoding"), "outcome.range")
		o.Scale = Scale(at.choice("transform", string(Identity), string(Identity), string(Sqrt), string(Log)))
		if o.Range == nil || r.fault != nil {
			return
		}
		if o.Scale == Sqrt && o.Range.Lo < 0 {
			r.fail(at.values["range"], "outcome.range", "", "outcome.range begins below 0, where there is no square root")
		}
		if o.Scale == Log && o.Range.Lo <= 0 {
			r.fail(at.values["range"], "outcome.range", "", "outcome.range must begin above 0 for a logarithm")
		}
	case Count:
		at.refuse("transform", "a count has none: its model has a logarithm of its own")
		o.Range = r.interval(at.need("range", "declare the plausible counts, such as range: [0, 50]; they catch mistakes and bound the encoding"), "outcome.range")
		if r.fault == nil && (o.Range.Lo < 0 || o.Range.Lo != math.Trunc(o.Range.Lo) || o.Range.Hi != math.Trunc(o.Range.Hi)) {
			r.fail(at.values["range"], "outcome.range", "", "outcome.range must go from one whole number to another, neither below 0: a count is one")
		}
	case Binary:
		at.refuse("transform", "a binary outcome has none")
		s.readBinary(r, at)
	}
}

func (s *Study) readBinary(r *reader, at *section) {
	o := &s.Outcome
	switch {
	case at.has("positive") && at.has("at_least"):
		at.refuse("at_least", "positive already says what counts as 1")
	case at.has("at_least"):
		at.refuse("negative", "every number below at_least counts as 0")
		limit := r.number(at.values["at_least"], "outcome.at_least")
		o.AtLeast = &limit
		if at.has("range") {
			o.Range = r.interval(at.values["range"], "outcome.range")
		}
		if o.Range != nil && r.fault == nil && (limit <= o.Range.Lo || limit > o.Range.Hi) {
			r.fail(at.values["at_least"], "outcome.at_least", "", "outcome.at_least does not divide outcome.range")
		}
	case at.has("positive"):
		at.refuse("range", "listed values have none")
		o.Positive, o.Negative = s.sides(r, at)
	default:
		at.need("positive", `say what counts as 1: positive: ["1"], or at_least: 49 for a column of numbers`)
	}
}

// sides are the values that mean yes, and those that mean no where they are
// listed.
func (s *Study) sides(r *reader, at *section) (positive, negative []string) {
	positive = s.values(r, at.values["positive"], at.key("positive"))
	if !at.has("negative") {
		return positive, nil
	}
	negative = s.values(r, at.values["negative"], at.key("negative"))
	words := vocabularyOf(positive)
	for _, value := range negative {
		if _, both := words.index(value); both {
			r.fail(at.values["negative"], at.key("negative"), "", "%s and %s both list %q", at.key("negative"), at.key("positive"), value)
		}
	}
	return positive, negative
}

func (s *Study) readSurvival(r *reader, at *section) {
	o := &s.Outcome
	for _, key := range []string{"column", "range", "unit"} {
		at.refuse(key, "a survival outcome has it in time: {column, range, unit}")
	}
	for _, key := range []string{"positive", "negative"} {
		at.refuse(key, "a survival outcome has it in event: {column, positive, negative}")
	}
	at.refuse("transform", "a survival outcome has none")
	at.refuse("at_least", "only a binary outcome has it")

	time := r.section(at.need("time", "for instance time: {column: days, range: [0, 5000], unit: d}"), "outcome.time", "column", "range", "unit", "grid")
	o.Column = r.name(time.need("column", "name the column of the time until the event, or until the patient was last seen"), "outcome.time.column")
	o.Unit = r.text(time.values["unit"], "outcome.time.unit")
	o.Range = r.interval(time.need("range", "declare the plausible times, such as range: [0, 5000]; they catch unit mistakes and bound the encoding"), "outcome.time.range")
	if r.fault == nil && o.Range.Lo < 0 {
		r.fail(time.values["range"], "outcome.time.range", "", "outcome.time.range begins below 0: time is counted from the patient's entry")
	}

	event := r.section(at.need("event", `for instance event: {column: status, positive: ["1"]}`), "outcome.event", "column", "positive", "negative")
	o.Event = &Event{Column: r.name(event.need("column", "name the column that says whether the event happened"), "outcome.event.column")}
	if r.fault == nil && o.Event.Column == o.Column {
		r.fail(event.values["column"], "outcome.event.column", "", "column %q is the outcome's time and cannot be its event", o.Column)
	}
	event.need("positive", `say which values mean that the event happened: positive: ["1"]; all others mean censored, unless negative: lists those`)
	o.Event.Positive, o.Event.Negative = s.sides(r, event)
	if r.fault == nil {
		o.Grid = o.Range.grid(r, time.values["grid"])
	}
	if r.fault == nil && !ascending(append([]float64{o.Range.Lo}, o.Grid...)) {
		r.fail(time.values["range"], "outcome.time.range", "use another unit", "outcome.time.range is too narrow, so far from 0, for its grid")
	}
}

// grid reads ascending times above the range's beginning and not beyond its
// end: a list, a step, or by default equal steps. Products are rounded before
// they are added, so that every processor gets the same times.
func (i *Range) grid(r *reader, n *yaml.Node) []float64 {
	const key = "outcome.time.grid"
	if n == nil {
		return i.equally(defaultGrid)
	}
	var times []float64
	if n.Kind == yaml.MappingNode {
		at := r.section(n, key, "step")
		step := r.number(at.need("step", "such as grid: {step: 30}"), key+".step")
		if r.fault == nil && !(step > 0 && (i.Hi-i.Lo)/step <= maxGrid) {
			r.fail(at.values["step"], key+".step", "", "%s.step must be above 0 and divide the range into at most %d", key, maxGrid)
		}
		for k := 1; r.fault == nil; k++ {
			t := i.Lo + float64(float64(k)*step)
			if !(t < i.Hi) {
				return append(times, i.Hi)
			}
			times = append(times, t)
		}
		return nil
	}
	last := i.Lo
	for _, element := range r.list(n, key, maxGrid) {
		t := r.number(element, key)
		if r.fault == nil && !(t > last && t <= i.Hi) {
			r.fail(element, key, "", "%s must list ascending times above the beginning of outcome.time.range and not beyond its end", key)
		}
		last = t
		times = append(times, t)
	}
	return times
}

func ascending(x []float64) bool {
	for i := 1; i < len(x); i++ {
		if !(x[i-1] < x[i]) {
			return false
		}
	}
	return true
}

// equally divides the range into n and gives the ends of the parts.
func (i *Range) equally(n int) []float64 {
	ends := make([]float64, n)
	for k := range ends {
		ends[k] = i.Lo + float64((i.Hi-i.Lo)*float64(k+1)/float64(n))
	}
	ends[n-1] = i.Hi
	return ends
}
