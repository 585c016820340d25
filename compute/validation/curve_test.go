package validation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// Rule: the bins of the calibration curve divide the patients who were tried among
// them, each bin has the minimum cell of them, and its means are those of the
// pooled patients whose predictions lie between its ends.
func TestCalibrationBinsPartitionThePatients(t *testing.T) {
	skewed := func(random *rand.Rand) float64 { return 100 * math.Exp(random.NormFloat64()/2-3) }
	for name, test := range map[string]struct {
		outcome string
		n       int
		predict func(random *rand.Rand) float64
		fewest  int // bins
	}{
		"skewed doses":           {"number", 900, skewed, 8},
		"predictions all alike":  {"number", 900, func(random *rand.Rand) float64 { return 40 + random.NormFloat64() }, 4},
		"doses beyond the range": {"number", 300, func(random *rand.Rand) float64 { return 50 + 80*random.NormFloat64() }, 5},
		"few patients":           {"number", 40, skewed, 2},
		"counts":                 {"count", 600, func(random *rand.Rand) float64 { return math.Exp(random.NormFloat64()) }, 5},
		"probabilities":          {"binary", 500, func(random *rand.Rand) float64 { return random.Float64() }, 10},
		"a rare outcome":         {"binary", 500, func(random *rand.Rand) float64 { return 0.2 * random.Float64() * random.Float64() }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(9, uint64(test.n)))
			s := parse(t, test.outcome)
			lo, hi := 0.0, 1.0
			if s.Outcome.Type != study.Binary {
				lo, hi = s.Outcome.Range.Lo, s.Outcome.Range.Hi
			}
			var patients []patient
			for i := range test.n {
				p := patient{p: test.predict(random), site: i % 3}
				switch s.Outcome.Type {
				case study.Binary:
					if random.Float64() < p.p {
						p.y = 1
					}
				case study.Count:
					p.y = float64(random.IntN(8))
				default:
					p.y = min(max(p.p*(1+0.2*random.NormFloat64()), lo), hi)
				}
				patients = append(patients, p)
			}
			r := result(t, s, patients)
			if k := len(r.Calibration); k < test.fewest || k > mostBins {
				t.Errorf("%d bins", k)
			}
			at, total := lo, 0
			for k, b := range r.Calibration {
				if b.From != at || !(b.From < b.To) {
					t.Errorf("bin %d goes from %v to %v, the one before it to %v", k, b.From, b.To, at)
				}
				at = b.To
				n, predicted, actual := 0, 0.0, 0.0
				for _, p := range patients {
					inside := b.From <= p.p && p.p < b.To
					if inside || k == 0 && p.p < lo || k == len(r.Calibration)-1 && p.p >= hi {
						n, predicted, actual = n+1, predicted+p.p, actual+p.y
					}
				}
				if *b.N != n || n < s.Fairness.MinimumCell {
					t.Fatalf("bin %d has %d patients, of whom %d are pooled", k, *b.N, n)
				}
				near(t, fmt.Sprint("mean prediction of bin ", k), *b.Predicted, predicted/float64(n), 1e-9)
				near(t, fmt.Sprint("mean outcome of bin ", k), *b.Actual, actual/float64(n), 1e-9)
				total += n
			}
			if at != hi || total != len(patients) || total != r.N {
				t.Errorf("the bins end at %v and hold %d of %d patients", at, total, len(patients))
			}
		})
	}
}

// Rule: a question cannot choose cells so narrow that they single out predictions,
// nor cells that the study's outcome does not have.
func TestQuestionsWithOtherCellsAreRefused(t *testing.T) {
	number, binary := parse(t, "number"), parse(t, "binary")
	mean, sd := 50.0, 1e-9
	narrow, err := Parameters(number, &mean, &sd)
	if err != nil || Check(number, narrow) != nil {
		t.Fatalf("%s: %v", narrow, err)
	}
	for _, one := range []struct {
		s          *study.Study
		parameters string
	}{
		{number, ``}, {number, `{"first":5,"step":0.01}`}, {number, `{"first":5,"step":200}`}, {number, `{"first":500,"step":5}`},
		{number, `{"first":-500,"step":5}`}, {number, `{"first":-4,"step":5,"cells":9}`}, {binary, `{"first":-4,"step":5}`},
	} {
		if Check(one.s, []byte(one.parameters)) == nil {
			t.Errorf("%s is answered", one.parameters)
		}
	}
}

func TestCellsAreJoinedUntilNoneIsSmall(t *testing.T) {
	for _, test := range []struct {
		counts        []int
		minimum, bins int
		ends          []int
	}{
		{[]int{5, 5, 5}, 16, 10, nil},
		{[]int{5, 5, 5}, 11, 10, []int{2}},
		{[]int{20, 3, 0, 20, 4, 0}, 11, 0, []int{0, 5}},
		{[]int{20, 3, 9, 20, 4, 0}, 11, 0, []int{0, 2, 5}},
		{[]int{10, 10, 10, 10}, 1, 2, []int{1, 3}},
		{[]int{1, 1, 100, 1, 1}, 2, 10, []int{2, 4}},
	} {
		if ends := join(test.counts, test.minimum, test.bins); !slices.Equal(ends, test.ends) {
			t.Errorf("%v by %d: %v, not %v", test.counts, test.minimum, ends, test.ends)
		}
	}
}
