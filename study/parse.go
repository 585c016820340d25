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
		"cohort", "model", "validation", "fairness", "mitigation", "privacy", "schedule", "monitor")
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
	s.readValidation(r, file.values["validation"])
	s.readFairness(r, file.values["fairness"])
	s.readMitigation(r, file.values["mitigation"])
	s.readPrivacy(r, file.values["privacy"])
	s.readMonitor(r, file.values["monitor"], file)
	s.readSchedule(r, file.values["schedule"])
	s.checkPrivate(r, file.values)
	s.checkNoise(r, file.values)
	if r.fault == nil {
		s.nameTerms(r, file.values["features"], file.values["model"])
	}
	if r.fault == nil {
		s.boundNetwork(r, file.values["model"])
		s.boundFairFed(r, file.values["mitigation"])
	}
}

var studyName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,62}[a-zA-Z0-9])?$`)

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
	case i.extreme():
		r.fail(n, key, "use another unit", "%s is too wide or too narrow to compute with: at most 1e12 from 0 and at least 1e-9 wide", key)
	}
	return i
}

func (r Range) extreme() bool { return max(-r.Lo, r.Hi) > 1e12 || r.Hi-r.Lo < 1e-9 }

func (s *Study) readFeatures(r *reader, n *yaml.Node) {
	line := map[string]int{}
	for i, element := range r.list(n, "features", MaxFeatures) {
		path := fmt.Sprintf("features[%d]", i)
		at := r.section(element, path, "column", "type", "range", "unit", "levels", "reference")
		f := Feature{Column: r.name(at.need("column", "name the feature's column"), path+".column")}
		if first := line[f.Column]; first != 0 {
			r.fail(element, path, "", "column %q is a feature already, on line %d", f.Column, first)
		}
		s.refuseOutcome(r, element, path, f.Column, "a feature")
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

// refuseOutcome keeps what is to be predicted out of what predicts it.
func (s *Study) refuseOutcome(r *reader, n *yaml.Node, key, column, role string) {
	switch {
	case r.fault != nil || column == "":
	case column == s.Outcome.Column && s.Outcome.Type == Survival:
		r.fail(n, key, "", "column %q is the outcome's time and cannot be %s", column, role)
	case column == s.Outcome.Column:
		r.fail(n, key, "", "column %q is the outcome and cannot be %s", column, role)
	case s.Outcome.Event != nil && column == s.Outcome.Event.Column:
		r.fail(n, key, "", "column %q is the outcome's event and cannot be %s", column, role)
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
