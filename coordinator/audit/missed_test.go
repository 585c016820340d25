package audit

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/compute/drift"
	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/study"
)

const watching = `study: watch
version: 1
outcome: {column: y, type: binary, positive: ["1"]}
features:
  - {column: age, type: number, range: [18, 99]}
model: {kind: glm, family: binomial}
fairness: {attributes: [{column: sex, levels: [f, m]}]}
monitor:
  release: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  periods: {column: visit, type: number, cuts: [0, 1, 2, 3]}
`

// Rule: a window counts as missed only where its round ended without a sum and the
// ledger goes on with the next window, or with the result; it is not asked again.
func TestAWindowIsMissedOnlyByTheLedger(t *testing.T) {
	s, err := study.Parse([]byte(watching))
	must(t, err)
	digest := statement.Digest(s.Digest())
	ended := func(state string, shares bool) *statement.RoundEnd {
		return &statement.RoundEnd{State: state, SharesGiven: shares}
	}
	blobs := fstest.MapFS{}
	asks := func(window int, end *statement.RoundEnd) *round {
		session := pipeline.New(s)
		for range window {
			must(t, session.Miss(false))
		}
		q, _, err := session.Next()
		must(t, err)
		plan := &statement.Plan{Study: digest, Step: q.Step, Parameters: statement.DigestOf(q.Parameters), Layout: fields(q.Layout), Epoch: "1"}
		plan.Question = plan.QuestionDigest()
		blobs[blobFile(plan.Parameters)] = &fstest.MapFile{Data: q.Parameters}
		r := &round{id: statement.DigestOf([]byte{byte(window)}), plan: &record{fact: plan}}
		if end != nil {
			r.ends = []*record{{fact: end}}
		}
		return r
	}
	gone, given, unsound := ended("abandoned", false), ended("abandoned", true), ended("failed-integrity", false)
	for name, test := range map[string]struct {
		rounds []*round
		result bool
		missed []string
		refuse string
	}{
		"the next window is asked about": {[]*round{asks(0, gone), asks(1, nil)}, false, []string{drift.TooFew}, ""},
		"asked again, and then missed":   {[]*round{asks(0, gone), asks(0, gone), asks(1, nil)}, false, []string{drift.TooFew}, ""},
		"it may still be asked again":    {[]*round{asks(0, gone)}, false, nil, ""},
		"shares were given":              {[]*round{asks(0, given), asks(1, nil)}, false, []string{drift.NotOpened}, ""},
		"a sum that is not sound":        {[]*round{asks(0, unsound), asks(1, nil)}, false, []string{drift.NotOpened}, ""},
		"the result follows":             {[]*round{asks(0, gone), asks(1, gone), asks(2, given)}, true, []string{drift.TooFew, drift.TooFew, drift.NotOpened}, ""},
		"no round of the window":         {[]*round{asks(1, nil)}, false, nil, "asks of step"},
		"its round still runs":           {[]*round{asks(0, nil), asks(1, nil)}, false, nil, "asks of step"},
		"a window is left out":           {[]*round{asks(0, gone), asks(2, nil)}, false, nil, "asks of step"},
		"a missed window is asked again": {[]*round{asks(0, gone), asks(1, gone), asks(0, nil)}, false, nil, "asks of step"},
	} {
		t.Run(name, func(t *testing.T) {
			v := &verifier{bundle: blobs, study: s, digest: digest, rounds: test.rounds}
			if test.result {
				v.results = []*record{{}}
			}
			_, err := v.checkReplay()
			if _, open := err.(notChecked); open {
				err = nil
			}
			if test.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), test.refuse) {
					t.Errorf("%v, want an error with %q", err, test.refuse)
				}
				return
			}
			must(t, err)
			var missed []string
			for _, w := range v.outcome.result.Monitor.Windows {
				missed = append(missed, w.Why)
			}
			if !slices.Equal(missed, test.missed) || v.outcome.done != test.result {
				t.Errorf("missed %q, done %v", missed, v.outcome.done)
			}
		})
	}
}
