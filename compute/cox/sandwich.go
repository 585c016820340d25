package cox

import (
	"errors"
	"math"
	"slices"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// The inverse information of a weighted fit takes a weight for as many patients. A
// patient who weighs two is still one, so its standard errors are wrong. Those that
// are reported are the sandwich of the patients (Lin and Wei, JASA 84, 1989), as R's
// coxph has it wherever there are weights: the sum of the products of their weighted
// score residuals between two inverse informations. A study that writes
// standard_errors: robust has the sandwich of hospitals instead, and one that writes
// standard_errors: model the inverse information.

// byPatient reports whether standard errors are the sandwich of the patients.
func byPatient(s *study.Study) bool {
	return s.Model.Weights != nil && !s.Model.Robust && !s.Model.ModelErrors
}

// patientScores is the field of the products. The relative hazards of a site's
// patients times their cumulative hazards are as much as the events, so that the
// magnitudes of the residuals add up to at most twice what one site's score can be.
func patientScores(s *study.Study) compute.Field {
	p := len(s.Terms()) - 1
	return compute.Field{Name: "patient_scores", Length: triangle(p), FracBits: coarser(s, siteScoreBits-2, 2), Bound: mostProduct(s)}
}

func mostProduct(s *study.Study) float64 {
	most := 2 * highestScore * heaviest(s)
	return most * most
}

// products of the patients' score residuals, summed.
func (p *patients) products(s *study.Study, at fitted) ([]float64, error) {
	width := len(at.Coefficients)
	sums := compute.NewAccumulator(triangle(width))
	add := func(residual []float64) {
		k := 0
		for i, a := range residual {
			for _, b := range residual[i:] {
				sums.Add(k, a*b)
				k++
			}
		}
	}
	if s.Model.Stratify == study.StratifySite {
		p.ownResiduals(s, width, add)
	} else {
		p.residuals(s, at, add)
	}
	out := sums.Values()
	for _, v := range out {
		if !(math.Abs(v) <= mostProduct(s)) {
			return nil, errors.New("the shared baseline is not one of these patients: their scores are out of bounds")
		}
	}
	return out, nil
}

// widest difference of two linear predictors for which one's hazard is still
// something beside the other's.
const widest = 600

// ownResiduals visits the score residuals of a stratum, of which the site knows all.
func (p *patients) ownResiduals(s *study.Study, width int, visit func(residual []float64)) {
	var times, shifts []float64 // of events, descending
	var shares []*share
	breslow := s.Model.Ties == study.Breslow
	p.walk(breslow, func(m *moment, first, _ int) {
		times, shifts, shares = append(times, p.time[first]), append(shifts, m.shift), append(shares, m.share(breslow))
	})
	if times == nil {
		return // nobody has the event: no score differs from zero
	}
	slices.Reverse(times)
	slices.Reverse(shifts)
	slices.Reverse(shares)
	level := shifts[0] // the largest: whoever was at risk later was so at first
	b := newShared(len(times), width)
	for k, now := range shares {
		now.scale(math.Exp(min(level-shifts[k], widest)))
		b.after(k, now)
	}
	residual := make([]float64, width)
	for i, z := range p.z {
		k, found := slices.BinarySearch(times, p.time[i])
		if !found {
			k-- // the last before
		}
		if k < 0 {
			continue // left before the first event
		}
		b.residual(residual, z, p.weight[i], math.Exp(p.eta[i]-level), k, p.event[i])
		visit(residual)
	}
}

// scale takes hazards to another unit.
func (s *share) scale(by float64) {
	s.whole, s.part = s.whole*by, s.part*by
	for j := range s.wholeMean {
		s.wholeMean[j], s.partMean[j] = s.wholeMean[j]*by, s.partMean[j]*by
	}
}
