package cox

import "math"

// moment is what the partial likelihood knows of one time of events: over the
// patients at risk, and over those who had the event, the sums of the relative
// hazards w, of w z and of w z z' (upper triangle by rows). All are divided by
// exp(shift). A patient who weighs v has v times the relative hazard.
type moment struct {
	deaths              int
	weight              float64 // of those who had the event: as many as they are where nobody is weighted
	shift               float64
	risk0, dead0        float64
	risk1, dead1        []float64
	risk2, dead2        []float64
	mean, variance      []float64 // filled in by evaluate
	logarithms, hazards float64
}

func newMoment(p int) *moment {
	return &moment{risk1: make([]float64, p), dead1: make([]float64, p), risk2: make([]float64, triangle(p)), dead2: make([]float64, triangle(p)),
		mean: make([]float64, p), variance: make([]float64, triangle(p))}
}

// evaluate adds up over the events of the time: the logarithm of the weight at
// risk, the mean of z, its variance, and the baseline hazard. By Efron's method
// the l-th of d tied events finds l/d of their weight gone; by Breslow's none. Of
// weighted patients each of the d counts with their mean weight, as in R's coxph.
func (m *moment) evaluate(breslow bool) {
	d := float64(m.deaths)
	// Sums over l of 1/s, phi/s, 1/s^2, phi/s^2 and phi^2/s^2, where s is the
	// weight left and phi = l/d.
	var a0, a1, b0, b1, b2 float64
	each := m.weight / d
	m.logarithms = m.weight * m.shift
	for l := range m.deaths {
		phi := float64(l) / d
		if breslow {
			phi = 0
		}
		s := m.risk0 - phi*m.dead0
		m.logarithms += each * math.Log(s)
		a0 += each / s
		a1 += each * phi / s
		b0 += each / (s * s)
		b1 += each * phi / (s * s)
		b2 += each * phi * phi / (s * s)
	}
	m.hazards = a0 * math.Exp(-m.shift)
	for j := range m.mean {
		m.mean[j] = a0*m.risk1[j] - a1*m.dead1[j]
	}
	at := 0
	for i := range m.risk1 {
		for j := i; j < len(m.risk1); j++ {
			m.variance[at] = a0*m.risk2[at] - a1*m.dead2[at] -
				(b0*m.risk1[i]*m.risk1[j] - b1*(m.risk1[i]*m.dead1[j]+m.dead1[i]*m.risk1[j]) + b2*m.dead1[i]*m.dead1[j])
			at++
		}
	}
}

// enter adds a patient to those at risk. Weights are kept relative to the
// largest so far, so none overflows and the sum never vanishes.
func (m *moment) enter(eta, weight float64, z []float64) {
	if m.risk0 == 0 {
		m.shift = eta
	} else if eta > m.shift {
		f := math.Exp(m.shift - eta)
		m.risk0 *= f
		for j := range m.risk1 {
			m.risk1[j] *= f
		}
		for j := range m.risk2 {
			m.risk2[j] *= f
		}
		m.shift = eta
	}
	w := weight * math.Exp(eta-m.shift)
	m.risk0 += w
	addProducts(m.risk1, m.risk2, w, z)
}

// die adds a patient at risk to those who have the event at this time.
func (m *moment) die(eta, weight float64, z []float64) {
	w := weight * math.Exp(eta-m.shift)
	m.deaths++
	m.weight += weight
	m.dead0 += w
	addProducts(m.dead1, m.dead2, w, z)
}

// bury forgets the events of the time before.
func (m *moment) bury() {
	m.deaths, m.weight, m.dead0 = 0, 0, 0
	clear(m.dead1)
	clear(m.dead2)
}

func addProducts(first, second []float64, w float64, z []float64) {
	at := 0
	for i, x := range z {
		v := w * x
		first[i] += v
		row := second[at : at+len(z)-i]
		for j, y := range z[i:] {
			row[j] += v * y
		}
		at += len(row)
	}
}
