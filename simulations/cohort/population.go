package cohort

import (
	"math"
	"math/rand/v2"
)

// Ancestry is a group of the column race4.
type Ancestry int

const (
	White Ancestry = iota
	Asian
	Black
	Mixed
	ancestries
)

func (a Ancestry) String() string {
	return [ancestries]string{"White", "Asian", "Black or African American", "Mixed/missing"}[a]
}

// alleles holds allele frequencies: VKORC1 -1639A (rs9923231) and CYP2C9 *2, *3
// and *8, the rest being G and *1.
type alleles struct{ vkorc1A, star2, star3, star8 float64 }

// Frequencies of the 1000 Genomes Project as tabulated in PMC6562764, table 1:
// European for White, East Asian for Asian, and the Latino column for Mixed.
// Black or African American is four fifths of the African and one fifth of the
// European column, which comes close to what Scott et al. counted in 600 African
// American alleles (PMC2737687: *8 0.047). They are rounded; this is a
// population to try software on, not to study genetics with.
var frequencies = [ancestries]alleles{
	White: {vkorc1A: 0.388, star2: 0.124, star3: 0.073},
	Asian: {vkorc1A: 0.885, star2: 0.001, star3: 0.034},
	Black: {vkorc1A: 0.121, star2: 0.031, star3: 0.016, star8: 0.045},
	Mixed: {vkorc1A: 0.411, star2: 0.099, star3: 0.037},
}

// body holds means and standard deviations of height and weight, round figures
// of adults treated with warfarin.
type body struct{ height, heightSD, weight, weightSD float64 }

var (
	men = [ancestries]body{
		White: {177, 7.5, 90, 19}, Asian: {166, 6.5, 66, 11}, Black: {178, 7.5, 94, 23}, Mixed: {171, 7, 85, 20},
	}
	women = [ancestries]body{
		White: {162, 7, 76, 18}, Asian: {154, 6, 56, 10}, Black: {164, 7, 88, 22}, Mixed: {158, 7, 72, 16},
	}
)

// ageShares are the shares of the decades 1 to 9 among patients on warfarin.
var ageShares = []float64{0.004, 0.02, 0.04, 0.09, 0.18, 0.25, 0.28, 0.126, 0.01}

// Chances of the co-medications that change the dose.
const (
	inducerShare    = 0.012
	amiodaroneShare = 0.05
)

// draw makes a patient. Each patient takes the same number of draws whatever
// they turn out to be, so that neighbours do not depend on one another.
func draw(r *rand.Rand, h Hospital) Patient {
	p := Patient{Ancestry: Ancestry(pick(r, h.Ancestry[:])), Female: r.Float64() < h.Women}
	p.AgeDecade = 1 + pick(r, ageShares)
	b := men[p.Ancestry]
	if p.Female {
		b = women[p.Ancestry]
	}
	tall, heavy := r.NormFloat64(), r.NormFloat64()
	p.HeightCM = within(b.height+b.heightSD*tall, 130, 210)
	// Taller people weigh more: a correlation of 0.4.
	p.WeightKG = within(b.weight+b.weightSD*(0.4*tall+math.Sqrt(1-0.4*0.4)*heavy), 35, 200)
	f := frequencies[p.Ancestry]
	p.VKORC1 = diplotype([]string{"A", "G"}, drawAllele(r, f.vkorc1A), drawAllele(r, f.vkorc1A))
	stars := []string{"*1", "*2", "*3", "*8"}
	shares := []float64{1 - f.star2 - f.star3 - f.star8, f.star2, f.star3, f.star8}
	p.CYP2C9 = diplotype(stars, pick(r, shares), pick(r, shares))
	p.EnzymeInducer = r.Float64() < inducerShare
	p.Amiodarone = r.Float64() < amiodaroneShare
	return p
}

// drawAllele is 0 with the given chance, else 1.
func drawAllele(r *rand.Rand, chance float64) int { return pick(r, []float64{chance, 1 - chance}) }

// diplotype names two alleles, the first in the list first.
func diplotype(names []string, a, b int) string { return names[min(a, b)] + "/" + names[max(a, b)] }

// pick draws an index with chances in proportion to the shares.
func pick(r *rand.Rand, shares []float64) int {
	total := 0.0
	for _, share := range shares {
		total += share
	}
	at := r.Float64() * total
	last := 0
	for i, share := range shares {
		if share > 0 {
			last = i
			if at < share {
				return i
			}
		}
		at -= share
	}
	return last // rounding left a sliver
}

func within(x, low, high float64) float64 { return min(max(x, low), high) }
