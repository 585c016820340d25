package study

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Fairness says for whom the model's errors are audited, what may be shown, and
// what would count as a disparity: all of it before there is a result. Without
// attributes the audit covers the whole cohort only.
type Fairness struct {
	Attributes    []Attribute
	Intersections [][]int // of attributes, by index ascending; shorter ones first

	// Disclosure. A group is shown if it has MinimumCell patients, of at least
	// MinimumSites hospitals, none with more than LargestShare of them.
	MinimumCell  int
	MinimumSites int
	LargestShare float64
	// Complementary withholds, beside what is small, all that it could be worked
	// out from: groups beside a small one, and rates that tell of few.
	Complementary bool

	Bands      []float64   // ascending cuts between clinical bands of a number or a count
	Thresholds []float64   // ascending, of a binary outcome; nil for 0.5 and the prevalence
	Times      []float64   // ascending times of a survival outcome's grid, at which predicted and observed risks are compared
	Hospitals  []Hospitals // metrics by which hospitals are counted
	Metrics    []string    // that groups are compared by; nil for the usual ones
	Criteria   []Criterion
	Bootstrap  int    // replicates; 0 for none
	Every      int    // rounds of training after which the model so far is audited; 0 for never
	Noise      *Noise // on the audit's sums; nil for none

	Purpose *Purpose // of an audit by ancestry
}

// Attribute divides the cohort into groups: its levels, then Unknown.
type Attribute struct {
	Column    string
	Levels    []Level
	Reference string  // the group that others are compared with; empty for the largest
	Ancestry  bool    // speaks of descent: the study states why it is looked at
	Merges    []Merge // of groups that are too small to be shown apart
}

// Merge gathers groups under one name where any of them is too small.
type Merge struct {
	Name   string
	Groups []int // ascending
}

// Criterion is what the study will call a disparity.
type Criterion struct {
	Metric    string
	Attribute int // -1 for all
	Margin    float64
	Ratio     bool // of group to reference, at most 1+Margin and at least 1/(1+Margin); otherwise their difference
	// What becomes of the release where the criterion fails, and where the evidence
	// does not suffice to tell.
	OnFail         Consequence // Block or Warn
	OnInsufficient Consequence // Block, Warn or Offer
}

// Consequence is what a verdict does to a release.
type Consequence string

const (
	Offer Consequence = "offer" // it stands in no way
	Warn  Consequence = "warn"  // hospitals are offered the release with a warning
	Block Consequence = "block" // they are not offered it, unless an auditor overrides that
)

// Purpose says why patients are told apart by descent, and what permits it.
type Purpose struct{ Stratification, Basis string }

// Limits of an audit.
const (
	MaxAuditGroups     = 1000 // of the attributes and intersections together
	MaxAuditReplicates = 1000
	maxIntersected     = 3 // attributes in one intersection
	maxCuts            = 10
)

// Groups names the attribute's groups in the order of [Matrix.Group].
func (a Attribute) Groups() []string {
	names := make([]string, 0, len(a.Levels)+1)
	for _, level := range a.Levels {
		names = append(names, level.Name)
	}
	return append(names, Unknown)
}

func (s *Study) readFairness(r *reader, n *yaml.Node) {
	f := &s.Fairness
	f.MinimumCell, f.MinimumSites, f.LargestShare, f.Bootstrap = 11, 3, 0.85, 200
	f.Complementary = true
	if n == nil {
		return
	}
	at := r.section(n, "fairness", "attributes", "minimum_cell", "intersections", "minimum_sites", "largest_share", "disclosure",
		"reference", "bands", "thresholds", "metrics", "criteria", "bootstrap", "every", "purpose", "times", "hospitals", "noise")
	refuseBesideNoise(at)
	f.MinimumCell = at.integer("minimum_cell", 11, 1, 1_000_000)
	f.MinimumSites = at.integer("minimum_sites", 3, 1, 10_000)
	f.LargestShare = at.real("largest_share", 0.85, 0.01, 1)
	// Beside noise the word is refused.
	f.Complementary = at.choice("disclosure", "complementary", "complementary", "primary") == "complementary" && !at.has("noise")
	f.Every = at.integer("every", 0, 1, 1000)
	if s.Model.Kind != Boost && s.Model.Kind != Neural {
		at.refuse("every", "boosted trees and networks are trained round by round; other models are audited once they are fitted")
	} else if s.HasBaseline() {
		at.refuse("every", "the baseline is estimated when all trees are grown, so trees that still grow have no risks to audit; leave model.baseline or fairness.every out")
	}
	f.Bootstrap = at.integer("bootstrap", 200, 0, MaxAuditReplicates)
	if f.Bootstrap > 0 && f.Bootstrap < 50 {
		r.fail(at.values["bootstrap"], "fairness.bootstrap", "write 0 for none", "fairness.bootstrap: fewer than 50 replicates have no 95%% interval")
	}
	// Without any, all patients are audited as one group: nothing is compared.
	if slices.ContainsFunc([]string{"attributes", "intersections", "reference", "criteria", "purpose"}, at.has) {
		for i, element := range r.list(at.need("attributes", "list the columns that divide the patients into groups"), "fairness.attributes", MaxAttributes) {
			s.readAttribute(r, element, fmt.Sprintf("fairness.attributes[%d]", i))
		}
	}
	if at.has("reference") {
		s.readReferences(r, at.values["reference"])
	}
	s.readIntersections(r, at)
	s.readCuts(r, at)
	s.readTimes(r, at)
	s.readHospitals(r, at)
	s.readNoise(r, at)
	s.readCriteria(r, at)
	s.readPurpose(r, at)
}

func (s *Study) readAttribute(r *reader, element *yaml.Node, path string) {
	at := r.section(element, path, "column", "levels", "ancestry", "merge")
	a := Attribute{Column: r.name(at.need("column", "name the attribute's column"), path+".column")}
	if slices.ContainsFunc(s.Fairness.Attributes, func(other Attribute) bool { return other.Column == a.Column }) {
		r.fail(element, path, "", "column %q is an attribute already", a.Column)
	}
	// A level that is called unknown is the group that every attribute has:
	// whatever it gathers is none of the other levels.
	a.Levels = slices.DeleteFunc(s.levels(r, at.need("levels", "list the groups"), path+".levels"),
		func(level Level) bool { return level.Name == Unknown })
	if r.fault == nil && len(a.Levels) == 0 {
		r.fail(element, path+".levels", "list the groups", "%s.levels: there is no group but unknown", path)
	}
	a.Ancestry = at.choice("ancestry", "false", "true", "false") == "true"
	if merge := at.values["merge"]; merge != nil && r.fault == nil {
		a.readMerges(r, merge, path+".merge")
	}
	s.Fairness.Attributes = append(s.Fairness.Attributes, a)
}

// readMerges reads names with the groups that each gathers; no group is in two.
func (a *Attribute) readMerges(r *reader, n *yaml.Node, path string) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, path, "write {Other: [A, B]}", "%s must be names with lists of groups", path)
		return
	}
	names := a.Groups()
	taken := map[int]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		m := Merge{Name: r.name(n.Content[i], path)}
		if slices.Contains(names, m.Name) || slices.ContainsFunc(a.Merges, func(o Merge) bool { return o.Name == m.Name }) {
			r.fail(n.Content[i], path, "", "%s: there is a group %q already", path, m.Name)
		}
		for _, name := range r.texts(n.Content[i+1], path+"."+m.Name, MaxLevels) {
			g := slices.Index(names, name)
			if g < 0 || taken[g] {
				r.fail(n.Content[i+1], path, "the groups are "+strings.Join(names, ", "), "%s: %q is no group, or is gathered twice", path, name)
				return
			}
			taken[g] = true
			m.Groups = append(m.Groups, g)
		}
		if r.fault == nil && len(m.Groups) < 2 {
			r.fail(n.Content[i+1], path, "", "%s: %q gathers a single group", path, m.Name)
		}
		slices.Sort(m.Groups)
		a.Merges = append(a.Merges, m)
	}
}

// attribute is the index of a declared attribute.
func (s *Study) attribute(r *reader, n *yaml.Node, key, column string) int {
	i := slices.IndexFunc(s.Fairness.Attributes, func(a Attribute) bool { return a.Column == column })
	if i < 0 {
		var names []string
		for _, a := range s.Fairness.Attributes {
			names = append(names, a.Column)
		}
		r.fail(n, key, "the attributes are "+strings.Join(names, ", "), "%s: %q is no attribute", key, column)
	}
	return i
}

func (s *Study) readReferences(r *reader, n *yaml.Node) {
	const path = "fairness.reference"
	if r.fault != nil {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, path, "write {sex: female}", "%s must be attributes with levels", path)
		return
	}
	seen := map[int]bool{}
	for i := 0; i+1 < len(n.Content) && r.fault == nil; i += 2 {
		a := s.attribute(r, n.Content[i], path, r.name(n.Content[i], path))
		if a < 0 {
			return
		}
		if seen[a] {
			r.fail(n.Content[i], path, "remove one of the two", "%s: %q twice", path, s.Fairness.Attributes[a].Column)
		}
		seen[a] = true
		names, level := s.Fairness.Attributes[a].Groups(), r.name(n.Content[i+1], path)
		if !slices.Contains(names, level) {
			r.fail(n.Content[i+1], path, "the groups are "+strings.Join(names, ", "), "%s: %q is no group of %s", path, level, s.Fairness.Attributes[a].Column)
		}
		s.Fairness.Attributes[a].Reference = level
	}
}

// readIntersections reads a depth, or the combinations themselves.
func (s *Study) readIntersections(r *reader, at *section) {
	const path = "fairness.intersections"
	f := &s.Fairness
	n := at.values["intersections"]
	if r.fault != nil {
		return
	}
	switch {
	case n == nil:
	case n.Kind == yaml.ScalarNode:
		depth := r.whole(n, path, 1, maxIntersected)
		if r.fault == nil && depth > 1 && depth > len(f.Attributes) {
			r.fail(n, path, "", "%s: there are only %d attributes", path, len(f.Attributes))
		}
		for size := 2; size <= depth; size++ {
			f.Intersections = append(f.Intersections, combinations(len(f.Attributes), size)...)
		}
	default:
		for i, element := range r.list(n, path, MaxAuditGroups) {
			key := fmt.Sprintf("%s[%d]", path, i)
			var of []int
			for _, column := range r.texts(element, key, maxIntersected) {
				of = append(of, s.attribute(r, element, key, column))
			}
			slices.Sort(of)
			switch {
			case r.fault != nil:
			case len(of) < 2:
				r.fail(element, key, "write [sex, race]", "%s: an intersection is of at least two attributes", key)
			case slices.ContainsFunc(f.Intersections, func(o []int) bool { return slices.Equal(o, of) }):
				r.fail(element, key, "remove one of the two", "%s: the intersection is declared twice", key)
			}
			f.Intersections = append(f.Intersections, of)
		}
		slices.SortStableFunc(f.Intersections, func(a, b []int) int { return len(a) - len(b) })
	}
	groups := 0
	for _, a := range f.Attributes {
		groups += len(a.Levels) + 1
	}
	for _, of := range f.Intersections {
		cells := 1
		for _, a := range of {
			if a >= 0 {
				cells *= len(f.Attributes[a].Levels) + 1
			}
		}
		groups = min(groups+cells, 1<<40)
	}
	if r.fault == nil && n != nil && groups > MaxAuditGroups {
		r.fail(n, path, "declare fewer intersections", "%s: the audit would have %d groups, more than %d", path, groups, MaxAuditGroups)
	}
}

// combinations of size out of n, in order.
func combinations(n, size int) (out [][]int) {
	var grow func(from int, so []int)
	grow = func(from int, so []int) {
		if len(so) == size {
			out = append(out, slices.Clone(so))
			return
		}
		for i := from; i < n; i++ {
			grow(i+1, append(so, i))
		}
	}
	grow(0, nil)
	return out
}

// readCuts reads the bands of a number and the thresholds of a probability.
func (s *Study) readCuts(r *reader, at *section) {
	if s.Outcome.Type == Binary {
		at.refuse("bands", "only a number or a count has bands")
	} else {
		at.refuse("thresholds", "only a binary outcome has thresholds")
	}
	if s.Outcome.Type == Survival {
		at.refuse("bands", "only a number or a count has bands")
	}
	within := Range{0, 1}
	if s.Outcome.Type != Binary && s.Outcome.Range != nil {
		within = *s.Outcome.Range
	}
	cuts := func(name string) (out []float64) {
		if !at.has(name) {
			return nil
		}
		key := "fairness." + name
		for i, element := range r.list(at.values[name], key, maxCuts) {
			x := r.number(element, fmt.Sprintf("%s[%d]", key, i))
			if r.fault == nil && (!(within.Lo < x && x < within.Hi) || i > 0 && !(out[i-1] < x)) {
				r.fail(element, key, "", "%s must ascend between %s and %s", key, decimal(within.Lo), decimal(within.Hi))
			}
			out = append(out, x)
		}
		return out
	}
	s.Fairness.Bands, s.Fairness.Thresholds = cuts("bands"), cuts("thresholds")
}

func (s *Study) readCriteria(r *reader, at *section) {
	known := s.ComparableMetrics()
	refuse := func(n *yaml.Node, key, metric string) {
		if r.fault == nil && !slices.Contains(known, metric) {
			hint := "groups are compared by " + strings.Join(known, ", ")
			if near := Nearest(metric, known); near != "" {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			r.fail(n, key, hint, "%s: %q is no metric of this outcome by which groups are compared", key, metric)
		}
	}
	if at.has("metrics") {
		s.Fairness.Metrics = r.texts(at.values["metrics"], "fairness.metrics", len(known))
		for i, metric := range s.Fairness.Metrics {
			refuse(at.values["metrics"].Content[i], "fairness.metrics", metric)
		}
	}
	if !at.has("criteria") {
		return
	}
	for i, element := range r.list(at.values["criteria"], "fairness.criteria", MaxAttributes) {
		path := fmt.Sprintf("fairness.criteria[%d]", i)
		one := r.section(element, path, "metric", "attribute", "margin", "kind", "on_fail", "on_insufficient")
		c := Criterion{Metric: r.name(one.need("metric", "say what is compared"), path+".metric"), Attribute: -1}
		refuse(element, path+".metric", c.Metric)
		if one.has("attribute") {
			if column := r.name(one.values["attribute"], path+".attribute"); column != "all" {
				c.Attribute = s.attribute(r, one.values["attribute"], path+".attribute", column)
			}
		}
		one.need("margin", "say how large a difference counts as none")
		c.Margin = one.real("margin", 0, 0, 1e12)
		c.Ratio = one.choice("kind", "difference", "difference", "ratio") == "ratio"
		if r.fault == nil && c.Ratio && slices.Contains([]string{"bias", "calibration_in_the_large", "log_fold_error", "correlation", "mean_predicted"}, c.Metric) {
			r.fail(element, path+".kind", "use a difference", "%s.kind: %s can be zero or negative and has no ratio", path, c.Metric)
		}
		// A disparity that the study itself called one in advance is no reason for a
		// footnote; that too few patients were seen is no proof of one.
		c.OnFail = Consequence(one.choice("on_fail", string(Block), string(Block), string(Warn)))
		c.OnInsufficient = Consequence(one.choice("on_insufficient", string(Warn), string(Block), string(Warn), string(Offer)))
		if r.fault == nil && slices.ContainsFunc(s.Fairness.Criteria, c.same) {
			r.fail(element, path, "remove one of the two", "%s: the criterion is declared twice", path)
		}
		s.Fairness.Criteria = append(s.Fairness.Criteria, c)
	}
}

// same reports whether two criteria ask the same, whatever they do about it.
func (c Criterion) same(other Criterion) bool {
	return c.Metric == other.Metric && c.Attribute == other.Attribute && c.Margin == other.Margin && c.Ratio == other.Ratio
}

// readPurpose asks for a reason where patients are told apart by descent:
// consent and law often permit it for some purposes only.
func (s *Study) readPurpose(r *reader, at *section) {
	if r.fault != nil {
		return
	}
	i := slices.IndexFunc(s.Fairness.Attributes, func(a Attribute) bool { return a.Ancestry })
	switch {
	case i < 0:
		at.refuse("purpose", "no attribute is marked ancestry: true")
	case !at.has("purpose"):
		r.fail(at.node, "fairness.purpose", "write purpose: {stratification: ..., basis: ...}",
			"%s speaks of descent: say why the audit looks at it, and on what basis", s.Fairness.Attributes[i].Column)
	default:
		of := r.section(at.values["purpose"], "fairness.purpose", "stratification", "basis")
		p := Purpose{
			r.line(of.need("stratification", "say why the audit tells patients apart by it"), "fairness.purpose.stratification", 300),
			r.line(of.need("basis", "name the consent, approval or law that permits it"), "fairness.purpose.basis", 300),
		}
		if r.fault == nil && (p.Stratification == "" || p.Basis == "") {
			r.fail(at.values["purpose"], "fairness.purpose", "", "fairness.purpose holds an empty text")
		}
		s.Fairness.Purpose = &p
	}
}
