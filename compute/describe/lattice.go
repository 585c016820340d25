package describe

import (
	"slices"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// lattice is the counts of a description and what adds up among them, as one
// table: where a study withholds whatever would give a small count away, levels,
// groups, missing records, the outcome and cross tables are looked at together.
type lattice struct {
	table                    disclosure.Table
	withhold, public, silent []bool
}

const nowhere = -1

// add returns the position of a count.
func (l *lattice) add(n int) int {
	l.table.Counts = append(l.table.Counts, n)
	l.withhold, l.public, l.silent = append(l.withhold, false), append(l.public, false), append(l.silent, false)
	return len(l.table.Counts) - 1
}

// rest adds a count that is never shown.
func (l *lattice) rest(n int) int {
	at := l.add(n)
	l.silent[at] = true
	return at
}

func (l *lattice) sum(total int, parts ...int) {
	l.table.Sums = append(l.table.Sums, disclosure.Sum{Total: total, Parts: parts})
}

// positions of the cohort's counts in its lattice.
type positions struct {
	outcome [2]int // the patients without the outcome or the event, and with; nowhere for none
	levels  []int
	groups  []int
	missing []int // by feature; nowhere where no record may miss it
}

// lattice of the cohort: each feature and each attribute divides all patients,
// whose number is known.
func (c *Counts) lattice() (*lattice, positions) {
	l, at := &lattice{}, positions{outcome: [2]int{nowhere, nowhere}}
	all := l.add(c.Patients)
	l.public[all] = true
	happened := c.Positives
	if c.study.Outcome.Type == study.Survival {
		happened = c.Events
	}
	if c.study.Outcome.Type == study.Binary || c.study.Outcome.Type == study.Survival {
		at.outcome = [2]int{l.add(c.Patients - happened), l.add(happened)}
		l.sum(all, at.outcome[:]...)
	}
	for _, n := range c.levels {
		at.levels = append(at.levels, l.add(n))
	}
	for f, feature := range c.study.Features {
		missing := nowhere
		var parts []int
		if c.study.KeepsMissing() {
			missing = l.add(c.Patients - c.present[f])
			parts = append(parts, missing)
		}
		at.missing = append(at.missing, missing)
		if feature.Type == study.Category {
			first := c.index.levelAt[f]
			parts = append(parts, at.levels[first:first+len(feature.Levels)]...)
		} else if missing != nowhere {
			parts = append(parts, l.rest(c.present[f]))
		}
		if parts != nil {
			l.sum(all, parts...)
		}
	}
	for a := range c.study.CountedAttributes() {
		first := len(at.groups)
		for g := range c.study.Fairness.Attributes[a].Groups() {
			at.groups = append(at.groups, l.add(c.Group(a, g)))
		}
		l.sum(all, at.groups[first:]...)
		c.tie(l, at, a)
	}
	return l, at
}

// tie says of an attribute whose column is a feature, too, which levels make up
// which group, where that is plain.
func (c *Counts) tie(l *lattice, at positions, a int) {
	attribute := c.study.Fairness.Attributes[a]
	for f, feature := range c.study.Features {
		if feature.Column != attribute.Column || feature.Type != study.Category {
			continue
		}
		parts := make([][]int, len(attribute.Levels)+1)
		for k, level := range feature.Levels {
			inside := -1
			for g, group := range attribute.Levels {
				common := 0
				for _, value := range level.Values {
					if slices.Contains(group.Values, value) {
						common++
					}
				}
				if common > 0 {
					inside = g
				}
				if common > 0 && common < len(level.Values) {
					return // the level is in several groups
				}
			}
			if inside < 0 {
				inside = len(attribute.Levels)
			}
			parts[inside] = append(parts[inside], at.levels[c.index.levelAt[f]+k])
		}
		if missing := at.missing[f]; missing != nowhere {
			parts[len(attribute.Levels)] = append(parts[len(attribute.Levels)], missing)
		}
		for g, of := range parts {
			total := at.groups[c.index.groupAt[a]+g]
			together := 0
			for _, i := range of {
				together += l.table.Counts[i]
			}
			if together == l.table.Counts[total] {
				l.sum(total, of...)
			}
		}
	}
}

// protect withholds what gives small counts away.
func (l *lattice) protect(floor int) []bool {
	return l.table.Protect(floor, l.withhold, l.public, l.silent)
}

// Beside is what the bias audit of the same study shows of the groups of an
// attribute: in whose place each is counted, and how many patients it shows there;
// nil for a group that it withholds, and for one that is counted in another's place.
type Beside struct {
	Place []int
	N     []*int
}

// besides adds what the audit shows, of all patients or of those held out.
func (c *Counts) besides(l *lattice, at positions, audited int, audit []Beside) {
	for a, b := range audit {
		first := c.index.groupAt[a]
		for g, n := range b.N {
			var of []int
			together := 0
			for k, place := range b.Place {
				if place == g {
					of = append(of, at.groups[first+k])
					together += c.groups[first+k]
				}
			}
			if b.Place[g] != g || together == 0 {
				continue
			}
			whole := audited == c.Patients
			switch {
			case n == nil && len(of) == 1:
				l.withhold[of[0]] = true // for whatever reason the audit has
			case n == nil:
			case whole && len(of) == 1:
				l.public[of[0]] = true
			case *n <= together:
				shown := l.add(*n)
				l.public[shown] = true
				total := of[0]
				if len(of) > 1 {
					total = l.rest(together)
					l.sum(total, of...)
				}
				l.sum(total, shown, l.rest(together-*n))
			}
		}
	}
}
