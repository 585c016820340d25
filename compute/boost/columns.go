package boost

import "github.com/consilium-fl/consilium/study"

// columnsOf are the columns that trees split: the terms of the study and, after
// them, the reference of each category of three levels or more. A regression leaves
// it out because the others determine it. A tree would need a split on each of them
// to find it, and its accuracy would hang on which level is the reference.
func columnsOf(s *study.Study) []study.Term {
	out := s.Terms()
	for i, f := range s.Features {
		if hasReference(f) {
			out = append(out, study.Term{Name: f.Column + "=" + f.Levels[f.Reference].Name, Feature: i, Level: f.Reference, Hi: 1})
		}
	}
	return out
}

func hasReference(f study.Feature) bool { return f.Type == study.Category && len(f.Levels) > 2 }

// references work out the columns after the terms: of each, the terms of the
// other levels.
type references [][]int

func referencesOf(s *study.Study) (out references) {
	terms := s.Terms()
	for i, f := range s.Features {
		if !hasReference(f) {
			continue
		}
		var others []int
		for j, t := range terms {
			if t.Feature == i && t.Level >= 0 {
				others = append(others, j)
			}
		}
		out = append(out, others)
	}
	return out
}

// value of the k-th reference in a row of terms: missing where the levels are.
func (r references) value(row []float64, k int) float64 {
	x := 1.0
	for _, j := range r[k] {
		x -= row[j]
	}
	return x
}

// append puts the references after a row of terms.
func (r references) append(row []float64) []float64 {
	terms := row
	for k := range r {
		row = append(row, r.value(terms, k))
	}
	return row
}

// protect leaves out a reference whose sums, less those of the other levels, would
// be of fewer than least patients: those of levels too rare to be columns, and
// those without a value where they have no bin. counts are of every column's bins
// and of its missing values.
func (r references) protect(b bins, counts [][]int, least int) {
	for k, others := range r {
		at := len(b) - len(r) + k
		rest := 0
		for _, j := range others {
			if len(b[j].edges) == 0 {
				rest += counts[j][1]
			}
		}
		if !b[at].missing {
			rest += counts[at][2]
		}
		if rest > 0 && rest < least {
			b[at] = column{}
		}
	}
}
