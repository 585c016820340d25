package fairness

import (
	"math"

	"github.com/consilium-fl/consilium/compute/disclosure"
	"github.com/consilium-fl/consilium/study"
)

// A mean with the number of patients is a sum, and a sum of many patients can be one
// of few: the admissions of a group of whom two have any are those two's. So three
// sums are withheld where they tell of few, with the figures that give them away; and
// as sums of groups add up, other groups' too, until none that is withheld is what
// the others leave.

// tellingSum is a sum that may tell of few patients.
type tellingSum struct {
	name  string                    // what is withheld, as a column
	of    func(t *tally) []float64  // numbers that add up over groups, the patients first
	tells func(sums []float64) bool // of few
	known bool                      // of all patients: the description of the cohort has it unless it tells of few
	has   func(s *study.Study, q question) bool
}

const (
	totalOutcome = "total"          // of a count
	predictedSum = "predicted"      // beside errors so small that it is the number with the outcome
	intervalCut  = "interval_width" // cut off at zero, of few
	smallest     = 1e-6             // of a sum, which is exact but for its fixed point
)

func tellingSums(fewest float64) []tellingSum {
	return []tellingSum{
		{
			// The patients who have any are at least (Σy)²/Σy², by Cauchy and Schwarz; that
			// many would have it if all had as much (Simpson's effective number), so that a
			// sum of which one has nearly everything is of few, too.
			name: totalOutcome, known: true,
			has: func(s *study.Study, _ question) bool { return s.Outcome.Type == study.Count },
			of: func(t *tally) []float64 {
				return []float64{t.n, t.outcome, t.outcomeSpread + t.outcome*t.outcome/t.n}
			},
			tells: func(x []float64) bool { return x[1] > smallest && x[1]*x[1] < (fewest-smallest)*x[2] },
		},
		{
			// The sum of the predictions is the number with the outcome but for the sum of
			// the errors, which is at most √(n Σe²), and at most the log loss in all.
			name: predictedSum,
			has:  func(s *study.Study, _ question) bool { return s.Outcome.Type == study.Binary },
			of:   func(t *tally) []float64 { return []float64{t.n, t.positives, t.predicted, t.square.sum, t.loss.sum} },
			tells: func(x []float64) bool {
				if disclosure.Share(int(math.Round(x[1])), int(math.Round(x[0])), int(fewest)) {
					return false
				}
				off := min(math.Sqrt(max(0, x[0]*x[3])), x[4])
				return min(x[0], math.Floor(x[2]+off+smallest))-max(0, math.Ceil(x[2]-off-smallest)) < fewest
			},
		},
		{
			// What is missing of the full width is of the patients whose interval is cut off
			// at zero, each of whom misses at most all of it.
			name: intervalCut,
			has:  func(_ *study.Study, q question) bool { return q.HalfWidth != nil },
			of: func(t *tally) []float64 {
				full := 2 * t.interval.half
				return []float64{t.n, t.n * (full - t.interval.width) / full}
			},
			tells: func(x []float64) bool { return x[1] > smallest && x[1] < fewest },
		},
	}
}

// withholdTotals withholds sums that tell of few patients.
func withholdTotals(s *study.Study, q question, tallies []*tally, floor int, out []map[string]bool) {
	lattice := openSums(s, q)
	for _, x := range tellingSums(float64(floor)) {
		if !x.has(s, q) {
			continue
		}
		t := disclosure.Table{}
		var withhold, public, silent []bool
		add := func(sums []float64, known, rest bool) {
			t.Counts = append(t.Counts, int(math.Round(sums[0])))
			withhold, public, silent = append(withhold, x.tells(sums)), append(public, known), append(silent, rest)
		}
		for i, one := range tallies {
			if one.n == 0 {
				add(make([]float64, 5), true, false)
				continue
			}
			sums := x.of(one)
			add(sums, i == 0 && x.known && !x.tells(sums), false)
		}
		for _, sum := range lattice {
			one := disclosure.Sum{Total: sum.total, Parts: append([]int(nil), sum.parts...)}
			if sum.rest && tallies[sum.total].n > 0 {
				left := x.of(tallies[sum.total])
				for _, i := range sum.parts {
					if tallies[i].n == 0 {
						continue
					}
					for k, v := range x.of(tallies[i]) {
						left[k] -= v
					}
				}
				one.Parts = append(one.Parts, len(t.Counts))
				add(left, false, true)
			}
			t.Sums = append(t.Sums, one)
		}
		for i, gone := range t.Protect(floor, withhold, public, silent)[:len(tallies)] {
			if gone {
				out[i][x.name] = true
			}
		}
	}
}
