package cox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

// onGrid is a study of the veterans with a clock of all hospitals and strata.
func onGrid(t testing.TB, step float64, ties, transform string, cell int) *study.Study {
	t.Helper()
	text := fmt.Sprintf(veterans, "site", "model", fmt.Sprintf(", ties: %s, time_transform: %s", ties, transform))
	return parse(t, strings.NewReplacer("grid: {step: 1}", fmt.Sprintf("grid: {step: %g}", step), "minimum_cell: 1", fmt.Sprintf("minimum_cell: %d", cell)).Replace(text))
}

// R takes the Kaplan-Meier estimate and the ranks over all strata pooled.
func TestClocksUnderStrataAreThoseOfR(t *testing.T) {
	data, err := os.ReadFile("testdata/strata.json")
	if err != nil {
		t.Fatal(err)
	}
	var fits []struct {
		Ties, Transform string
		Step            float64
		Coef, ZPH       []float64
	}
	if err := json.Unmarshal(data, &fits); err != nil || len(fits) != 8 {
		t.Fatal(len(fits), err)
	}
	for _, want := range fits {
		s := onGrid(t, want.Step, want.Ties, want.Transform, 1)
		m := fit(t, s, veteransAt(t, s, 3))
		name := fmt.Sprintf("%s, %s, step %g: ", want.Ties, want.Transform, want.Step)
		for j, term := range m.Terms {
			near(t, name+term.Name, term.Estimate, want.Coef[j], 1e-9)
		}
		if m.TimeTransform != want.Transform || len(m.Proportional) != len(want.ZPH) {
			t.Fatalf("%s%d tests by %q", name, len(m.Proportional), m.TimeTransform)
		}
		for i, p := range m.Proportional {
			near(t, name+"proportional hazards of "+p.Term, p.Statistic, want.ZPH[i], 1e-7)
		}
	}
}

// What hospitals are told of each other is a clock of joined intervals, each with
// the minimum cell of events; the fit stays that of exact times.
func TestAClockUnderStrataTellsOfTheMinimumCell(t *testing.T) {
	const cell = 9
	s := onGrid(t, 10, study.Efron, study.TimeKM, cell)
	sites := veteransAt(t, s, 3)
	m, f, err := federate(t, s, sites)
	if err != nil {
		t.Fatal(err)
	}
	at := f.fitted()
	if !slices.Equal(at.Ends, f.merged.Intervals) || len(at.Clock) != len(at.Ends) || len(at.Ends) < 4 {
		t.Fatalf("a clock of %d times, %d ends", len(at.Clock), len(at.Ends))
	}
	events := make([]int, len(at.Ends))
	for _, site := range sites {
		for i := range site.Rows() {
			if in, died := f.merged.Place(s.Outcome.Grid, site.Outcome(i), site.Event(i)); died {
				events[in]++
			}
		}
	}
	for k, d := range events {
		if d > 0 && d < cell {
			t.Errorf("the clock tells of %d events at %v", d, s.Outcome.Grid[at.Ends[k]])
		}
	}
	plain := fit(t, parse(t, fmt.Sprintf(veterans, "site", "model", "")), sites)
	for j, term := range m.Terms {
		near(t, term.Name, term.Estimate, plain.Terms[j].Estimate, 0)
	}

	few := onGrid(t, 10, study.Efron, study.TimeRank, 130)
	_, _, err = federate(t, few, veteransAt(t, few, 3))
	var d *compute.Diagnosis
	if !errors.As(err, &d) || d.Kind != compute.TooFewPatients || !strings.Contains(d.Message, "identity or log") {
		t.Errorf("%v", err)
	}
}

func TestClocksUnderStrataAreChecked(t *testing.T) {
	s := onGrid(t, 100, study.Efron, study.TimeKM, 1)
	at := point{Coefficients: make([]float64, 3), Centre: []float64{1.5, 50, 50}}
	last := len(s.Outcome.Grid) - 1
	try := func(s *study.Study, clock []float64, ends []int) error {
		parameters, err := compute.EncodeParameters(fitted{point: at, Clock: clock, Ends: ends})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Layout(s, StepChecks, parameters)
		return err
	}
	if err := try(s, []float64{0, 0.5}, []int{3, last}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		clock []float64
		ends  []int
	}{
		"no clock":        {nil, nil},
		"no ends":         {[]float64{0, 0.5}, nil},
		"too long":        {[]float64{0, 0.5, 0.6}, []int{3, last}},
		"not to the end":  {[]float64{0, 0.5}, []int{3, last - 1}},
		"not ascending":   {[]float64{0, 0.5, 0.6}, []int{3, 3, last}},
		"backwards":       {[]float64{0.5, 0.4}, []int{3, last}},
		"beyond one":      {[]float64{0, 1.5}, []int{3, last}},
		"below the first": {[]float64{0, 0.5}, []int{-1, last}},
	} {
		if try(s, c.clock, c.ends) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	identity := parse(t, fmt.Sprintf(veterans, "site", "model", ""))
	if try(identity, nil, []int{999}) == nil || try(identity, []float64{0}, []int{999}) == nil {
		t.Error("a study of the identity takes a clock")
	}
	if _, err := Layout(identity, StepGrid, nil); err == nil {
		t.Error("a study of the identity by strata counts by interval")
	}
}
