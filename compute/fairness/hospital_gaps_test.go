package fairness

import (
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/study"
)

var gapped = strings.Replace(planted, "fairness:", "fairness:\n  hospitals: [{metric: mae, edges: [2]}, {metric: mae, attribute: g, level: B, against: A, edges: [-0.5, 0.5, 1.5]}]", 1)

// Hospitals are counted by the gap between their own groups, those with enough of
// both; at some the one fares worse, at others the other, which neither the gap
// over all of them nor a hospital's error says.
func TestHospitalsAreCountedByTheirGaps(t *testing.T) {
	s := parsed(t, gapped)
	sites := hospitals(t, s, 8, 100, halves)
	extra := func(i int) float64 { return float64(i%4 - 1) } // -1, 0, 1, 2: of B
	a, opened := audited(t, s, sites, func(i, r int) float64 {
		e := 3.0
		if sites[i].Group(r, 0) == 1 {
			e += extra(i)
		}
		return sites[i].Outcome(r) + e*float64(2*(r/2%2)-1) + float64(r%5)/100
	})
	if len(a.Hospitals) != 2 {
		t.Fatalf("%+v", a.Hospitals)
	}
	h := a.Hospitals[1]
	if h.State != OK || h.Metric != "mae" || h.Attribute != "g" || h.Level != "B" || h.Against != "A" || h.Hospitals != 8 {
		t.Fatalf("%+v", h)
	}
	for k, want := range []int{2, 2, 2, 2} {
		if h.Counts[k] != want {
			t.Errorf("%v hospitals, want two in each interval", h.Counts)
		}
	}
	near(t, "mean", h.Mean.Estimate, 0.5, 0.1)
	if *h.I2 < 0.5 || *h.Between < 0.5 {
		t.Errorf("I² %v, between %v of gaps from -1 to 2", *h.I2, *h.Between)
	}
	if a.Hospitals[0].Attribute != "" || a.Hospitals[0].Hospitals != 8 {
		t.Errorf("%+v", a.Hospitals[0])
	}
	if n := opened[StepHospitals].Field("eligible_gaps"); len(n) != 1 || n[0] != 8 {
		t.Errorf("eligible %v", n)
	}
	a.Withhold(map[int]string{a.position("g", "B"): "because"})
	if len(a.Hospitals) != 1 || a.Hospitals[0].Attribute != "" {
		t.Errorf("after B is withheld: %+v", a.Hospitals)
	}
}

func (a *Audit) position(attribute, level string) int {
	for i, g := range a.Groups {
		if g.Attribute == attribute && g.Level == level {
			return i
		}
	}
	return -1
}

// Where fewer than seven hospitals have enough of both groups nothing is asked,
// although enough of them can be counted by all of their patients.
func TestFewHospitalsAreNotCountedByGaps(t *testing.T) {
	s := parsed(t, gapped)
	sites := hospitals(t, s, FewestHospitals-1, 100, halves)
	sites = append(sites, hospitals(t, s, 2, 100, func(int, int) (string, string) { return "A", "U" })...)
	a, opened := audited(t, s, sites, func(i, r int) float64 { return sites[i].Outcome(r) + float64(r%3) })
	if h := a.Hospitals[1]; h.State != Suppressed || h.Counts != nil || h.Mean != nil || h.Hospitals != 0 || h.Why == "" {
		t.Errorf("%+v", h)
	}
	if a.Hospitals[0].State != OK || opened[Step].Field("hospitals_by_mae") == nil {
		t.Errorf("%+v", a.Hospitals[0])
	}
	if n := opened[StepHospitals].Field("eligible_gaps"); n[0] != FewestHospitals-1 {
		t.Errorf("eligible %v", n)
	}
	for _, name := range []string{"hospitals_by_mae_0_1_0", "hospitals_by_mae_0_0_1"} {
		if opened[Step].Field(name) != nil {
			t.Errorf("%s was opened", name)
		}
	}
}

// A site answers by gaps of its study only, and of groups that the question asks
// for.
func TestHospitalGapsAreTheStudys(t *testing.T) {
	s := parsed(t, gapped)
	for parameters, fine := range map[string]bool{
		`{"gaps":[1],"cells":[0,1,2]}`: true, `{"hospitals":true,"gaps":[1],"cells":[0,1,2]}`: true,
		`{"gaps":[0],"cells":[0,1,2]}`: false, `{"gaps":[2],"cells":[0,1,2]}`: false, `{"gaps":[1,1],"cells":[0,1,2]}`: false, `{"gaps":[1],"cells":[0,1]}`: false,
	} {
		if _, err := Layout(s, Step, []byte(parameters)); (err == nil) != fine {
			t.Errorf("%s: %v", parameters, err)
		}
	}
	const good = "attribute: g, level: B, against: A"
	for _, bad := range []string{"attribute: g, level: B", "attribute: g, level: B, against: B", "attribute: g, level: X, against: A", "level: B, against: A", "attribute: none, level: B, against: A"} {
		if _, err := study.Parse([]byte(strings.Replace(gapped, good, bad, 1))); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
	if _, err := study.Parse([]byte(strings.Replace(strings.Replace(gapped, good, "attribute: g, level: B", 1), "fairness:\n", "fairness:\n  reference: {g: A}\n", 1))); err != nil {
		t.Errorf("the reference group: %v", err)
	}
}
