package fairness

import "math"

// Withhold takes out of the report all that concerns some of its groups, given by
// their positions with the reason for each: what an earlier report shows of nearly
// the same patients would give them away. The criteria and the decision are drawn
// anew from what is left.
func (a *Audit) Withhold(why map[int]string) {
	type name struct{ attribute, level string }
	hidden := map[name]bool{}
	for i, g := range a.Groups {
		reason, gone := why[i]
		if !gone || g.State != OK && g.State != NotEstimable {
			continue
		}
		hidden[name{g.Attribute, g.Level}] = true
		a.Groups[i] = Group{Attribute: g.Attribute, Level: g.Level, State: Suppressed}
		a.Hidden = append(a.Hidden, Hidden{g.Attribute, g.Level, reason})
		if i == 0 {
			a.withholdWhole()
		}
	}
	gone := func(attribute string, levels ...string) bool {
		for _, level := range levels {
			if hidden[name{attribute, level}] {
				return true
			}
		}
		return false
	}
	a.Gaps = without(a.Gaps, func(g Gap) bool { return gone(g.Attribute, g.Level, g.Reference) })
	a.Largest = without(a.Largest, func(l Largest) bool { return gone(l.Attribute, l.High, l.Low) })
	for i, l := range a.Largest {
		if gone(l.Attribute, l.Farthest) || gone(All, All) {
			a.Largest[i].Farthest, a.Largest[i].FromAll = "", nil
		}
	}
	a.Odds = without(a.Odds, func(o Odds) bool { return gone(o.Attribute, o.Level, o.Reference) })
	a.Hospitals = without(a.Hospitals, func(h Hospitals) bool { return h.Attribute != "" && gone(h.Attribute, h.Level, h.Against) })
	a.Within = without(a.Within, func(w Within) bool { return gone(w.Attribute, w.Level, w.Reference) })
	a.Inequality = without(a.Inequality, func(x Inequality) bool {
		for n := range hidden {
			if n.attribute == x.Attribute {
				return true
			}
		}
		return false
	})
	of := map[string]bool{} // attributes of which a group is withheld, and all
	for n := range hidden {
		of[n.attribute] = true
	}
	a.Inequality = without(a.Inequality, func(i Inequality) bool { return of[i.Attribute] || of[All] })
	a.Representation = represented(a.Representation, gone, of)
	if len(hidden) > 0 {
		a.Progress = nil // earlier models on the same patients
	}
	for i := range a.Criteria {
		j := &a.Criteria[i]
		for k, g := range j.Groups {
			if gone(g.Attribute, g.Level, g.Reference) {
				j.Groups[k] = JudgedGroup{Attribute: g.Attribute, Level: g.Level, Verdict: Insufficient, Why: "withheld"}
			}
		}
		j.conclude()
	}
	if a.Decision != nil {
		d := decide(a.Criteria)
		a.Decision = &d
	}
}

// withholdWhole takes out what concerns all patients. The prevalence is what the
// patients with the outcome are of all: enough of its digits would be both.
func (a *Audit) withholdWhole() {
	a.N, a.Cut, a.Calibration, a.Hospitals = 0, 0, nil, nil
	for i, t := range a.Thresholds {
		a.Thresholds[i] = math.Round(100*t) / 100
	}
}

// without is what is left of a list; nil stays nil and empty stays empty.
func without[E any](list []E, gone func(E) bool) []E {
	if list == nil {
		return nil
	}
	out := []E{}
	for _, e := range list {
		if !gone(e) {
			out = append(out, e)
		}
	}
	return out
}
