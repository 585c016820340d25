package validation

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// The calibration curve is counted in cells of predictions and shown in bins of
// neighbouring cells. Tenths of a declared range would do for probabilities only:
// a range is declared to hold every patient, and most predictions lie in a small
// part of it. So the cells of a number or a count are laid around the mean of the
// outcome and as wide as a part of its standard deviation, both of which the first
// sum of the study has shown. Bins have as many patients each as the cells allow,
// never fewer than the minimum cell, and every patient is in one of them.
const (
	binaryCells = 10
	numberCells = 32
	mostBins    = 10
	// cellsPerSD make the cells with a lower and an upper end reach 2.25 standard
	// deviations to both sides. Predictions spread less than outcomes do.
	cellsPerSD = 20.0 / 3
	// finest is the smallest part of the declared range that a cell may be, so that
	// no question can single out predictions at will.
	finest = 1.0 / 1000
)

// grid lays the cells: the inner ends are consecutive multiples of the step,
// beginning with the First-th.
type grid struct {
	First int64   `json:"first"`
	Step  float64 `json:"step"`
	cells int
	lo    float64 // ends of the first and the last cell
	hi    float64
}

func curveCells(s *study.Study) int {
	if s.Outcome.Type == study.Binary {
		return binaryCells
	}
	return numberCells
}

// Parameters of the question: the cells of the curve, given mean and standard
// deviation of the outcome, nil where they are not known. Only those of numbers
// and counts depend on them.
func Parameters(s *study.Study, mean, sd *float64) ([]byte, error) {
	if s.Outcome.Type == study.Binary || s.Outcome.Type == study.Survival {
		return nil, nil
	}
	r := s.Outcome.Range
	width := r.Hi - r.Lo
	centre, step := r.Lo+width/2, width/numberCells
	if mean != nil && sd != nil && *sd > 0 {
		centre, step = min(max(*mean, r.Lo), r.Hi), max(*sd/cellsPerSD, 2*finest*width)
	}
	step = rounded(step, 2)
	return compute.EncodeParameters(grid{First: int64(math.Round(centre/step)) - (numberCells-2)/2, Step: step})
}

// Shown says what the opened sum shows of few patients.
func Shown(s *study.Study) string {
	fine := fmt.Sprintf("%d ranges of their absolute errors", errorBins)
	if s.Outcome.Type == study.Binary {
		fine = fmt.Sprintf("%d ranges of their predicted probabilities, with the outcome and without", scoreBins)
	}
	return fmt.Sprintf("validation: for the calibration curve the sum shows in each of %d ranges of predictions how many patients there are, and the sums of their predictions and of their outcomes; beside it are counts of patients in %s. All of it is over all hospitals, however few the patients of a range; the result joins ranges until %d or more are in each.",
		curveCells(s), fine, s.Fairness.MinimumCell)
}

// Check refuses parameters that are none of the question's.
func Check(s *study.Study, parameters []byte) error {
	_, err := readGrid(s, parameters)
	return err
}

func readGrid(s *study.Study, parameters []byte) (g grid, err error) {
	if s.Outcome.Type == study.Binary || s.Outcome.Type == study.Survival {
		if len(parameters) != 0 {
			return g, fmt.Errorf("step %s takes no parameters for this outcome", Step)
		}
		return grid{First: 1, Step: 1.0 / binaryCells, cells: binaryCells, lo: 0, hi: 1}, nil
	}
	if err := compute.DecodeParameters(parameters, &g); err != nil {
		return g, err
	}
	g.cells, g.lo, g.hi = numberCells, s.Outcome.Range.Lo, s.Outcome.Range.Hi
	if width := g.hi - g.lo; !(g.Step >= finest*width && g.Step <= width) {
		return g, errors.New("the cells of the calibration curve are narrower than a thousandth of the declared range, or wider than it")
	}
	if last := g.First + numberCells - 2; g.First < -1<<52 || last > 1<<52 || g.Step*float64(g.First) > g.hi || g.Step*float64(last) < g.lo {
		return g, errors.New("the cells of the calibration curve lie outside the declared range")
	}
	return g, nil
}

// cell of a prediction. Those beyond the range are in the cell next to its end.
func (g grid) cell(prediction float64) int {
	first := float64(g.First)
	lowest := math.Floor(g.lo/g.Step) - first + 1
	highest := math.Ceil(g.hi/g.Step) - first
	k := math.Floor(prediction/g.Step) - first + 1
	return int(min(max(k, lowest, 0), max(highest, 0), float64(g.cells-1)))
}

// end is the upper end of a cell, which is the lower one of the next.
func (g grid) end(cell int) float64 {
	switch cell {
	case -1:
		return g.lo
	case g.cells - 1:
		return g.hi
	}
	return min(max(rounded(g.Step*float64(g.First+int64(cell)), 12), g.lo), g.hi)
}

// rounded to significant decimal digits.
func rounded(x float64, digits int) float64 {
	out, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	return out
}

// addCurve counts a patient in the cell of its prediction.
func (v vector) addCurve(cell int, predicted, actual float64) {
	v.addAt("curve_patients", cell, 1)
	v.addAt("curve_predicted", cell, predicted)
	v.addAt("curve_actual", cell, actual)
}

// curve joins cells to bins. Sums of a cell are in widths from lo.
func (r *reader) curve(g grid) {
	var counts []int
	for _, n := range r.sum.Field("curve_patients") {
		counts = append(counts, int(math.Round(n)))
	}
	bins := 0 // tenths of a probability are joined only where they are small
	if r.study.Outcome.Type != study.Binary {
		bins = mostBins
	}
	width := g.hi - g.lo
	first := 0
	for _, last := range join(counts, r.study.Fairness.MinimumCell, bins) {
		n, predicted, actual := 0, 0.0, 0.0
		for k := first; k <= last; k++ {
			n += counts[k]
			predicted += r.sum.Field("curve_predicted")[k]
			actual += r.sum.Field("curve_actual")[k]
		}
		predicted, actual = g.lo+width*predicted/float64(n), g.lo+width*actual/float64(n)
		r.Calibration = append(r.Calibration, Bin{From: g.end(first - 1), To: g.end(last), N: &n, Predicted: &predicted, Actual: &actual})
		first = last + 1
	}
}

// join makes bins of neighbouring cells, each of the minimum at least, and gives
// the last cell of each; none if there are fewer patients than the minimum. There
// are at most so many bins, each with its share of those who are left; with 0 as
// many as the minimum allows.
func join(counts []int, minimum, bins int) (ends []int) {
	left := 0
	for _, n := range counts {
		left += n
	}
	if left < minimum {
		return nil
	}
	n := 0
	for k, count := range counts {
		n += count
		enough := minimum
		if bins > 0 {
			enough = max(minimum, (left+bins-1)/bins)
		}
		if n >= enough && left-n >= minimum {
			ends = append(ends, k)
			left, n, bins = left-n, 0, max(bins-1, 0)
		}
	}
	return append(ends, len(counts)-1)
}
