package pipeline

import (
	"bytes"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// However a scope is written, it is the spelling that sites accept, of which there
// is one.
func TestAScopeHasOneSpelling(t *testing.T) {
	own, err := compute.EncodeParameters(map[string]any{"edges": []byte{0xfb, 0xff}, "name": "a<b> & \u2028"})
	if err != nil {
		t.Fatal(err)
	}
	fold := 2
	for name, q := range map[string]scoped{
		"nothing":                        {},
		"parameters of the step":         {Parameters: own},
		"a fold":                         {scope: scope{LeaveOut: leaveOut{Fold: &fold}}, Parameters: own},
		"hospitals":                      {scope: scope{LeaveOut: leaveOut{Sites: []study.SiteID{"luke"}}}, Parameters: own},
		"knots":                          {scope: scope{Knots: [][]float64{{1, 2}}}, Parameters: own},
		"weights":                        {scope: scope{Weights: [][]float64{{1}}}, Parameters: own},
		"sharpness":                      {scope: scope{Q: 0.5}, Parameters: own},
		"weights of gaps":                {scope: scope{GapWeights: &study.GapWeights{}}, Parameters: own},
		"a fold, nothing from the step":  {scope: scope{LeaveOut: leaveOut{Fold: &fold}}},
		"lists of nothing, which are so": {scope: scope{Knots: [][]float64{}, Weights: [][]float64{}}, Parameters: own},
	} {
		got, err := q.encode()
		if err != nil {
			t.Fatal(err)
		}
		want, err := compute.EncodeParameters(q)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
