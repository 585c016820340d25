package fairness

import (
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/study"
)

// complete holds that no group was left out of a criterion: each of the study's
// groups is in the audit, and each that has patients of its own is compared, but
// for one of each attribute or combination, which is the one that the others are
// compared with. A group that is said to have no patients is not missed; whether
// it has none only the sums tell.
func (a *Audit) complete(s *study.Study, number int, j Judged) error {
	known := cells(s)
	if len(a.Groups) != len(known) {
		return fmt.Errorf("the audit has %d groups where the study declares %d", len(a.Groups), len(known))
	}
	for i, c := range known {
		if a.Groups[i].Attribute != c.name || a.Groups[i].Level != c.level {
			return fmt.Errorf("group %d of the audit is %s %s where the study declares %s %s", i+1, a.Groups[i].Attribute, a.Groups[i].Level, c.name, c.level)
		}
	}
	all := crossings(s)
	counted := 0
	for _, x := range all[1:] {
		if criterion := s.Fairness.Criteria[number]; criterion.Attribute >= 0 && !slices.Equal(x.attributes, []int{criterion.Attribute}) {
			continue
		}
		var missing, references []string
		for i := x.first; i < x.first+x.size; i++ {
			g := a.Groups[i]
			at := slices.IndexFunc(j.Groups, func(o JudgedGroup) bool { return o.Attribute == g.Attribute && o.Level == g.Level })
			switch {
			case at >= 0:
				counted++
				if r := j.Groups[at].Reference; r != "" && !slices.Contains(references, r) {
					references = append(references, r)
				}
			case g.State == Merged && !a.merged(all, known, i):
				return fmt.Errorf("criterion %d leaves out %s %s, which is said to be counted in the place of another and of none", number+1, g.Attribute, g.Level)
			case g.State != Zero && g.State != Merged:
				missing = append(missing, g.Level)
			}
		}
		name := a.Groups[x.first].Attribute
		if len(missing) > 1 {
			return fmt.Errorf("criterion %d leaves out more than one group of %s: %q", number+1, name, missing)
		}
		for _, r := range references {
			if !slices.Equal(missing, []string{r}) {
				return fmt.Errorf("criterion %d compares groups of %s with %s, and leaves out %q", number+1, name, r, missing)
			}
		}
	}
	if counted != len(j.Groups) {
		return fmt.Errorf("criterion %d judges a group twice, or one that the study does not declare", number+1)
	}
	return nil
}

// merged reports whether a group is counted in another's place: a group of one
// attribute where that one names it, a combination where one of its groups is. One
// that is withheld names nobody, and leaves every criterion undecided.
func (a *Audit) merged(all []crossing, known []cell, i int) bool {
	for k, attribute := range known[i].attributes {
		single := all[1+attribute]
		level := a.Groups[single.first+known[i].groups[k]].Level
		for _, g := range a.Groups[single.first : single.first+single.size] {
			if slices.Contains(g.With, level) || g.State == Suppressed {
				return true
			}
		}
	}
	return false
}
