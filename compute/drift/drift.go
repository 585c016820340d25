// Package drift watches a model that hospitals have installed: whether the
// patients of a later window of time are other patients, and whether what
// happens to them is still what the model expects.
//
// Every hospital applies its own installed copy to its own records. A window is
// asked about once, when it is over, in three sums. First the sizes of the groups
// and how many hospitals have them are opened; then, of the groups that are large
// enough, whether one hospital has nearly all of it; then, of those that pass,
// what was observed, what the model expected, and histograms of the predictions
// and of each feature on bins that the study declared. A group that does not pass
// in a window has no figures there and is said to have none. A window whose sums
// were not all opened, for want of hospitals that answer, has no figures at all;
// the next one is asked about when it is due.
//
// Two kinds of drift are told apart. A shift of the patients is measured against
// the first window that was not missed: the population stability index, the Jensen–Shannon divergence
// and the Kolmogorov–Smirnov distance. A drift of the outcomes is measured against
// the model's own expectation: observed to expected, which a CUSUM adds up over
// windows, with a reference value and a limit that the study declared. The report
// prints how often such a chart calls a false alarm and how soon it finds the
// margin that the study says would matter; where it could not have found it in
// these windows, the verdict is that the evidence is insufficient, not that there
// is no drift. The words are `alert`, `no alert` and `insufficient evidence`.
//
// References: Page, Biometrika 41 (1954); Brook and Evans, Biometrika 59 (1972),
// for run lengths; Lucas and Saccucci, Technometrics 32 (1990), for the EWMA; Lin,
// IEEE Transactions on Information Theory 37 (1991), for the divergence; Yurdakul
// and Naranjo, Journal of Risk Model Validation 14 (2020), for the noise of a
// stability index; Berry, Biometrics 39 (1983), for observed and expected events
// under censoring.
package drift

// Verdicts.
const (
	Alert        = "alert"
	NoAlert      = "no alert"
	Insufficient = "insufficient evidence"
)

// States of a group in a window.
const (
	OK         = "ok"
	Suppressed = "suppressed" // some patients, but too few to be shown, or needed to hide those of another group
	Zero       = "zero"       // no patients
	Missed     = Insufficient // of a whole window: its sums were not opened
)

// Why a window was missed.
const (
	TooFew    = "too few hospitals answered"
	NotOpened = "the opening of its sum began and failed, and a sum is not opened twice"
)
