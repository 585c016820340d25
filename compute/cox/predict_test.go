package cox

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/study"
)

func fitted300(t testing.TB, stratify string) (*study.Study, []*study.Matrix, *Model) {
	t.Helper()
	d := cohort(300, asIs)
	s := parse(t, fmt.Sprintf(small, stratify, 0., 3, 25))
	sites := divide(t, s, d, by(d, "site"))
	return s, sites, fit(t, s, sites)
}

func TestPredictorIsTheModel(t *testing.T) {
	for _, stratify := range strata {
		s, sites, m := fitted300(t, stratify)
		data, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		p, err := Decode(s, data)
		if err != nil {
			t.Fatal(err)
		}
		row := sites[0].Row(3)
		want := 0.25
		for j, term := range m.Terms {
			want += term.Estimate * (row[j+1] - term.Mean)
		}
		near(t, "log relative hazard", p.Predict(row, 0.25), want, 1e-12)
		survivor := p.(compute.Survivor)
		for _, b := range m.Baseline {
			near(t, "survival of the mean patient", survivor.Survival(0, b.Time), b.Survival, 1e-12)
			near(t, "twice the hazard", survivor.Survival(math.Log(2), b.Time), b.Survival*b.Survival, 1e-12)
		}
		if survivor.Survival(0, 0) != 1 {
			t.Error("everyone is free of the event at the beginning")
		}
		last := m.Baseline[len(m.Baseline)-1]
		near(t, "survival beyond the grid", survivor.Survival(0, last.Time+5), last.Survival, 1e-12)
		a, b := m.Baseline[3], m.Baseline[4]
		near(t, "between times of the grid", survivor.Survival(0, (a.Time+b.Time)/2), math.Sqrt(a.Survival*b.Survival), 1e-12)
	}
}

// Both ways give about the same baseline where the hospitals are alike.
func TestBaselinesAgreeWhereHospitalsAreAlike(t *testing.T) {
	_, _, own := fitted300(t, study.StratifySite)
	_, _, shared := fitted300(t, study.StratifyNone)
	at := map[float64]float64{}
	for _, b := range own.Baseline {
		at[b.Time] = b.Survival
	}
	for _, b := range shared.Baseline {
		if b.Time <= 50 && math.Abs(at[b.Time]-b.Survival) > 0.06 {
			t.Errorf("at %v: %v and %v", b.Time, at[b.Time], b.Survival)
		}
	}
}

func TestDamagedModelsAreRefused(t *testing.T) {
	s, _, m := fitted300(t, study.StratifySite)
	good, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	change := func(f func(e *encoded)) string {
		var e encoded
		if err := json.Unmarshal(good, &e); err != nil {
			t.Fatal(err)
		}
		f(&e)
		out, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	for name, data := range map[string]string{
		"spelling":         string(good) + " ",
		"unknown key":      strings.Replace(string(good), "{", `{"x":1,`, 1),
		"strata":           change(func(e *encoded) { e.Stratify = "none" }),
		"unknown term":     change(func(e *encoded) { e.Terms[0].Name = "z" }),
		"order":            change(func(e *encoded) { e.Terms[0], e.Terms[1] = e.Terms[1], e.Terms[0] }),
		"twice":            change(func(e *encoded) { e.Terms[1] = e.Terms[0] }),
		"the intercept":    change(func(e *encoded) { e.Terms[0].Name = study.Intercept }),
		"mean":             change(func(e *encoded) { e.Terms[0].Mean = 11 }),
		"size":             change(func(e *encoded) { e.Terms[0].Estimate = 1e300 }),
		"no baseline":      change(func(e *encoded) { e.Times, e.Hazards = nil, nil }),
		"length":           change(func(e *encoded) { e.Times = e.Times[1:] }),
		"off the grid":     change(func(e *encoded) { e.Times[2] += 0.5 }),
		"order of times":   change(func(e *encoded) { e.Times[2] = e.Times[3] }),
		"negative hazard":  change(func(e *encoded) { e.Hazards[0] = -1 }),
		"falling hazard":   change(func(e *encoded) { slices.Reverse(e.Hazards) }),
		"hazard too large": change(func(e *encoded) { e.Hazards[len(e.Hazards)-1] = 1e6 }),
	} {
		if _, err := Decode(s, []byte(data)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	other := parse(t, fmt.Sprintf(small, "none", 0., 3, 25))
	if _, err := Decode(other, good); err == nil {
		t.Error("a model of another study is taken")
	}
}

func TestQuestionsAreChecked(t *testing.T) {
	site, none := parse(t, fmt.Sprintf(small, "site", 0., 3, 25)), parse(t, fmt.Sprintf(small, "none", 0., 3, 25))
	timed := parse(t, strings.Replace(fmt.Sprintf(small, "none", 0., 3, 25), "ties: efron", "ties: efron, time_transform: km", 1))
	const at = `"coefficients":[0,0,0,0],"centre":[0,0,0.3,0.3]`
	for _, c := range []struct {
		s                *study.Study
		step, parameters string
		ok               bool
	}{
		{site, StepNewton, `{` + at + `}`, true},
		{site, StepChecks, `{` + at + `}`, true},
		{none, StepNewton, `{` + at + `,"intervals":[3,49],"leave":[1]}`, true},
		{none, StepGrid, ``, true},
		{site, StepGrid, ``, false},
		{none, StepGrid, `{}`, false},
		{site, "cox/other", ``, false},
		{site, StepNewton, `{` + at + `,"intervals":[3,49]}`, false},
		{none, StepNewton, `{` + at + `}`, false},
		{none, StepNewton, `{` + at + `,"intervals":[3,49]}`, false},
		{none, StepNewton, `{` + at + `,"intervals":[3,49],"leave":[0]}`, false},
		{none, StepNewton, `{` + at + `,"intervals":[3,49],"leave":[1,1]}`, false},
		{none, StepNewton, `{` + at + `,"intervals":[3,49],"leave":[2]}`, false},
		{none, StepNewton, `{` + at + `,"intervals":[3,48],"leave":[1]}`, false},
		{none, StepNewton, `{` + at + `,"intervals":[3,3,49],"leave":[2]}`, false},
		{none, StepNewton, `{` + at + `,"intervals":[-1,49],"leave":[1]}`, false},
		{none, StepNewton, `{` + at + `,"intervals":[49,50],"leave":[1]}`, false},
		{site, StepNewton, `{"coefficients":[0,0,0],"centre":[0,0,0.3,0.3]}`, false},
		{site, StepNewton, `{"coefficients":[0,0,0,0],"centre":[0,0,0.3]}`, false},
		{site, StepNewton, `{"coefficients":[0,0,0,0],"centre":[0,11,0.3,0.3]}`, false},
		{site, StepNewton, `{"coefficients":[0,0,0,-0],"centre":[0,0,0.3,0.3]}`, false},
		{site, StepNewton, `{"coefficients":[0,0,0,1e9],"centre":[0,0,0.3,0.3]}`, false},
		{site, StepChecks, `{` + at + `,"shared":{}}`, false},
		{timed, StepChecks, `{` + at + `,"intervals":[3,49],"leave":[1],"clock":[0,0.5]}`, true},
		{timed, StepChecks, `{` + at + `,"intervals":[3,49],"leave":[1]}`, false},
		{timed, StepChecks, `{` + at + `,"intervals":[3,49],"leave":[1],"clock":[0]}`, false},
		{timed, StepChecks, `{` + at + `,"intervals":[3,49],"leave":[1],"clock":[0.5,0]}`, false},
		{timed, StepChecks, `{` + at + `,"intervals":[3,49],"leave":[1],"clock":[0,1.1]}`, false},
		{timed, StepChecks, `{` + at + `,"intervals":[3,49],"leave":[1],"clock":[-1,0]}`, false},
		{none, StepChecks, `{` + at + `,"intervals":[3,49],"leave":[1],"clock":[0,0.5]}`, false},
	} {
		if _, err := Layout(c.s, c.step, []byte(c.parameters)); (err == nil) != c.ok {
			t.Errorf("%s %s: %v", c.step, c.parameters, err)
		}
	}
}

// Whatever the parameters, a vector fits its layout and its bounds, or the
// question is refused.
func FuzzParameters(f *testing.F) {
	var studies []*study.Study
	var sites []*study.Matrix
	for _, stratify := range strata {
		s := parse(f, strings.Replace(fmt.Sprintf(small, stratify, 0., 3, 25), "ties: efron", "ties: efron, standard_errors: robust", 1))
		d := cohort(60, asIs)
		studies, sites = append(studies, s), append(sites, divide(f, s, d, by(d, "site"))[0])
	}
	f.Add(StepNewton, []byte(`{"coefficients":[1,-2,0.5,100],"centre":[0,0,0.3,0.3]}`))
	f.Add(StepNewton, []byte(`{"coefficients":[5e4,-1e4,0.5,1e4],"centre":[0,0,0.3,0.3],"intervals":[3,49],"leave":[1]}`))
	f.Add(StepChecks, []byte(`{"coefficients":[1,-2,5e4,100],"centre":[0,0,0.3,0.3]}`))
	f.Add(StepChecks, []byte(`{"coefficients":[1,0,0,0],"centre":[0,0,0,0],"intervals":[49],"leave":[0],"shared":{"hazard":[1],"mean":[0,0,0,1e200],"dead_hazard":[1],"dead_mean":[0,0,0,0],"at_event":[0,0,0,0]}}`))
	f.Fuzz(func(t *testing.T, step string, parameters []byte) {
		for i, s := range studies {
			layout, err := Layout(s, step, parameters)
			if err != nil {
				continue
			}
			values, err := Answer(s, step, parameters, sites[i])
			if err != nil {
				continue
			}
			for _, f := range layout {
				for _, v := range values[:f.Length] {
					if !(math.Abs(v) <= f.Bound) {
						t.Fatalf("field %s is out of bounds", f.Name)
					}
				}
				values = values[f.Length:]
			}
			if len(values) != 0 {
				t.Fatal("the vector is longer than its layout")
			}
		}
	})
}

// What is announced is what is asked, at most.
func TestStepsAreAnnounced(t *testing.T) {
	for _, stratify := range strata {
		s, sites, _ := fitted300(t, stratify)
		announced := map[string]compute.StepSummary{}
		for _, step := range Steps(s) {
			announced[step.Step] = step
		}
		counts := count(t, s, sites)
		f, err := New(s, counts)
		if err != nil {
			t.Fatal(err)
		}
		asked := map[string]int{}
		for {
			q, done, err := f.Next()
			if err != nil {
				t.Fatal(err)
			}
			if done {
				break
			}
			n := 0
			for _, field := range q.Layout {
				n += field.Length
			}
			asked[q.Step]++
			if n > announced[q.Step].Numbers || asked[q.Step] > announced[q.Step].Rounds {
				t.Errorf("%s: %d numbers in round %d, announced %+v", q.Step, n, asked[q.Step], announced[q.Step])
			}
			if err := f.Absorb(ask(t, q, sites, func(m *study.Matrix) ([]float64, error) { return Answer(s, q.Step, q.Parameters, m) })); err != nil {
				t.Fatal(err)
			}
		}
		if len(asked) != len(announced) {
			t.Errorf("asked %v, announced %d steps", asked, len(announced))
		}
	}
}
