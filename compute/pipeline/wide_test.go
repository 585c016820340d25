package pipeline

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"
)

// A declared range may be far wider than the values: it catches unit mistakes,
// it must not cost digits. The expected coefficients are computed in rational
// arithmetic from the same decimal cells.
func TestPrecisionDoesNotDependOnTheDeclaredRange(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	var records [][]string
	var xs, ys []*big.Rat
	for i := range 900 {
		x := strconv.FormatFloat(100+random.NormFloat64(), 'f', 6, 64)
		v, _ := strconv.ParseFloat(x, 64)
		y := strconv.FormatFloat(2+v/2+random.NormFloat64()/2, 'f', 6, 64)
		records = append(records, []string{x, y, strconv.Itoa(i % 3)})
		rx, _ := new(big.Rat).SetString(x)
		ry, _ := new(big.Rat).SetString(y)
		xs, ys = append(xs, rx), append(ys, ry)
	}
	mean := func(values []*big.Rat) *big.Rat {
		sum := new(big.Rat)
		for _, v := range values {
			sum.Add(sum, v)
		}
		return sum.Quo(sum, big.NewRat(int64(len(values)), 1))
	}
	mx, my := mean(xs), mean(ys)
	sxy, sxx := new(big.Rat), new(big.Rat)
	for i := range xs {
		dx, dy := new(big.Rat).Sub(xs[i], mx), new(big.Rat).Sub(ys[i], my)
		sxy.Add(sxy, dy.Mul(dx, dy))
		sxx.Add(sxx, dx.Mul(dx, dx))
	}
	slope := new(big.Rat).Quo(sxy, sxx)
	wantSlope, _ := slope.Float64()
	wantIntercept, _ := new(big.Rat).Sub(my, new(big.Rat).Mul(slope, mx)).Float64()

	for _, width := range []string{"200", "1e4", "1e6", "1e8"} {
		for _, how := range []encoding{plain, fixedPoint} {
			s := parse(t, fmt.Sprintf(`
study: wide
version: 1
title: Wide
outcome: {column: y, type: number, range: [-%[1]s, %[1]s]}
features: [{column: x, type: number, range: [0, %[1]s]}]
model: {kind: glm, family: gaussian}
`, width))
			sites := matrices(t, s, []string{"x", "y", "site"}, records, func(i int) string { return records[i][2] })
			result, err := federate(t, s, sites, how)
			if err != nil {
				t.Fatalf("range of %s: %v", width, err)
			}
			near(t, "intercept for a range of "+width, result.Model.GLM.Terms[0].Estimate, wantIntercept, 1e-8)
			near(t, "slope for a range of "+width, result.Model.GLM.Terms[1].Estimate, wantSlope, 1e-8)
		}
	}
}
