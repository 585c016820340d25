package study

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Parse checks a protocol file. Every fault is an [*Error].
func Parse(src []byte) (*Study, error) {
	if len(src) > MaxFileBytes {
		return nil, &Error{Message: fmt.Sprintf("the file has %d bytes, more than %d", len(src), MaxFileBytes)}
	}
	r := &reader{}
	s := &Study{source: bytes.Clone(src)}
	if root := r.document(src); root != nil {
		s.read(r, root)
	}
	if r.fault != nil {
		return nil, r.fault
	}
	return s, nil
}

func (s *Study) read(r *reader, root *yaml.Node) {
	file := r.section(root, "", "study", "version", "title", "outcome", "features", "missing",
		"cohort", "model", "fairness", "privacy", "schedule")
	s.Name = r.name(file.need("study", "give the study a short name"), "study")
	if r.fault == nil && !studyName.MatchString(s.Name) {
		r.fail(file.values["study"], "study", "", "study: a name is up to 64 letters, digits, '.', '_' and '-', with a letter or digit at both ends")
	}
	file.need("version", "begin with version: 1")
	s.Version = file.integer("version", 1, 1, math.MaxInt32)
	s.Title = r.line(file.values["title"], "title", 300)
	s.Missing = []string{"NA"}
	if file.has("missing") {
		s.Missing = r.texts(file.values["missing"], "missing", maxValues)
	}
	s.readOutcome(r, file.need("outcome", "say which column the study is about"))
	s.readFeatures(r, file.need("features", "list the columns that the model sees"))
	s.readCohort(r, file.values["cohort"])
	s.readModel(r, file.need("model", "for instance model: {kind: glm, family: gaussian}"))
	s.readFairness(r, file.values["fairness"])
	s.readPrivacy(r, file.values["privacy"])
	s.readSchedule(r, file.values["schedule"])
	if r.fault == nil {
		s.nameTerms(r, file.values["features"])
	}
}

var studyName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$`)

func (s *Study) readOutcome(r *reader, n *yaml.Node) {
	at := r.section(n, "outcome", "column", "type", "range", "unit", "transform", "positive", "negative", "at_least")
	o := &s.Outcome
	o.Column = r.name(at.need("column", "name the outcome's column"), "outcome.column")
	at.need("type", "number or binary")
	o.Type = Type(at.choice("type", "", string(Number), string(Binary)))
	o.Unit = r.text(at.values["unit"], "outcome.unit")
	o.Scale = Identity
	switch o.Type {
	case Number:
		for _, key := range []string{"positive", "negative", "at_least"} {
			at.refuse(key, "only a binary outcome has it")
		}
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
		o.Positive = s.values(r, at.values["positive"], "outcome.positive")
		if at.has("negative") {
			o.Negative = s.values(r, at.values["negative"], "outcome.negative")
			positive := vocabularyOf(o.Positive)
			for _, value := range o.Negative {
				if _, both := positive.index(value); both {
					r.fail(at.values["negative"], "outcome.negative", "", "outcome.negative and outcome.positive both list %q", value)
				}
			}
		}
	default:
		at.need("positive", `say what counts as 1: positive: ["1"], or at_least: 49 for a column of numbers`)
	}
}

// values is a list of cell values that do not mean missing.
func (s *Study) values(r *reader, n *yaml.Node, key string) []string {
	if n == nil || r.fault != nil {
		return nil
	}
	values := r.texts(n, key, maxValues)
	for i, value := range values {
		s.refuseMissing(r, n.Content[i], key, value)
	}
	return values
}

func (s *Study) refuseMissing(r *reader, n *yaml.Node, key, value string) {
	if r.fault == nil && isMissing(s.Missing, value) {
		r.fail(n, key, "leave it out, or declare missing: [...] without it",
			"%s: %q means missing", key, value)
	}
}

// interval is [lo, hi] with lo < hi. Computations divide by the width and
// multiply by the ends, so neither may be extreme.
func (r *reader) interval(n *yaml.Node, key string) *Range {
	if n == nil || r.fault != nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) != 2 {
		r.fail(n, key, "", "%s must be [lowest, highest]", key)
		return nil
	}
	i := &Range{r.number(n.Content[0], key+"[0]"), r.number(n.Content[1], key+"[1]")}
	switch {
	case r.fault != nil:
	case !(i.Lo < i.Hi):
		r.fail(n, key, "", "%s must be [lowest, highest], with the lowest below the highest", key)
	case max(-i.Lo, i.Hi) > 1e12 || i.Hi-i.Lo < 1e-9:
		r.fail(n, key, "use another unit", "%s is too wide or too narrow to compute with: at most 1e12 from 0 and at least 1e-9 wide", key)
	}
	return i
}

func (s *Study) readFeatures(r *reader, n *yaml.Node) {
	line := map[string]int{}
	for i, element := range r.list(n, "features", MaxFeatures) {
		path := fmt.Sprintf("features[%d]", i)
		at := r.section(element, path, "column", "type", "range", "unit", "levels", "reference")
		f := Feature{Column: r.name(at.need("column", "name the feature's column"), path+".column")}
		if first := line[f.Column]; first != 0 {
			r.fail(element, path, "", "column %q is a feature already, on line %d", f.Column, first)
		}
		if f.Column == s.Outcome.Column {
			r.fail(element, path, "", "column %q is the outcome and cannot be a feature", f.Column)
		}
		line[f.Column] = element.Line
		at.need("type", "number or category")
		f.Type = Type(at.choice("type", "", string(Number), string(Category)))
		switch f.Type {
		case Number:
			at.refuse("levels", "only a category has levels")
			at.refuse("reference", "only a category has a reference level")
			f.Unit = r.text(at.values["unit"], path+".unit")
			if interval := r.interval(at.need("range", "declare the plausible values; they catch unit mistakes and bound the encoding"), path+".range"); interval != nil {
				f.Range = *interval
			}
		case Category:
			at.refuse("range", "only a number has a range")
			at.refuse("unit", "only a number has a unit")
			f.Levels = s.levels(r, at.need("levels", "list the values, the reference first"), path+".levels")
			s.readReference(r, at, &f)
		}
		if r.fault != nil {
			return
		}
		s.Features = append(s.Features, f)
	}
}

func (s *Study) readReference(r *reader, at *section, f *Feature) {
	if r.fault == nil && len(f.Levels) < 2 {
		r.fail(at.values["levels"], at.key("levels"), "", "%s: a category needs at least two levels", at.key("levels"))
	}
	n := at.values["reference"]
	if n == nil || r.fault != nil {
		return
	}
	name := r.name(n, at.key("reference"))
	f.Reference = slices.IndexFunc(f.Levels, func(level Level) bool { return level.Name == name })
	if f.Reference < 0 {
		names := make([]string, len(f.Levels))
		for i, level := range f.Levels {
			names[i] = level.Name
		}
		r.fail(n, at.key("reference"), "the levels are "+strings.Join(names, ", "), "%s: %q is not a level", at.key("reference"), name)
	}
}

// levels reads values, and names that gather several values.
func (s *Study) levels(r *reader, n *yaml.Node, key string) []Level {
	var levels []Level
	seen := newVocabulary()
	for i, element := range r.list(n, key, MaxLevels) {
		var level Level
		if element.Kind == yaml.MappingNode {
			if len(element.Content) != 2 {
				r.fail(element, key, `write {poor: ["*2/*2", "*2/*3"]}`, "%s: a gathered level is one name with a list of values", key)
				return nil
			}
			level.Name = r.name(element.Content[0], key)
			level.Values = s.values(r, element.Content[1], key+"."+level.Name)
		} else {
			level.Name = r.name(element, key)
			level.Values = []string{level.Name}
			s.refuseMissing(r, element, key, level.Name)
		}
		if slices.ContainsFunc(levels, func(other Level) bool { return other.Name == level.Name }) {
			r.fail(element, key, "", "%s: level %q is declared twice", key, level.Name)
		}
		for _, value := range level.Values {
			if !seen.add(value, i) {
				r.fail(element, key, "a number counts as the same however it is written", "%s: the value %q belongs to two levels", key, value)
			}
		}
		levels = append(levels, level)
	}
	return levels
}

func (s *Study) readCohort(r *reader, n *yaml.Node) {
	if n == nil {
		return
	}
	at := r.section(n, "cohort", "require", "exclude_if")
	if at.has("require") {
		s.Cohort.Require = r.texts(at.values["require"], "cohort.require", MaxFeatures)
		if slices.Contains(s.Cohort.Require, "") {
			r.fail(at.values["require"], "cohort.require", "", "cohort.require holds an empty name")
		}
	}
	if !at.has("exclude_if") {
		return
	}
	for i, element := range r.list(at.values["exclude_if"], "cohort.exclude_if", MaxFeatures) {
		path := fmt.Sprintf("cohort.exclude_if[%d]", i)
		rule := r.section(element, path, "column", "equals")
		e := Exclusion{Column: r.name(rule.need("column", "name the column to look at"), path+".column")}
		switch equals := rule.need("equals", "say which value excludes a record"); {
		case equals != nil && equals.Kind == yaml.SequenceNode:
			e.Equals = r.texts(equals, path+".equals", maxValues)
		case equals != nil:
			e.Equals = []string{r.text(equals, path+".equals")}
		}
		s.Cohort.ExcludeIf = append(s.Cohort.ExcludeIf, e)
	}
}

func (s *Study) readModel(r *reader, n *yaml.Node) {
	at := r.section(n, "model", "kind", "family", "ridge")
	at.need("kind", "glm fits a model, describe only counts")
	s.Model.Kind = at.choice("kind", "", GLM, Describe)
	if s.Model.Kind == Describe {
		at.refuse("family", "describe fits no model")
		at.refuse("ridge", "describe fits no model")
		return
	}
	family := at.need("family", "gaussian for a number, binomial for a binary outcome")
	s.Model.Family = at.choice("family", "", Gaussian, Binomial)
	fits := Gaussian
	if s.Outcome.Type == Binary {
		fits = Binomial
	}
	if r.fault == nil && s.Model.Family != fits {
		r.fail(family, "model.family", fmt.Sprintf("use family: %s, or change outcome.type", fits),
			"model.family: %s does not fit a %s outcome", s.Model.Family, s.Outcome.Type)
	}
	if at.has("ridge") {
		if s.Model.Ridge = r.number(at.values["ridge"], "model.ridge"); !(Range{0, 1e12}).Contains(s.Model.Ridge) {
			r.fail(at.values["ridge"], "model.ridge", "", "model.ridge must be from 0 to 1e12")
		}
	}
}

func (s *Study) readFairness(r *reader, n *yaml.Node) {
	s.Fairness.MinimumCell = 11
	if n == nil {
		return
	}
	at := r.section(n, "fairness", "attributes", "minimum_cell")
	s.Fairness.MinimumCell = at.integer("minimum_cell", 11, 1, 1_000_000)
	for i, element := range r.list(at.need("attributes", "list the columns that divide the patients into groups"), "fairness.attributes", MaxAttributes) {
		path := fmt.Sprintf("fairness.attributes[%d]", i)
		attribute := r.section(element, path, "column", "levels")
		a := Attribute{Column: r.name(attribute.need("column", "name the attribute's column"), path+".column")}
		if slices.ContainsFunc(s.Fairness.Attributes, func(other Attribute) bool { return other.Column == a.Column }) {
			r.fail(element, path, "", "column %q is an attribute already", a.Column)
		}
		// A level that is called unknown is the group that every attribute has:
		// whatever it gathers is none of the other levels.
		a.Levels = slices.DeleteFunc(s.levels(r, attribute.need("levels", "list the groups"), path+".levels"),
			func(level Level) bool { return level.Name == Unknown })
		if r.fault == nil && len(a.Levels) == 0 {
			r.fail(element, path+".levels", "list the groups", "%s.levels: there is no group but unknown", path)
		}
		s.Fairness.Attributes = append(s.Fairness.Attributes, a)
	}
}

func (s *Study) readPrivacy(r *reader, n *yaml.Node) {
	s.Privacy = Privacy{MinimumContributors: 3, Threshold: Supermajority}
	if n == nil {
		return
	}
	at := r.section(n, "privacy", "minimum_contributors", "threshold")
	// A sum hides a hospital only behind another one, so 2 is the hard floor.
	s.Privacy.MinimumContributors = at.integer("minimum_contributors", 3, 2, 10_000)
	s.Privacy.Threshold = at.choice("threshold", Supermajority, Supermajority, Unanimous)
}

func (s *Study) readSchedule(r *reader, n *yaml.Node) {
	s.Schedule = Schedule{Rounds: 25, Tolerance: 1e-10, Deadline: 2 * time.Minute}
	if n == nil {
		return
	}
	at := r.section(n, "schedule", "rounds", "tolerance", "deadline")
	s.Schedule.Rounds = at.integer("rounds", 25, 1, 1000)
	if at.has("tolerance") {
		s.Schedule.Tolerance = r.number(at.values["tolerance"], "schedule.tolerance")
		if !(s.Schedule.Tolerance > 0 && s.Schedule.Tolerance <= 0.1) {
			r.fail(at.values["tolerance"], "schedule.tolerance", "", "schedule.tolerance must be above 0 and at most 0.1")
		}
	}
	if at.has("deadline") {
		deadline, err := time.ParseDuration(r.text(at.values["deadline"], "schedule.deadline"))
		if err != nil || deadline < time.Second || deadline > 30*24*time.Hour {
			r.fail(at.values["deadline"], "schedule.deadline", "", "schedule.deadline must be a duration from 1s to 720h, such as 2m")
		}
		s.Schedule.Deadline = deadline
	}
}
