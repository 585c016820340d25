package fairness

import (
	"fmt"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

const cutsStudy = `study: s
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features: [{column: x, type: number, range: [0, 1]}]
model: {kind: glm, family: binomial}
fairness: {attributes: [{column: g, levels: [A, B]}], thresholds: [0.5, 0.7]}
mitigation: {method: %s, attribute: g, strength: [1], release: none%s}
`

// Where groups are called positive from probabilities of their own, these stand
// for the first threshold and for no other.
func TestThresholdsByGroupStandForTheFirst(t *testing.T) {
	s, err := study.Parse(fmt.Appendf(nil, cutsStudy, "thresholds", ", equalize: tpr"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.NewBuilder([]string{"y", "x", "g"})
	if err != nil {
		t.Fatal(err)
	}
	var predictions []float64
	for i := range 40 {
		b.Add([]string{fmt.Sprint(i % 2), "0.5", []string{"A", "B", "A", "C"}[i%4]})
		predictions = append(predictions, 0.6)
	}
	whole := &Audit{Cuts: []Cut{{"g", "A", 0.65}, {"g", "B", 0.55}, {"g", study.Unknown, 0.5}}}
	a, err := Local(s, whole, b.Matrix(), Forecast{Values: predictions})
	if err != nil {
		t.Fatal(err)
	}
	for level, want := range map[string]float64{"A": 0, "B": 1, study.Unknown: 1} {
		g := a.Group("g", level)
		if got := g.Metrics["selection_rate"].Estimate; got != want {
			t.Errorf("%s: %v are called positive at its own threshold, want %v", level, got, want)
		}
		for name, x := range g.Metrics {
			if strings.HasPrefix(name, "selection_rate_") && x.Estimate != 0 {
				t.Errorf("%s: %v are called positive at %s", level, x.Estimate, name)
			}
		}
	}
	if len(a.Cuts) != 3 || a.Cuts[0] != whole.Cuts[0] || !strings.Contains(strings.Join(a.Limits, " "), "A 0.65, B 0.55, unknown 0.5") {
		t.Errorf("the report says %v and %q", a.Cuts, a.Limits)
	}
}

func TestForeignThresholdsByGroupAreRefused(t *testing.T) {
	own, err := study.Parse(fmt.Appendf(nil, cutsStudy, "thresholds", ", equalize: tpr"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := study.Parse(fmt.Appendf(nil, cutsStudy, "recalibrate", ""))
	if err != nil {
		t.Fatal(err)
	}
	for parameters, s := range map[string]*study.Study{
		`{"cells":[0],"cuts":[0.5,0.5]}`:      own,
		`{"cells":[0],"cuts":[0.5,0.5,1.1]}`:  own,
		`{"cells":[0],"cuts":[0.5,0.5,-0.1]}`: own,
		`{"cells":[0],"cuts":[0.5,0.5,0.6]}`:  other,
	} {
		if _, err := Layout(s, Step, []byte(parameters)); err == nil || !strings.Contains(err.Error(), "threshold") {
			t.Errorf("%s: %v", parameters, err)
		}
	}
}
