package describe

import (
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat/distuv"
)

// LogRank is the test that groups have the same hazard (Mantel, Cancer
// Chemotherapy Reports 50, 1966), of times at the ends of their intervals.
type LogRank struct {
	ChiSquared float64 `json:"chi_squared"`
	DF         int     `json:"df"`
	PValue     float64 `json:"p_value"`
}

// logRank compares the groups that have patients; nil if they are fewer than
// two or had no event while they could be compared.
func logRank(all []Lifetable) *LogRank {
	var groups []Lifetable
	for _, l := range all {
		if l.Patients() > 0 {
			groups = append(groups, l)
		}
	}
	df := len(groups) - 1
	if df < 1 {
		return nil
	}
	// Observed less expected events of all groups but the last, whose is the
	// negative sum of the others, and their covariance.
	excess := mat.NewVecDense(df, nil)
	covariance := mat.NewSymDense(df, nil)
	risk := make([][]int, len(groups))
	for g, l := range groups {
		risk[g] = l.AtRisk()
	}
	for k := range groups[0].Events {
		d, n := 0.0, 0.0
		for g, l := range groups {
			d += float64(l.Events[k])
			n += float64(risk[g][k])
		}
		if d == 0 {
			continue
		}
		hyper := 0.0 // d (n-d) / (n-1), of the hypergeometric variance
		if n > 1 {
			hyper = d * (n - d) / (n - 1)
		}
		for g := range df {
			share := float64(risk[g][k]) / n
			excess.SetVec(g, excess.AtVec(g)+float64(groups[g].Events[k])-d*share)
			for h := g; h < df; h++ {
				v := -share * float64(risk[h][k]) / n
				if g == h {
					v += share
				}
				covariance.SetSym(g, h, covariance.At(g, h)+hyper*v)
			}
		}
	}
	var f mat.Cholesky
	var x mat.VecDense
	if !f.Factorize(covariance) || f.SolveVecTo(&x, excess) != nil {
		return nil
	}
	chi := mat.Dot(excess, &x)
	return &LogRank{ChiSquared: chi, DF: df, PValue: distuv.ChiSquared{K: float64(df)}.Survival(chi)}
}
