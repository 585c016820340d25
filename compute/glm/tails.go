package glm

import "math"

// normalTail returns the two-sided p-value of a standard normal statistic,
// accurate to the last digits however small it is.
func normalTail(z float64) float64 { return math.Erfc(math.Abs(z) / math.Sqrt2) }

// studentTail returns the two-sided p-value of a Student t statistic with df
// degrees of freedom: I_x(df/2, 1/2) at x = df/(df+t^2) (Abramowitz and Stegun
// 26.7.1). The prefactor is taken in logarithms, because the values wanted
// reach down to 1e-300.
func studentTail(t, df float64) float64 {
	t2 := t * t
	if t2 == 0 {
		return 1
	}
	x, y := df/(df+t2), t2/(df+t2) // x + y = 1, both without cancellation
	return incompleteBeta(df/2, 0.5, x, y)
}

// incompleteBeta is the regularised incomplete beta function I_x(a, b) with
// y = 1-x given, by its continued fraction (DLMF 8.17.22).
func incompleteBeta(a, b, x, y float64) float64 {
	switch {
	case x <= 0:
		return 0
	case y <= 0:
		return 1
	case x > (a+1)/(a+b+2):
		return 1 - incompleteBeta(b, a, y, x)
	}
	logX := math.Log(x)
	if y < 0.5 {
		logX = math.Log1p(-y)
	}
	logY := math.Log(y)
	if x < 0.5 {
		logY = math.Log1p(-x)
	}
	front := math.Exp(a*logX+b*logY-logBeta(a, b)) / a
	return front * betaFraction(a, b, x)
}

// logBeta is ln B(a, b). For a large a the difference of two huge log-gammas
// would cost digits, so it is taken from Stirling's series instead.
func logBeta(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	lb, _ := math.Lgamma(b)
	if a < 20 {
		la, _ := math.Lgamma(a)
		lab, _ := math.Lgamma(a + b)
		return la + lb - lab
	}
	// ln G(a) - ln G(a+b), with ln G(x) = (x-1/2) ln x - x + ln(2 pi)/2 + r(x).
	return lb - (a-0.5)*math.Log1p(b/a) - b*math.Log(a+b) + b + stirling(a) - stirling(a+b)
}

// stirling is the remainder r(x) of Stirling's formula (DLMF 5.11.1), x >= 20.
func stirling(x float64) float64 {
	x2 := x * x
	return (1./12 - (1./360-(1./1260-(1./1680-1./1188/x2)/x2)/x2)/x2) / x
}

// betaFraction evaluates the continued fraction by the modified Lentz method.
func betaFraction(a, b, x float64) float64 {
	const tiny = 1e-300
	guard := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c := 1.0
	d := 1 / guard(1-(a+b)*x/(a+1))
	h := d
	for m := 1.0; m < 100000; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d = 1 / guard(1+even*d)
		c = guard(1 + even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d = 1 / guard(1+odd*d)
		c = guard(1 + odd/c)
		h *= d * c
		if math.Abs(d*c-1) < 1e-16 {
			break
		}
	}
	return h
}
