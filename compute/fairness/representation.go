package fairness

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"

	"github.com/consilium-fl/consilium/study"
)

// Who is in the data, before any model: how many of each group beside its
// reference, and whether groups have the outcome as often. A model that is trained
// on few of a group, or on a group with other outcomes, will often err more for
// it, and no figure of the model's errors says that this is why.
//
// All of it is made of the counts of groups that are shown. What needs a count that
// is withheld is not there.

// Represented is a group of one attribute in the data.
type Represented struct {
	Attribute string   `json:"attribute"`
	Level     string   `json:"level"`
	Reference string   `json:"reference,omitempty"` // none for the reference itself
	Share     *float64 `json:"share,omitempty"`     // of all patients of the audit
	// Imbalance is (n - n_r)/(n + n_r) with n_r of the reference: -1 if the group is
	// absent, 0 if both are as many.
	Imbalance *float64 `json:"class_imbalance,omitempty"`
	// KL is the Kullback-Leibler divergence of the group's outcomes from the
	// reference's, the sum of p_r ln(p_r/p): the reference is what is weighted by, so
	// the other direction is another number. JS is Jensen and Shannon's, which has no
	// direction and is at most ln 2. Outcomes are those with and without it, with and
	// without the event, or the clinical bands.
	KL *Metric `json:"label_kl,omitempty"`
	JS *Metric `json:"label_js,omitempty"`
	// Disparity is the group's share of those without the outcome minus its share of
	// those with it; Called is the same of those whom the model calls negative and
	// positive, at the first threshold.
	Disparity *Metric `json:"demographic_disparity,omitempty"`
	Called    *Metric `json:"called_disparity,omitempty"`
	// Conditional are the disparities inside the groups of another attribute, where
	// the study declares the two together.
	Conditional []Conditional `json:"conditional,omitempty"`
}

// Conditional is the mean over the groups of another attribute, weighted by their
// patients, of the disparity inside each: what is left of it when that attribute
// is held fixed.
type Conditional struct {
	On       string  `json:"on"`
	Estimate Metric  `json:"estimate"`
	Covered  float64 `json:"covered"` // share of all patients who are in groups of it that could be used
}

// classImbalance of a group of n beside one of reference.
func classImbalance(n, reference float64) float64 { return (n - reference) / (n + reference) }

// divergence of Kullback and Leibler, of counts, from p to q: the sum over classes
// of P ln(P/Q). Infinite where q has none of a class that p has.
func divergence(p, q []float64) float64 {
	total, of, to := 0.0, floats.Sum(p), floats.Sum(q)
	for k := range p {
		if p[k] > 0 {
			total += p[k] / of * math.Log(p[k]/of/(q[k]/to))
		}
	}
	return total
}

// jensenShannon is the mean divergence of two distributions from their middle (Lin,
// IEEE Transactions on Information Theory 37, 1991).
func jensenShannon(p, q []float64) float64 {
	middle := make([]float64, len(p))
	for k := range p {
		middle[k] = p[k]/floats.Sum(p)/2 + q[k]/floats.Sum(q)/2
	}
	return divergence(p, middle)/2 + divergence(q, middle)/2
}

// demographicDisparity is a group's share of those without, of all of them, minus
// its share of those with (Das et al., Fairness Measures for Machine Learning in
// Finance, 2021). NaN if there are none of either.
func demographicDisparity(without, with, allWithout, allWith float64) float64 {
	return without/allWithout - with/allWith
}

// weightedMean of disparities.
func weightedMean(weights, values []float64) float64 {
	return floats.Dot(weights, values) / floats.Sum(weights)
}

// labels are a group's patients by outcome, and the column that they are withheld
// with; nil where the outcome has no classes.
func (t *tally) labels() []float64 {
	switch {
	case t.survival && !t.hidden["events"]:
		return []float64{t.n - t.events, t.events}
	case t.binary && !t.hidden["positives"]:
		return []float64{t.n - t.positives, t.positives}
	case t.bands != nil && !t.hidden["bands"]:
		k := int(math.Sqrt(float64(len(t.bands))))
		out := make([]float64, k)
		for actual := range out {
			out[actual] = floats.Sum(t.bands[actual*k : (actual+1)*k])
		}
		return out
	}
	return nil
}

// called are a group's patients by what the model calls them at the first
// threshold.
func (t *tally) called() []float64 {
	if !t.binary || t.hidden["selected0"] {
		return nil
	}
	positive := t.at[0].TP + t.at[0].FP
	return []float64{t.n - positive, positive}
}

// represent puts who is in the data into the report; without chance, figures have
// no intervals.
func represent(a *Audit, s *study.Study, tallies []*tally, against []int, c *chance) {
	known := crossings(s)
	for _, x := range known[1:] {
		if len(x.attributes) != 1 {
			continue
		}
		for i := x.first; i < x.first+x.size; i++ {
			if tallies[i] == nil || a.Groups[i].State != OK {
				continue
			}
			one := Represented{Attribute: a.Groups[i].Attribute, Level: a.Groups[i].Level}
			share := tallies[i].n / tallies[0].n
			one.Share = &share
			if r := against[i]; r >= 0 && tallies[r] != nil {
				one.Reference = a.Groups[r].Level
				imbalance := classImbalance(tallies[i].n, tallies[r].n)
				one.Imbalance = &imbalance
				one.KL = c.divergence(func(l [][]float64) float64 { return divergence(l[1], l[0]) }, tallies[i].labels(), tallies[r].labels())
				one.JS = c.divergence(func(l [][]float64) float64 { return jensenShannon(l[0], l[1]) }, tallies[i].labels(), tallies[r].labels())
			}
			one.Disparity = c.disparity(tallies[i].labels(), tallies[0].labels())
			one.Called = c.disparity(tallies[i].called(), tallies[0].called())
			for _, of := range known[1:] {
				if len(of.attributes) == 2 && slices.Contains(of.attributes, x.attributes[0]) {
					if d, ok := c.conditional(s, a, of, x.attributes[0], i-x.first, tallies); ok {
						one.Conditional = append(one.Conditional, d)
					}
				}
			}
			a.Representation = append(a.Representation, one)
		}
	}
}

// ofCounts is a figure of several counts, with an interval where there is chance;
// nil if one of them is withheld or the figure has no value.
func (c *chance) ofCounts(of func([][]float64) float64, counts ...[]float64) *Metric {
	return c.counted(of, (*chance).metric, counts)
}

// divergence is a figure of several counts that is 0 of groups that are alike.
func (c *chance) divergence(of func([][]float64) float64, counts ...[]float64) *Metric {
	return c.counted(of, (*chance).apart, counts)
}

func (c *chance) counted(of func([][]float64) float64, interval func(*chance, float64, func() float64) Metric, counts [][]float64) *Metric {
	if slices.ContainsFunc(counts, func(x []float64) bool { return x == nil }) {
		return nil
	}
	v := of(counts)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	m := Metric{Estimate: v}
	if c != nil {
		m = interval(c, v, func() float64 {
			drawn := make([][]float64, len(counts))
			for k, x := range counts {
				drawn[k] = c.possible(x)
			}
			return of(drawn)
		})
	}
	return &m
}

// disparity of a group of all: the rest are drawn apart from the group, of whom
// they are not.
func (c *chance) disparity(group, all []float64) *Metric {
	if len(group) != 2 || len(all) != 2 {
		return nil
	}
	rest := []float64{all[0] - group[0], all[1] - group[1]}
	return c.ofCounts(func(l [][]float64) float64 {
		return demographicDisparity(l[0][0], l[0][1], l[0][0]+l[1][0], l[0][1]+l[1][1])
	}, group, rest)
}

// conditional is the disparity of a group inside the groups of the crossing's
// other attribute. Groups of it with a count that is withheld, or in which
// everybody has the same outcome, are left out; a group without patients there
// counts as none of them.
func (c *chance) conditional(s *study.Study, a *Audit, x crossing, attribute, group int, tallies []*tally) (out Conditional, ok bool) {
	other := x.attributes[0]
	if other == attribute {
		other = x.attributes[1]
	}
	out.On = s.Fairness.Attributes[other].Column
	single := crossings(s)[1+other]
	var counts [][]float64 // the group, then the rest, of each stratum in turn
	used := 0.0
	for b := range single.size {
		stratum := tallies[single.first+b]
		at := x.at(func(k int) int {
			if k == attribute {
				return group
			}
			return b
		})
		if stratum == nil || a.Groups[single.first+b].State != OK {
			continue
		}
		all, inside := stratum.labels(), []float64{0, 0}
		if cell := tallies[at]; cell != nil && a.Groups[at].State == OK {
			inside = cell.labels()
		} else if a.Groups[at].State != Zero {
			continue
		}
		if len(all) != 2 || len(inside) != 2 || all[0] == 0 || all[1] == 0 {
			continue
		}
		used += stratum.n
		counts = append(counts, inside, []float64{all[0] - inside[0], all[1] - inside[1]})
	}
	if counts == nil {
		return out, false
	}
	m := c.ofCounts(func(l [][]float64) float64 {
		var weights, values []float64
		for k := 0; k < len(l); k += 2 {
			g, rest := l[k], l[k+1]
			weights = append(weights, floats.Sum(g)+floats.Sum(rest))
			values = append(values, demographicDisparity(g[0], g[1], g[0]+rest[0], g[1]+rest[1]))
		}
		return weightedMean(weights, values)
	}, counts...)
	if m == nil {
		return out, false
	}
	out.Estimate, out.Covered = *m, used/tallies[0].n
	return out, true
}

// represented is what is left of who is in the data when groups are withheld, and
// with them attributes of which one is.
func represented(list []Represented, gone func(attribute string, levels ...string) bool, of map[string]bool) []Represented {
	if of[All] {
		return nil // every share is of all patients
	}
	list = without(list, func(r Represented) bool { return gone(r.Attribute, r.Level, r.Reference) })
	for i, r := range list {
		list[i].Conditional = slices.DeleteFunc(r.Conditional, func(c Conditional) bool {
			return of[c.On] || of[r.Attribute] || of[r.Attribute+" × "+c.On] || of[c.On+" × "+r.Attribute]
		})
	}
	return list
}
