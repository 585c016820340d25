package federation

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/round"
)

// Of a committee of five, four have to help. With two silent ones the round
// ends at its deadline, names them, and nothing has been opened.
func TestBelowThresholdAtOpeningIsAbandonedAndNamed(t *testing.T) {
	sites := hospitals(t, 5, 400)
	silent := []string{sites[1].Name, sites[3].Name}
	result := run(t, Spec{
		Protocol: protocol(t, "warfarin-dose.yaml"), Sites: sites,
		Drops: []Drop{{silent[0], Opening}, {silent[1], Opening}},
	})
	nothingOpened(t, result, silent)
}

// A study that asks for three contributors does not go on with two.
func TestBelowMinimumAtCollectingIsAbandonedAndNamed(t *testing.T) {
	sites := hospitals(t, 4, 400)
	gone := []string{sites[0].Name, sites[2].Name}
	result := run(t, Spec{
		Protocol: protocol(t, "warfarin-dose.yaml"), Sites: sites,
		Drops: []Drop{{gone[0], Collecting}, {gone[1], Collecting}},
	})
	nothingOpened(t, result, gone)
}

func nothingOpened(t *testing.T, result *Result, missing []string) {
	t.Helper()
	if result.Study.State != "failed" || result.Study.Reason == "" {
		t.Errorf("the study is %s (%s), want failed with a reason", result.Study.State, result.Study.Reason)
	}
	if result.Model != nil || result.Fairness != nil || result.Release != nil || result.SignedRelease != nil {
		t.Error("an abandoned study has a model, an audit or a release")
	}
	if len(result.Rounds) == 0 {
		t.Fatal("no round")
	}
	for _, r := range result.Rounds {
		if round.State(r.State) != round.Abandoned || r.Reason == "" {
			t.Errorf("round %s is %s (%s), want abandoned with a reason", r.Step, r.State, r.Reason)
		}
		if !slices.Equal(r.Missing, missing) {
			t.Errorf("round %s names %v as missing, want %v", r.Step, r.Missing, missing)
		}
	}
}

func TestSpecIsChecked(t *testing.T) {
	sites := hospitals(t, 4, 100)
	source := protocol(t, "warfarin-dose.yaml")
	for name, spec := range map[string]Spec{
		"no study":           {Sites: sites},
		"too few sites":      {Protocol: source, Sites: sites[:2]},
		"site twice":         {Protocol: source, Sites: append(slices.Clone(sites), sites[0])},
		"drop of nobody":     {Protocol: source, Sites: sites, Drops: []Drop{{"nobody", Opening}}},
		"drop of site twice": {Protocol: source, Sites: sites, Drops: []Drop{{sites[0].Name, Opening}, {sites[0].Name, Collecting}}},
	} {
		if _, err := Run(t.Context(), spec); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A federation that is interrupted stops, says so, and leaves nothing running
// (TestMain looks).
func TestInterruptedFederationStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := Run(ctx, Spec{
		Protocol: protocol(t, "warfarin-dose.yaml"), Sites: hospitals(t, 4, 100),
		Progress: func(string) { cancel() },
	})
	if err == nil {
		t.Error("no error")
	}
}

func TestParseDrop(t *testing.T) {
	for text, want := range map[string]Drop{
		"7@collecting":       {"7", Collecting},
		"St. Mary 2@opening": {"St. Mary 2", Opening},
		"7@away":             {"7", Away},
	} {
		if got, err := ParseDrop(text); err != nil || got != want || got.String() != text {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "7", "@opening", "7@", "7@later", "7@opening@"} {
		if got, err := ParseDrop(text); err == nil {
			t.Errorf("%q: %v, want an error", text, got)
		}
	}
}

// When so many hospitals are away that those who are left could not know whether
// the others have opened another set, the question is not asked again.
func TestTooFewLeftToAskAgain(t *testing.T) {
	long(t)
	var drops []Drop
	for _, site := range warfarinSites(t) {
		if !slices.Contains([]string{"3", "7", "14"}, site.Name) {
			drops = append(drops, Drop{site.Name, Away})
		}
	}
	result := run(t, Spec{Protocol: protocol(t, "warfarin-dose.yaml"), Sites: warfarinSites(t), Drops: drops})
	if result.Study.State != "failed" || len(result.Rounds) != 1 || result.Model != nil {
		t.Errorf("the study is %s after %d rounds, want failed after one", result.Study.State, len(result.Rounds))
	}
	if !strings.Contains(result.Study.Reason, "3 sites that are left are too few to ask again") {
		t.Errorf("reason %q", result.Study.Reason)
	}
}
