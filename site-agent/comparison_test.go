package siteagent

import (
	"math"
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

func TestThePolicyMeasuresOwnPatients(t *testing.T) {
	var p Policy
	if err := p.check(); err != nil {
		t.Fatal(err)
	}
	dose := func(own, whole map[string]float64) *Comparison {
		return &Comparison{Type: string(study.Number), Groups: []GroupComparison{{Own: own, Whole: whole}}}
	}
	mae := func(x float64) map[string]float64 { return map[string]float64{"mae": x} }
	survival := func(x float64) *Comparison {
		return &Comparison{Type: string(study.Survival), Groups: []GroupComparison{{Own: map[string]float64{"cindex": x}}}}
	}
	events := func(concordance, lower, upper float64) *Comparison {
		c := survival(concordance)
		c.Groups[0].OwnLimits = map[string][2]float64{"oe_at_365": {lower, upper}, "event_share": {9, 9}}
		return c
	}
	for name, test := range map[string]struct {
		c           *Comparison
		good, known bool
	}{
		"as good as everywhere":   {dose(mae(8), mae(8)), true, true},
		"at the limit":            {dose(mae(12), mae(8)), true, true},
		"above the limit":         {dose(mae(12.1), mae(8)), false, true},
		"no own figure":           {dose(nil, mae(8)), false, false},
		"the whole is withheld":   {dose(mae(8), nil), false, false},
		"no groups":               {&Comparison{}, false, false},
		"brier below a coin's":    {&Comparison{Type: string(study.Binary), Groups: []GroupComparison{{Own: map[string]float64{"brier": 0.2}}}}, true, true},
		"as many as expected":     {events(0.9, 0.5, 1.4), true, true},
		"too many, by chance":     {events(0.9, 0.5, 9), true, true},
		"too many":                {events(0.9, 2.1, 3), false, true},
		"too few":                 {events(0.9, 0.1, 0.4), false, true},
		"concordance of a coin":   {survival(0.5), true, true},
		"worse than a coin":       {survival(0.49), false, true},
		"nobody to compare":       {&Comparison{Type: string(study.Survival), Groups: []GroupComparison{{Own: map[string]float64{"event_share": 0.2}}}}, false, false},
		"an error of no survival": {&Comparison{Type: string(study.Survival), Groups: []GroupComparison{{Own: mae(1), Whole: mae(9)}}}, false, false},
		"brier above a coin's":    {&Comparison{Type: string(study.Binary), Groups: []GroupComparison{{Own: map[string]float64{"brier": 0.3}}}}, false, true},
	} {
		good, known := test.c.within(&p)
		if known != test.known || known && good != test.good {
			t.Errorf("%s: good %v, known %v", name, good, known)
		}
	}
}

func TestAReleaseCanBeRolledBack(t *testing.T) {
	dir := t.TempDir()
	if err := makeStateDirs(dir); err != nil {
		t.Fatal(err)
	}
	a, b := statement.Digest{1}, statement.Digest{2}
	for _, r := range []statement.Digest{a, b, b} {
		if err := install(dir, "dose/../x", r); err != nil {
			t.Fatal(err)
		}
	}
	if back, err := Rollback(dir, "dose/../x"); err != nil || back != a {
		t.Fatalf("rolled back to %v, %v", back, err)
	}
	if _, err := Rollback(dir, "dose/../x"); err == nil {
		t.Fatal("rolled back beyond the first release")
	}
	if i, _ := readInstalled(dir, "dose/../x"); len(i.Releases) != 1 {
		t.Fatalf("installed %v", i)
	}
}

func TestAPolicyThatCannotBeIsRefused(t *testing.T) {
	for name, p := range map[string]Policy{
		"a word unknown":         {Approve: "yes"},
		"releases by list":       {Releases: Listed},
		"warnings overlooked":    {Warnings: "ignore"},
		"sums over one hospital": {MinimumContributors: 1},
		"fewer than no records":  {MinimumRows: -1},
		"a share above 1":        {MinimumShare: 1.5},
		"a share that is none":   {MinimumShare: math.NaN()},
		"a negative error ratio": {WorstErrorRatio: -1},
		"a ratio below 1":        {WorstEventRatio: 0.5},
		"a C-index above 1":      {WorstConcordance: 1.1},
		"a C-index that is none": {WorstConcordance: math.NaN()},
	} {
		if err := p.check(); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
