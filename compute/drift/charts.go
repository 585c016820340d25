package drift

import "math"

// CUSUM is Page's tabular chart of standardised deviations: two sums, of what
// exceeds k upwards and downwards, neither below zero; above h it calls.
type CUSUM struct{ K, H, Up, Down float64 }

// Add takes a window's deviation and reports whether the chart calls.
func (c *CUSUM) Add(z float64) bool {
	c.Up = max(0, c.Up+z-c.K)
	c.Down = max(0, c.Down-z-c.K)
	return c.Up > c.H || c.Down > c.H
}

// EWMA is the exponentially weighted moving average of standardised deviations,
// with the limits that it settles to.
type EWMA struct{ Weight, Limit, Value float64 }

// Width of the limits around zero.
func (e *EWMA) Width() float64 { return e.Limit * math.Sqrt(e.Weight/(2-e.Weight)) }

// Add takes a window's deviation and reports whether the chart calls.
func (e *EWMA) Add(z float64) bool {
	e.Value += e.Weight * (z - e.Value)
	return math.Abs(e.Value) > e.Width()
}

// chain is a chart as a Markov chain on equal steps of its value (Brook and
// Evans): the probability to be in a state after the next window, while the chart
// has not called. The first state is where it starts.
type chain [][]float64

// states of a chain; the run lengths of textbooks come out to three digits.
const states = 101

// cusumChain of one side, for deviations of this mean.
func cusumChain(k, h, mean float64) chain {
	c := make(chain, states)
	width := 2 * h / (2*states - 1)
	for i := range c {
		c[i] = make([]float64, states)
		below := func(edge float64) float64 { return normalCDF(edge - float64(i)*width + k - mean) }
		last := below(width / 2)
		c[i][0] = last
		for j := 1; j < states; j++ {
			next := below((float64(j) + 0.5) * width)
			c[i][j] = next - last
			last = next
		}
	}
	return c
}

// ewmaChain of both sides.
func ewmaChain(weight, limit, mean float64) chain {
	reach := (&EWMA{Weight: weight, Limit: limit}).Width()
	width := 2 * reach / states
	// The middle first, where the average starts.
	at := func(i int) float64 {
		half := float64((i + 1) / 2)
		if i%2 == 1 {
			return half * width
		}
		return -half * width
	}
	c := make(chain, states)
	for i := range c {
		c[i] = make([]float64, states)
		for j := range c[i] {
			edge := func(x float64) float64 { return normalCDF((x-(1-weight)*at(i))/weight - mean) }
			c[i][j] = edge(at(j)+width/2) - edge(at(j)-width/2)
		}
	}
	return c
}

// longest is a run length that is as good as never.
const longest = 1e9

// runLength is the mean number of windows until the chart calls: the solution of
// (I-R) L = 1, by Gaussian elimination. Where a chart hardly ever calls, a row of
// R sums to one as far as numbers go.
func (c chain) runLength() float64 {
	n := len(c)
	a := make([][]float64, n)
	for i := range a {
		a[i] = make([]float64, n+1)
		for j := range c[i] {
			a[i][j] = -c[i][j]
		}
		a[i][i]++
		a[i][n] = 1
	}
	for p := n - 1; p > 0; p-- {
		for i := range p {
			f := a[i][p] / a[p][p]
			for j := range p {
				a[i][j] -= float64(f * a[p][j])
			}
			a[i][n] -= float64(f * a[p][n])
		}
	}
	length := a[0][n] / a[0][0]
	if !(0 < length && length <= longest) {
		return longest
	}
	return max(1, length) // up to rounding it is
}

// calls is the probability that the chart calls within so many windows.
func (c chain) calls(windows int) float64 {
	now := make([]float64, len(c))
	now[0] = 1
	for range windows {
		next := make([]float64, len(c))
		for i, p := range now {
			for j, q := range c[i] {
				next[j] += float64(p * q)
			}
		}
		now = next
	}
	return min(1, max(0, 1-total(now)))
}

// RunLength is the mean number of windows until a CUSUM with both sides calls,
// where deviations have this mean: 1/(1/up + 1/down).
func RunLength(k, h, mean float64) float64 {
	return max(1, 1/(1/cusumChain(k, h, mean).runLength()+1/cusumChain(k, h, -mean).runLength()))
}

// EWMARunLength is the mean number of windows until an EWMA calls.
func EWMARunLength(weight, limit, mean float64) float64 {
	return ewmaChain(weight, limit, mean).runLength()
}

// FalseAlarm is the probability that a CUSUM calls within so many windows without
// a drift, taking its two sides as independent.
func FalseAlarm(k, h float64, windows int) float64 {
	quiet := 1 - cusumChain(k, h, 0).calls(windows)
	return 1 - quiet*quiet
}

// EWMAFalseAlarm is the same of an EWMA.
func EWMAFalseAlarm(weight, limit float64, windows int) float64 {
	return ewmaChain(weight, limit, 0).calls(windows)
}

func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
