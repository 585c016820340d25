package pipeline

import (
	"math"
	"testing"
)

// What is published of the IWPC's pharmacogenetic algorithm: its mean absolute
// error is largest for Black patients, about 11.6 mg a week against 8.8 and 6.6
// for White and Asian ones, while the share predicted within 20% puts Asian
// patients last (issue 5 has the figures of another split; here all patients are
// fitted). Both with intervals that leave no doubt of the order.
func TestTheOrderOfGroupsDependsOnTheMeasure(t *testing.T) {
	audit := run(t, warfarin(weeklyDose, sixLevels, linear), fixedPoint).Audit
	black, white, asian := audit.Group("race4", "Black or African American"), audit.Group("race4", "White"), audit.Group("race4", "Asian")
	for _, c := range []struct {
		what string
		got  float64
		want float64
	}{{"Black", black.Metrics["mae"].Estimate, 11.6}, {"White", white.Metrics["mae"].Estimate, 8.8}, {"Asian", asian.Metrics["mae"].Estimate, 6.6}} {
		if math.Abs(c.got-c.want) > 0.6 {
			t.Errorf("mean absolute error of %s patients %.2f, want about %v", c.what, c.got, c.want)
		}
	}
	if !(*black.Metrics["mae"].Lower > *white.Metrics["mae"].Upper && *white.Metrics["mae"].Lower > *asian.Metrics["mae"].Upper) {
		t.Error("the intervals of the mean absolute errors overlap")
	}
	if !(asian.Metrics["within20"].Estimate < black.Metrics["within20"].Estimate && *asian.Metrics["within20"].Upper < *white.Metrics["within20"].Lower) {
		t.Error("the share within 20% does not reverse the order")
	}
	for _, l := range audit.Largest {
		if l.Metric == "mae" && l.Attribute == "race4" && (l.High != "Black or African American" || l.Low != "Asian" || l.Estimate <= l.Floor || l.P > 0.01) {
			t.Errorf("largest gap %+v", l)
		}
	}
	inside := 0
	for _, w := range audit.Within {
		if w.Metric == "mae" && w.Attribute == "sex" {
			inside++
			if w.Sites < 3 || *w.Adjusted.Lower > *w.Adjusted.Upper || math.Abs(w.Adjusted.Estimate-w.Crude) > 3 {
				t.Errorf("inside hospitals %+v", w)
			}
		}
	}
	if inside != 1 {
		t.Errorf("%d comparisons of sex inside hospitals", inside)
	}
}
