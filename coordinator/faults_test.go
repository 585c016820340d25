package coordinator_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
)

// states lists how a study's rounds ended, with the number of contributors.
func states(st *coordinator.StudyStatus) []string {
	var all []string
	for _, r := range st.Rounds {
		all = append(all, r.Step+" "+r.State)
	}
	return all
}

func TestASiteThatContributesNothingIsLeftOut(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 4, func(i int, h *rehearsal.Hospital) { h.SkipCollecting = i == 1 })
	st := p.finish()
	if st.State != "completed" || len(st.Rounds) != 5 {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	if len(st.Rounds[0].Invited) != 4 || slices.Contains(st.Rounds[0].Contributors, "Hospital 02") {
		t.Errorf("first round: invited %q, contributors %q", st.Rounds[0].Invited, st.Rounds[0].Contributors)
	}
	for _, r := range st.Rounds[1:] {
		if len(r.Invited) != 3 {
			t.Errorf("%s invites %q: only those of the last round were to be", r.Step, r.Invited)
		}
	}
	if m := p.result().Model.GLM; m.N != 90 || m.Contributors != 3 {
		t.Errorf("model over %d patients of %d sites", m.N, m.Contributors)
	}
}

func TestASiteThatDeclinesCostsNoWaiting(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 4, func(i int, h *rehearsal.Hospital) { h.Declines = i == 2 })
	st := p.finish()
	if st.State != "completed" || p.skipped != 0 {
		t.Errorf("study is %s (%s) after waiting %v", st.State, st.Reason, p.skipped)
	}
	want := []coordinator.SiteDecision{{Site: "Hospital 03", Decision: "declined", Reason: "records"}}
	if len(st.Rounds) == 0 || len(st.Rounds[0].Declined) == 0 {
		t.Error("nobody declined the first round")
	}
	for i, r := range st.Rounds {
		if slices.Contains(r.Invited, "Hospital 03") != (len(r.Declined) > 0) || len(r.Declined) > 0 && !slices.Equal(r.Declined, want) {
			t.Errorf("round %d of %q was declined by %+v", i, r.Invited, r.Declined)
		}
	}
}

func TestTooFewContributorsIsAbandonedAndNamed(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 4, func(i int, h *rehearsal.Hospital) { h.SkipCollecting = i < 2 })
	st := p.finish()
	if st.State != "failed" || !slices.Equal(states(st), []string{"describe/counts abandoned"}) {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	if r := st.Rounds[0]; !slices.Equal(r.Missing, []string{"Hospital 01", "Hospital 02"}) || len(r.Openers) != 0 {
		t.Errorf("missing %q, openers %q", r.Missing, r.Openers)
	}
	if !strings.Contains(st.Reason, "Hospital 01, Hospital 02") {
		t.Errorf("the reason names nobody: %s", st.Reason)
	}
}

// Two of five are gone: the three that are there reach the minimum of
// contributors but not the threshold of four. Nothing is opened, and the same
// question is asked again of the three.
func TestACommitteeThatIsNotThereIsReplacedBeforeAnythingIsOpened(t *testing.T) {
	t.Parallel()
	p := beginThen(t, 5, 2)
	st := p.finish()
	if st.State != "completed" {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	first, second := st.Rounds[0], st.Rounds[1]
	if first.State != "abandoned" || !strings.Contains(first.Reason, "committee below threshold") || len(first.Openers) != 0 {
		t.Errorf("first round %+v", first)
	}
	if !slices.Equal(first.Missing, []string{"Hospital 01", "Hospital 02"}) {
		t.Errorf("missing %q", first.Missing)
	}
	if second.Question != first.Question || second.State != "published" || len(second.Invited) != 3 {
		t.Errorf("second round %+v", second)
	}
}

// beginThen starts a study and takes the first hospitals off the net once all
// have approved.
func beginThen(t *testing.T, hospitals, gone int) *play {
	return beginWith(t, coordinator.Options{}, hospitals, nil, func(p *play) {
		for _, stop := range p.stops[:gone] {
			stop()
		}
	})
}

func TestAMemberThatNeverOpensIsNotNeededWhileTheThresholdRemains(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 4, func(i int, h *rehearsal.Hospital) { h.SkipOpening = i == 0 })
	st := p.finish()
	if st.State != "completed" {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	for _, r := range st.Rounds {
		if len(r.Contributors) != 4 || len(r.Openers) != 3 {
			t.Errorf("%s: contributors %q, openers %q", r.Step, r.Contributors, r.Openers)
		}
	}
}

func TestBelowTheThresholdNothingIsOpened(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 4, func(i int, h *rehearsal.Hospital) { h.SkipOpening = i < 2 })
	st := p.finish()
	if st.State != "failed" || !slices.Equal(states(st), []string{"describe/counts abandoned"}) {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	if r := st.Rounds[0]; !slices.Equal(r.Missing, []string{"Hospital 01", "Hospital 02"}) {
		t.Errorf("missing %q", r.Missing)
	}
	if o, err := p.server.Outcome(p.study); err != nil || o.Result != nil {
		t.Errorf("a result of %d bytes, %v", len(o.Result), err)
	}
}

func TestAContributionWhoseKeyDoesNotOpenIsLeftOutOnce(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 5, func(i int, h *rehearsal.Hospital) { h.BadShares = i == 4 })
	st := p.finish()
	if st.State != "completed" {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	first, second := st.Rounds[0], st.Rounds[1]
	if first.State != "failed-integrity" || len(first.Openers) != 0 {
		t.Errorf("first round %+v", first)
	}
	if !strings.Contains(first.Reason, "those of Hospital 05 by the word of Hospital 0") {
		t.Errorf("nobody is named: %q", first.Reason)
	}
	if second.Question != first.Question || second.State != "published" || slices.Contains(second.Invited, "Hospital 05") || len(second.Contributors) != 4 {
		t.Errorf("second round %+v", second)
	}
}

// Whoever reads why the study failed learns of every round of the question who was
// named, and what to do.
func TestAQuestionThatIsBlockedSaysByWhomAndWhatToDo(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 6, func(i int, h *rehearsal.Hospital) { h.BadShares, h.BadSharesLater = i == 5, i == 2 })
	st := p.finish()
	if st.State != "failed" || !slices.Equal(states(st), []string{"describe/counts failed-integrity", "describe/counts failed-integrity"}) {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	for _, want := range []string{"those of Hospital 06 by the word of", "asked once more without Hospital 06", "those of Hospital 03 by the word of", "blocked", "as a new version"} {
		if !strings.Contains(st.Reason, want) {
			t.Errorf("no %q in %q", want, st.Reason)
		}
	}
}

func TestAWrongOpeningShareBlocksTheQuestionAndIsNamed(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 7, func(i int, h *rehearsal.Hospital) { h.WrongOpening = i == 3 })
	st := p.finish()
	if st.State != "failed" || !slices.Equal(states(st), []string{"describe/counts failed-integrity"}) {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	if !strings.Contains(st.Reason, "Hospital 04") || !strings.Contains(st.Reason, "blocked") {
		t.Errorf("reason %q", st.Reason)
	}
}
