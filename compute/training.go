package compute

// Point is one point of a learning curve.
type Point struct {
	Round  int      `json:"round"` // rounds of training, or trees, so far
	Loss   float64  `json:"loss"`  // mean over the patients
	Metric *float64 `json:"metric,omitempty"`
}

// Diagnosis kinds of models that are trained round by round.
const (
	Divergence    = "divergence"     // the loss grows instead of falling
	ClippedUpdate = "clipped-update" // a remark: numbers were cut to their declared bound
)
