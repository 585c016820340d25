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
	"github.com/consilium-fl/consilium/study"
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
	first, reason, _ := a.answer(round)
	second, again, _ := a.answer(round)
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

// A coordinator that asks about models which hardly differ could average the noise
// away. A hospital answers one question of the step, whatever its parameters.
func TestAHospitalAnswersOneNoisyQuestionOfAStudy(t *testing.T) {
	w := newWardFor(t, noisyStudy)
	session, crooked := pipeline.New(w.s), pipeline.New(w.s)
	q, _, err := session.Next()
	for err == nil && q.Step != fairness.StepNoisy {
		sum, _ := w.round(w.s, q, sites)
		for i, s := range []*pipeline.Session{session, crooked} {
			values := slices.Clone(sum.Values())
			if i == 1 && q.Step == "glm/gram" { // products of features and outcome, among others
				for k := len(values) / 2; k < len(values); k++ {
					values[k] *= 1 + 1e-6
				}
			}
			opened, failed := compute.NewSum(sum.Contributors(), q.Layout, values)
			if failed != nil {
				t.Fatal(failed)
			}
			if failed := s.Absorb(opened); failed != nil {
				t.Fatal(failed)
			}
		}
		q, _, err = session.Next()
	}
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := crooked.Next()
	if err != nil || other.Step != q.Step || bytes.Equal(other.Parameters, q.Parameters) {
		t.Fatalf("the other question is the same: %v", err)
	}
	w.round(w.s, q, sites)
	id, _ := w.invite(w.plan(w.s, other, sites), other.Parameters)
	w.eventually("everyone declines", func() bool { return len(w.declines) == len(sites) })
	if w.header(id, "alpha") != nil {
		t.Error("a second noisy question was answered")
	}
}

func TestAPolicyAsksForNoise(t *testing.T) {
	plain, whole := parseStudy(t, doseStudy), parseStudy(t, strings.Replace(doseStudy, "  attributes:\n    - {column: sex, levels: [female, male]}\n", "", 1))
	noisy := parseStudy(t, noisyStudy) // epsilon 0.5
	for _, c := range []struct {
		largest, total      float64
		spent               int
		plain, whole, noisy bool // refused
	}{
		{0, 0, 900, false, false, false},
		{0.4, 0, 0, true, false, true}, {0.5, 0, 0, true, false, false}, {2, 0, 900, true, false, false},
		{0, 1.4, 900, true, false, false}, {0, 1.4, 901, true, false, true}, {0.5, 1.3, 900, true, false, true},
	} {
		p := Policy{LargestEpsilon: c.largest, TotalEpsilon: c.total}
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		for _, one := range []struct {
			name    string
			s       *study.Study
			refused bool
		}{{"exact groups", plain, c.plain}, {"no groups", whole, c.whole}, {"epsilon 0.5", noisy, c.noisy}} {
			if got := p.tooLoud(one.s, c.spent); got != one.refused {
				t.Errorf("largest epsilon %g, total %g, %d/1000 spent: %s refused: %v", c.largest, c.total, c.spent, one.name, got)
			}
		}
	}
	if (&Policy{LargestEpsilon: -1}).check() == nil || (&Policy{TotalEpsilon: -1}).check() == nil {
		t.Error("a negative epsilon is no limit")
	}
}

// The first study is within what the hospital gives in all, the second one is not.
func TestEpsilonsOfStudiesAddUp(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol(sites...)
	w := &ward{coordinator: c, t: t, s: parseStudy(t, noisyStudy), dirs: dirs}
	for i := range sites {
		o := w.options(i)
		o.Policy.TotalEpsilon = 0.8
		start(t, o)
	}
	rita := c.researcher("rita")
	second := strings.Replace(noisyStudy, "version: 1", "version: 2", 1)
	for i, protocol := range []string{noisyStudy, second} {
		c.propose([]byte(protocol), rita, sites...)
		want, digest := []string{Approved, Refused}[i], parseStudy(t, protocol).Digest()
		waitFor(t, "alpha decides", func() bool {
			reviews, err := Studies(dirs[0])
			return err == nil && slices.ContainsFunc(reviews, func(r StudyReview) bool { return r.Study == digest && r.State == want })
		})
		// Only then does the coordinator take the study from what alpha has to do.
		waitFor(t, "the coordinator hears of it", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.approvals["alpha"].Study == digest
		})
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
