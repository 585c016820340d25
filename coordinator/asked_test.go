package coordinator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
)

// Of eight hospitals six open a round and seven are asked first. Two of those
// never answer: the eighth is asked, and every round is opened.
func TestWhoWasNotAskedFirstOpensForThoseWhoAreSilent(t *testing.T) {
	t.Parallel()
	p := begin(t, coordinator.Options{}, 8, twoSilent)
	allOpened(t, p, p.finish())
}

func twoSilent(i int, h *rehearsal.Hospital) { h.SkipOpening = i == 0 || i == 2 }

func allOpened(t *testing.T, p *play, st *coordinator.StudyStatus) {
	t.Helper()
	if st.State != "completed" {
		t.Fatalf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	for _, r := range st.Rounds {
		if r.State != "published" || len(r.Contributors) != 8 || len(r.Openers) != 6 {
			t.Errorf("%s is %s: contributors %q, openers %q", r.Step, r.State, r.Contributors, r.Openers)
		}
	}
	if most := time.Duration(len(st.Rounds)) * 10 * time.Second; p.skipped > most {
		t.Errorf("%d rounds waited for %v", len(st.Rounds), p.skipped)
	}
}

// The coordinator is killed right after it asked some, or then all. Back again, it
// asks those who have not answered, and waits for nobody longer than before.
func TestKilledWhileItAsks(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"requested", "all-asked"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			p := killedAt(t, at, 8, twoSilent)
			allOpened(t, p, p.finish())
		})
	}
}

// A member that answers wrongly is named after the others were asked, also where
// the coordinator is killed in between.
func TestKilledInDoubtNamesTheMember(t *testing.T) {
	t.Parallel()
	p := killedAt(t, "doubted", 8, func(i int, h *rehearsal.Hospital) { h.WrongOpening = i == 3 })
	st := p.finish()
	if st.State != "failed" || !strings.Contains(st.Reason, "Hospital 04") || !strings.Contains(st.Reason, "blocked") {
		t.Errorf("study is %s (%s): %q", st.State, st.Reason, states(st))
	}
	if r := st.Rounds[0]; r.State != "failed-integrity" || len(r.Openers) != 8 {
		t.Errorf("%s is %s after %q opened", r.Step, r.State, r.Openers)
	}
}

// killedAt starts a study whose coordinator is killed right after the first fact
// of a kind, and started anew.
func killedAt(t *testing.T, kind string, hospitals int, tell func(int, *rehearsal.Hospital)) *play {
	t.Helper()
	var pulled *plug
	var closeStore func()
	p := beginWith(t, coordinator.Options{}, hospitals, tell, func(p *play) {
		p.server.Stop()
		var o coordinator.Options
		o, pulled, closeStore = plugged(t, p.StateDir(), 0)
		pulled.at = `"kind":"` + kind + `"`
		p.server = p.Start(o)
	})
	for end := time.Now().Add(time.Minute); !pulled.pulled.Load(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			st, _ := p.server.Status(p.study)
			t.Fatalf("there was no %s record; the study is %+v", kind, st)
		}
	}
	p.server.Stop()
	closeStore()
	p.server = p.Start(coordinator.Options{})
	return p
}
