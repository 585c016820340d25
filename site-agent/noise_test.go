package siteagent

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/site-agent/participant"
)

var noisyStudy = strings.Replace(doseStudy, "  minimum_cell: 5\n", "  minimum_cell: 5\n  noise: {epsilon: 0.5, clip: 40, colluding: 0}\n", 1)

// A hospital that is killed, or asked for the same contribution twice, sends the
// noise that it has drawn already: with fresh noise each time the mean of the
// answers would be the exact number.
func TestNoiseIsDrawnOnceForAContribution(t *testing.T) {
	w := newWardFor(t, noisyStudy)
	session := pipeline.New(w.s)
	q, _, err := session.Next()
	for err == nil && q.Step != fairness.StepNoisy {
		sum, _ := w.round(w.s, q, sites)
		opened, failed := compute.NewSum(sum.Contributors(), q.Layout, sum.Values())
		if failed != nil {
			t.Fatal(failed)
		}
		if err = session.Absorb(opened); err == nil {
			q, _, err = session.Next()
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	p := w.plan(w.s, q, sites)

	// Drawn anew it would be another contribution.
	w.stops[0]()
	a, err := Open(w.options(0))
	if err != nil {
		t.Fatal(err)
	}
	round := &participant.Round{Plan: p, Study: w.s, Parameters: q.Parameters}
	first, reason := a.answer(round)
	second, again := a.answer(round)
	if reason != "" || again != "" || len(first) != len(second) || slices.Equal(first, second) {
		t.Fatalf("two draws give %d and %d numbers, and the same: %q, %q", len(first), len(second), reason, again)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	w.start(0)

	w.mu.Lock()
	w.loseReceipts = 3 // of every site: each asks whether it was counted, and begins again
	w.mu.Unlock()
	id, _ := w.invite(p, q.Parameters)
	w.eventually("every receipt is lost once", func() bool { return w.loseReceipts == 0 })
	before := w.header(id, "alpha")
	w.stops[0]()
	w.start(0)
	w.eventually("every site contributes", func() bool { return len(w.counted[id.String()]) == len(sites) })
	if before == nil || !bytes.Equal(before, w.header(id, "alpha")) {
		t.Error("another contribution was sent after the restart")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.otherHeaders > 0 {
		t.Errorf("%d times another contribution was begun", w.otherHeaders)
	}
}

func TestAPolicyAsksForNoise(t *testing.T) {
	plain, whole := parseStudy(t, doseStudy), parseStudy(t, strings.Replace(doseStudy, "  attributes:\n    - {column: sex, levels: [female, male]}\n", "", 1))
	noisy := parseStudy(t, noisyStudy)
	for _, c := range []struct {
		largest             float64
		plain, whole, noisy bool // refused
	}{{0, false, false, false}, {0.4, true, false, true}, {0.5, true, false, false}, {2, true, false, false}} {
		p := Policy{LargestEpsilon: c.largest}
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		if p.tooLoud(plain) != c.plain || p.tooLoud(whole) != c.whole || p.tooLoud(noisy) != c.noisy {
			t.Errorf("largest epsilon %g: refuses exact groups %v, no groups %v, epsilon 0.5 %v", c.largest, p.tooLoud(plain), p.tooLoud(whole), p.tooLoud(noisy))
		}
	}
	if (&Policy{LargestEpsilon: -1}).check() == nil {
		t.Error("a negative epsilon is no limit")
	}
}

func TestAStudyWithTooLittleNoiseIsRefusedByPolicy(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol(sites...)
	w := &ward{coordinator: c, t: t, s: parseStudy(t, noisyStudy), dirs: dirs}
	for i := range sites {
		o := w.options(i)
		o.Policy.LargestEpsilon = 0.1
		start(t, o)
	}
	c.propose([]byte(noisyStudy), c.researcher("rita"), sites...)
	c.eventually("everyone refuses", func() bool { return len(c.approvals) == len(sites) })
	reviews, err := Studies(dirs[0])
	if err != nil || len(reviews) != 1 || reviews[0].State != Refused || reviews[0].Reason != tooLittleNoise {
		t.Fatalf("%+v, %v", reviews, err)
	}
}
