// Package boost grows histogram gradient-boosted trees (Friedman, Annals of
// Statistics 29, 2001; Chen and Guestrin, KDD 2016; Ke et al., NeurIPS 2017)
// from secure sums alone. Both halves are here: a [Fit] is the coordinator's,
// [Layout] and [Answer] are a site's.
//
// # What is asked
//
// First quantiles of every number, then one sum that counts the patients in the
// bins between them ("boost/bins"). From then on each tree grows level by level,
// one sum to a level ("boost/tree"): for the open nodes, every column and every
// bin the sum of the gradients, of the hessians, and the number of patients. Of
// two siblings only the smaller is asked; the other is their parent less the
// smaller. The question at a tree's root also asks the loss of the trees
// before, on the records that train and on those held out for early stopping.
//
// # The same trees as a pooled fit
//
// A record's gradient and hessian are rounded, at the site, to a multiple of a
// power of two that the question names: up or down by chance, in such shares
// that their sums err in neither direction (Shi et al., NeurIPS 2022), where the
// chance hangs on the record's bins, its outcome and the number of the tree
// alone. The multiple follows from the slopes at the root of the tree before. All
// sums are then of whole numbers below 2^53, which float64 and the secure sum
// carry exactly; subtraction is exact too. So the trees are those that one
// machine with all records would grow on the same bins, bit for bit, however the
// patients are divided. The one exception is meant: the Cox loss compares a
// patient only with patients of the same hospital (the partial likelihood
// stratified by site), and its gradients are those of XGBoost's survival:cox
// with each hospital's own risk sets.
//
// # Weights
//
// A mitigation can have patients weigh: gradient, hessian and loss of a record are
// multiplied before they are rounded; of the Cox loss a patient's part in the risk
// sets and the event are, and those of the baseline, as in R's coxph(weights = ).
// Numbers of patients stay what they are, so that min_leaf and the minimum cell count
// people; bins and the base score are those of the patients as they are.
//
// # Bins
//
// A value x is in the bin whose number is the count of edges below x: a value
// equal to an edge is in the bin that ends there, and a split at an edge sends
// it left. Edges have 17 significant bits, and more where the column's declared
// range lies far from zero. Bins next to each other are merged until each holds
// the study's minimum cell of patients over all sites, and a level or a share of
// missing values smaller than that is not a column or a bin of its own. Of a
// category every level is a column, of three or more the reference too, unless
// its sums less those of the others would tell of levels as rare as that. A
// missing value has a bin where enough patients lack the value, and each split
// learns the side to which it goes; elsewhere it is taken for the middle bin.
//
// # Baseline
//
// Trees of the Cox loss say who has the event sooner, not when. Where the study
// asks for a baseline, the patients of all hospitals share one: Breslow's
// estimate (Biometrics 30, 1974), the events of an interval of the study's grid
// over the sum of exp(score) of all patients at risk in it, of those who trained and
// those held out. Times are taken at the ends of the intervals, which are first
// merged as for a Cox model without strata (package hazard), from counts that
// are opened before the trees grow, so that too few events are known then.
//
// # What the sums show
//
// Nothing leaves a site but its part of a sum, and no node, and so no leaf, has
// fewer patients over all sites than min_leaf, which may not be below the
// minimum cell. But the coordinator opens whole histograms: below the root a
// bin can hold few patients or one, and then its count, gradient and hessian
// are those of few patients over all sites, though of no site. The questions
// tell the sites which bins of a node nobody is in and, in powers of two, how
// many are in the fullest that is asked of a column. Neither is the
// difference of two such sums protected. A consortium that does not accept this
// of its coordinator should choose fewer bins, less depth and a larger
// min_leaf, or another model. The result holds no histogram: only splits,
// leaves, and the mean loss.
//
// # What travels
//
// A question holds all that its answer needs, the trees so far included, so that
// a site that was restarted in the middle of a tree, or all of them, can go on.
// For 100 numbers in 64 bins that is 21 kB of edges and 0.6 kB for each finished
// tree of depth 6, or 30 MB to a site over 100 trees.
//
// Below the root a node is asked only for what its parent's histogram leaves
// open: not for bins that are empty there, nor one by one for bins between which
// too few patients are on a side to split, nor for the column that the parent was
// split on, and of the others not for the largest bin, which is the node's total
// less the rest. The question says so in a few bytes for each column, beside the
// bits that a sum can have: no more patients are in a bin than in the parent's,
// their hessians are no more, and their gradients no more than the root of their
// number times the squares of the parent's gradients (Cauchy and Schwarz).
// A level's gradients, hessians and counts lie side by side in limbs as wide as a
// slot of the secure sum (limbs.go): for such a tree of 10^5 patients 200 000 bins
// of 17 to 45 bits, among 20 sites 1.0 MB of ciphertext, beside the key shares of
// six sums.
//
// # Hospitals that come and go
//
// A parent says something of its child only if the same patients are in both
// sums. Every histogram begins with its node's totals; if they are not what the
// parent's histogram says, a hospital came or went, and both children are asked
// anew for every bin, with room for twice the patients. A site that alone has
// more than all sites had does not answer before that.
package boost

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// Steps of a study with this model.
const (
	StepQuantiles = "boost/quantiles"
	StepBins      = "boost/bins"
	StepTree      = "boost/tree"
	// Only where the model has a baseline.
	StepGrid     = "boost/grid"     // events and censorings by interval
	StepBaseline = "boost/baseline" // the same, and the hazards of those at risk
)

const (
	maxRows     = 1 << 24 // of one site
	mostNumbers = 1 << 26 // of one answer
	exactBits   = 52      // sums stay below 2^52 in magnitude, so that float64 has them exactly
	scoreBound  = 30      // on the magnitude of a score on a log scale, which is clamped there
)

// check refuses settings that this package cannot fit privately.
func check(s *study.Study) error {
	b := s.Model.Boost
	if s.Model.Kind != study.Boost || b == nil {
		return errors.New("the study's model is not of boosted trees")
	}
	if b.MinLeaf < s.Fairness.MinimumCell {
		return &compute.Diagnosis{Kind: compute.TooFewPatients,
			Message: fmt.Sprintf("a leaf of %d patients would be smaller than the minimum cell of %d; raise min_leaf", b.MinLeaf, s.Fairness.MinimumCell)}
	}
	if n := largestBins(s).asked() * openMost(b.Depth) * 3; n > mostNumbers {
		return fmt.Errorf("a level of a tree would ask each site for %d numbers, more than %d; choose fewer bins, less depth or fewer features", n, mostNumbers)
	}
	return nil
}

// openMost is how many nodes of trees so deep are asked at once: of two
// siblings one.
func openMost(depth int) int { return 1 << max(depth-2, 0) }

// bitLength is that of a count: the least b with count < 2^b.
func bitLength(count int) int { return bits.Len(uint(count)) }
