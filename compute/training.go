package compute

// Point is one point of a learning curve.
type Point struct {
	Round  int      `json:"round"` // rounds of training, or trees, so far
	Loss   float64  `json:"loss"`  // mean over the patients
	Metric *float64 `json:"metric,omitempty"`
	// HeldOut is the mean loss over the patients kept from training to stop early.
	HeldOut *float64 `json:"held_out,omitempty"`
	// Step is the largest Newton step of a coefficient that this round's sum gives,
	// each on the scale of its column's spread: how far the fit is from its end.
	Step *float64 `json:"step,omitempty"`
}

// Diagnosis kinds of models that are trained round by round.
const (
	Divergence    = "divergence"     // the loss grows instead of falling
	ClippedUpdate = "clipped-update" // a remark: numbers were cut to their declared bound
	NoSplit       = "no-split"       // a remark: trees found nothing that lowers the loss
	UnusedColumn  = "unused-column"  // a remark: the model does not look at it, for patients hardly differ there
)
