package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// failedEarly is the end of a study whose second question was not asked.
func failedEarly() *statement.StudyEnd {
	return &statement.StudyEnd{State: "failed", Reason: "too few sites for glm/gram"}
}

// A study that comes to nothing says so in its evidence, and why.
func TestAStudyThatFailedSaysSo(t *testing.T) {
	c := newConsortium(t)
	files := build(t, c, lies{end: failedEarly()})
	f, err := Verify(files, Trust{Governance: c.governance.Public()})
	must(t, err)
	if failed, bad := f.First(Failed); bad {
		t.Fatalf("%s: %s", failed.Check, failed.Detail)
	}
	i := slices.IndexFunc(f.Checks, func(f Finding) bool { return f.Check == "study end" })
	if f.Status != "failed" || f.Checks[i].State != OK || f.Checks[i].Detail != "failed: too few sites for glm/gram" {
		t.Errorf("%s, %+v", f.Status, f.Checks[i])
	}
	i = slices.IndexFunc(f.Checks, func(f Finding) bool { return f.Check == "witnesses" })
	if !strings.Contains(f.Checks[i].Detail, "(study-end)") {
		t.Errorf("%+v", f.Checks[i])
	}
	if _, err := independent.Verify(files, ""); err != nil {
		t.Errorf("the second verifier: %v", err)
	}
}

func TestAnEndThatIsNotOneIsNamed(t *testing.T) {
	c := newConsortium(t)
	trust := Trust{Governance: c.governance.Public()}
	other := statement.DigestOf([]byte("other"))
	for name, test := range map[string]struct {
		lies  lies
		words string
	}{
		"a round after the end":  {lies{end: failedEarly(), more: true}, "comes after"},
		"of another study":       {lies{end: failedEarly(), change: after(0, func(e *statement.StudyEnd) { e.Study = other })}, "another study"},
		"in an unknown state":    {lies{end: failedEarly(), change: after(0, func(e *statement.StudyEnd) { e.State = "paused" })}, "unknown state"},
		"a diagnosis of its own": {lies{end: failedEarly(), change: after(0, func(e *statement.StudyEnd) { e.State = "diagnosed" })}, "that the sums do not"},
		"before its round's end": {lies{end: failedEarly(), skip: the[statement.RoundEnd](0)}, "before the end of round"},
		"after its last statement": {lies{end: failedEarly(), order: func(leaves [][]byte) {
			last := len(leaves) - 1
			leaves[last], leaves[last-1] = leaves[last-1], leaves[last]
		}}, "comes after"},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, pruned(t, build(t, c, test.lies)), trust, "study end", test.words)
		})
	}
	expect(t, build(t, c, lies{end: failedEarly(), twice: the[statement.StudyEnd](0)}), trust, "files", "a second time")
	_, err := independent.Verify(build(t, c, lies{end: failedEarly(), more: true}), "")
	if err == nil || !strings.Contains(err.Error(), "after the end of the study") {
		t.Errorf("the second verifier on a round after the end: %v", err)
	}
}

// A hospital that declines a round is in the evidence with its signed word.
func TestDeclinesAreInTheEvidence(t *testing.T) {
	c := newConsortium(t)
	trust := Trust{Governance: c.governance.Public()}
	wiese := func(step, site string) bool { return step == "glm/gram" && site == "Wiese" }
	files := build(t, c, lies{decline: wiese})
	f, err := Verify(files, trust)
	must(t, err)
	if failed, bad := f.First(Failed); bad {
		t.Fatalf("%s: %s", failed.Check, failed.Detail)
	}
	if _, err := independent.Verify(files, ""); err != nil {
		t.Errorf("the second verifier: %v", err)
	}
	if n := strings.Count(string(files[entriesFile].Data), `"type":"`+ledger.TypeDecline+`"`); n != 1 {
		t.Errorf("%d declines in the log", n)
	}
	expect(t, build(t, c, lies{decline: wiese, anyway: true}), trust, "plans", `"Wiese" declined`)
	expect(t, build(t, c, lies{decline: wiese, signer: func(v any, name string) string {
		if _, ok := v.(*statement.Decline); ok {
			return "coordinator"
		}
		return name
	}, change: after(0, func(d *statement.Decline) { d.Site = "coordinator" })}), trust, "signatures", "signs as site")
	outside := func(step string, again bool) []string { return siteNames }
	expect(t, build(t, c, lies{decline: wiese, invited: outside, signer: func(v any, name string) string {
		if d, ok := v.(*statement.Decline); ok {
			return d.Site
		}
		return name
	}, order: func(leaves [][]byte) { // before the plan
		i := slices.IndexFunc(leaves, func(l []byte) bool { return typeOf(t, l) == ledger.TypeDecline })
		leaves[i], leaves[i-1] = leaves[i-1], leaves[i]
	}}), trust, "files", "which no earlier entry plans")
}
