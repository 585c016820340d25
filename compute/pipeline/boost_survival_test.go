package pipeline

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

// The audit of trees with a baseline judges the events and risks that the released
// model's baseline gives each patient, as that of a Cox model.
func TestTreesWithABaselineAreAuditedByTheirRisks(t *testing.T) {
	protocol := strings.NewReplacer("model: {kind: cox, stratify: site}", "model: {kind: boost, baseline: breslow, trees: 15, depth: 3}", "mitigation: \n", "").
		Replace(fmt.Sprintf(survivalStudy, study.StratifySite, "", "times: [4, 8],", ""))
	s := parse(t, protocol)
	sites := survivors(t, s, 1500, 2)
	result, err := federate(t, s, sites, fixedPoint)
	if err != nil {
		t.Fatal(err)
	}
	m := result.Model.Boost
	if len(m.Baseline) == 0 {
		t.Fatal("the model has no baseline")
	}
	p, err := decode(s, mustEncode(t, result.Model))
	if err != nil {
		t.Fatal(err)
	}
	// hazardAt is the cumulative hazard of a score of 0.
	hazardAt := func(time float64) float64 {
		from, hazard := 0.0, 0.0
		for _, b := range m.Baseline {
			if b.Time >= time {
				return hazard + (b.Hazard-hazard)*(time-from)/(b.Time-from)
			}
			from, hazard = b.Time, b.Hazard
		}
		return hazard
	}
	events, expected, risk, patients := 0.0, 0.0, 0.0, 0.0
	for _, site := range sites {
		for i := range site.Rows() {
			relative := math.Exp(p.Predict(site.Row(i), 0))
			expected += hazardAt(min(site.Outcome(i), 4)) * relative
			risk += 1 - math.Exp(-hazardAt(8)*relative)
			patients++
			if site.Event(i) && site.Outcome(i) <= 4 {
				events++
			}
		}
	}
	overall := result.Audit.Groups[0].Metrics
	for name, want := range map[string]float64{"oe": events / expected, "predicted_risk_at_8": risk / patients} {
		if got, ok := overall[name]; !ok || math.Abs(got.Estimate-want) > 1e-6*want {
			t.Errorf("%s is %v, want %v", name, got.Estimate, want)
		}
	}
	// The baseline is of these patients, at the times of the grid.
	if oe := overall["oe"].Estimate; math.Abs(oe-1) > 0.1 {
		t.Errorf("observed over expected events of the patients of the fit are %v", oe)
	}
	if _, ok := overall["calibration_in_the_large_at_8"]; !ok {
		t.Errorf("no calibration at a declared time: %v", overall)
	}
	steps := Steps(s, len(sites))
	for _, step := range []string{"boost/grid", "boost/baseline"} {
		found := false
		for _, x := range steps {
			found = found || x.Step == step
		}
		if !found {
			t.Errorf("%s is not announced", step)
		}
	}
	if _, err := study.Parse([]byte(strings.Replace(protocol, "minimum_cell: 11", "minimum_cell: 11, every: 5", 1))); err == nil || !strings.Contains(err.Error(), "no risks to audit") {
		t.Errorf("an audit of trees that still grow: %v", err)
	}
}

func mustEncode(t *testing.T, m *Model) []byte {
	t.Helper()
	encoded, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
