package describe

// Withhold takes out of a cohort what concerns groups that gone names: all
// patients by the empty column, else those of a level of a feature or of a group
// of an attribute; the level "missing" is that of a feature's missing records,
// "positive" and "event" those of the outcome.
func (c *Cohort) Withhold(gone func(column, level string) bool) {
	hide := func(n *Count, column, level string) {
		if n != nil && n.State == OK && gone(column, level) {
			*n = Count{State: Suppressed}
		}
	}
	whole := gone("", "")
	hide(&c.Patients, "", "")
	hide(c.Outcome.Positives, c.Outcome.Column, "positive")
	hide(c.Outcome.Events, c.Outcome.Column, "event")
	if whole {
		c.Outcome.Mean, c.Outcome.SD = nil, nil
	}
	for i := range c.Features {
		v := &c.Features[i]
		for l := range v.Levels {
			hide(&v.Levels[l].Count, v.Column, v.Levels[l].Name)
		}
		hide(v.Missing, v.Column, "missing")
		if whole || gone(v.Column, "missing") {
			v.Mean, v.SD, v.MissingShare = nil, nil, nil
		}
	}
	for _, a := range c.Attributes {
		for g := range a.Groups {
			hide(&a.Groups[g].Count, a.Column, a.Groups[g].Name)
		}
	}
}

// Withhold takes out of a description the cells of cross tables and the curves of
// groups that gone names. The tests that compare groups go with any of them.
func (d *Description) Withhold(cell func(t CrossTable, row, column int) bool, gone func(column, level string) bool) {
	for _, t := range d.CrossTables {
		for i, row := range t.Cells {
			for j := range row {
				if row[j].State == OK && cell(t, i, j) {
					row[j] = Count{State: Suppressed}
				}
			}
		}
	}
	if d.Survival == nil {
		return
	}
	for i := range d.Survival.Groupings {
		by := &d.Survival.Groupings[i]
		for k, curve := range by.Curves {
			if curve.Patients.State == OK && gone(by.Column, curve.Group) {
				by.Curves[k] = Curve{Group: curve.Group, Patients: Count{State: Suppressed}, Events: Count{State: Suppressed}}
				by.LogRank, by.RMST = nil, nil
			}
		}
	}
}
