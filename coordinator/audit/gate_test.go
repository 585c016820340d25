package audit

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Criteria of the study whose patients have a planted disparity.
const (
	blocks = "{metric: mae, attribute: sex, margin: 0.5}"
	warns  = "{metric: mae, attribute: sex, margin: 0.5, on_fail: warn}"
	passes = "{metric: mae, attribute: sex, margin: 50}"
)

func TestTheGateOfAnHonestBundle(t *testing.T) {
	c := newConsortium(t)
	for _, test := range []struct {
		name, criterion, gate, words string
		override                     bool
	}{
		{"no criterion", "", fairness.Offered, "declares no criterion", false},
		{"passes", passes, fairness.Offered, "the release is offered", false},
		{"warns", warns, fairness.OfferedWithWarning, "mae of sex: fail", false},
		{"blocked and overridden", blocks, fairness.Blocked, `under the override of ines: "for women only"`, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			files := build(t, c, lies{criterion: test.criterion, card: true})
			f, err := Verify(files, Trust{Governance: c.governance.Public()})
			must(t, err)
			if failed, bad := f.First(Failed); bad {
				t.Fatalf("%s: %s", failed.Check, failed.Detail)
			}
			if f.Gate != test.gate || (f.Override != nil) != test.override {
				t.Errorf("gate %q, override %+v", f.Gate, f.Override)
			}
			gate := f.Checks[slices.IndexFunc(f.Checks, func(f Finding) bool { return f.Check == "release gate" })]
			if !strings.Contains(gate.Detail, test.words) {
				t.Errorf("the gate reads %q", gate.Detail)
			}
			if _, err := independent.Verify(files, identity.GovernanceFingerprint(c.governance.Public())); err != nil {
				t.Errorf("the second verifier: %v", err)
			}
		})
	}
}

// A blocked study whose release was never overridden holds: nothing was released.
func TestABlockedStudyHoldsWithoutARelease(t *testing.T) {
	c := newConsortium(t)
	files := build(t, c, lies{criterion: blocks, skip: func(v any) bool {
		switch v.(type) {
		case *statement.ReleaseOverride, *statement.Release, *statement.ReleaseDecision:
			return true
		}
		return false
	}})
	f, err := Verify(files, Trust{Governance: c.governance.Public()})
	must(t, err)
	if failed, bad := f.First(Failed); bad {
		t.Errorf("%s: %s", failed.Check, failed.Detail)
	}
	if f.Gate != fairness.Blocked || f.Release != "" {
		t.Errorf("gate %q, release %q", f.Gate, f.Release)
	}
	if _, err := independent.Verify(files, identity.GovernanceFingerprint(c.governance.Public())); err != nil {
		t.Errorf("the second verifier: %v", err)
	}
}

// reworded changes the signed bias audit as JSON.
func reworded(t *testing.T, change func(report map[string]any)) func(any) {
	return after(0, func(r *rawAudit) {
		var report map[string]any
		must(t, json.Unmarshal(*r, &report))
		change(report)
		changed, err := json.Marshal(report)
		must(t, err)
		*r = changed
	})
}

// Whoever holds every key can sign a decision that the figures do not give, an
// override that is none, and a release that is blocked. Each is named, by both
// verifiers.
func TestAGateThatIsPassedInOtherWaysIsNamed(t *testing.T) {
	alone(t)
	c := newConsortium(t)
	move := func(kind string) func([][]byte) { // to before the audit
		return func(leaves [][]byte) {
			i := slices.IndexFunc(leaves, func(l []byte) bool { return typeOf(t, l) == kind })
			for ; typeOf(t, leaves[i]) != ledger.TypeAudit; i-- {
				leaves[i], leaves[i-1] = leaves[i-1], leaves[i]
				if typeOf(t, leaves[i]) == ledger.TypeAudit {
					return
				}
			}
		}
	}
	as := func(signer string, of func(any) bool) func(any, string) string {
		return func(v any, name string) string {
			if of(v) {
				return signer
			}
			return name
		}
	}
	isOverride := func(v any) bool { _, ok := v.(*statement.ReleaseOverride); return ok }
	for _, test := range []struct {
		name, criterion string
		lies            lies
		check, words    string // of the first verifier
		second          string // of the second
	}{
		{"the decision in the audit changed", blocks, lies{change: reworded(t, func(r map[string]any) {
			r["decision"].(map[string]any)["outcome"] = fairness.OfferedWithWarning
		})}, "bias audit", "first at decision.outcome", "where its verdicts give"},
		{"a verdict in the audit changed", blocks, lies{change: reworded(t, func(r map[string]any) {
			r["criteria"].([]any)[0].(map[string]any)["verdict"] = fairness.Pass
		})}, "bias audit", "first at criteria[0].verdict", "does not follow from its intervals"},
		{"the decision taken out of the audit", blocks, lies{change: reworded(t, func(r map[string]any) {
			delete(r, "decision")
		})}, "bias audit", "first at decision", "criteria without a decision"},
		{"the decision in the release changed", blocks, lies{change: after(0, func(r *statement.Release) {
			r.Gate, r.Override = fairness.Offered, nil
		}), skip: isOverride}, "release gate", `says that the study's criteria make it "offered"`, `where the audit gives "blocked"`},
		{"the decision left out of the release", warns, lies{change: after(0, func(r *statement.Release) { r.Gate = "" })},
			"release gate", `make it ""`, "where the audit gives"},
		{"released though blocked", blocks, lies{change: after(0, func(r *statement.Release) { r.Override = nil }), skip: isOverride},
			"release gate", "under no override", "under no override"},
		{"the override removed from the log", blocks, lies{skip: isOverride}, "release gate", "an override that is not in the log", "another override"},
		{"the override left out of the release", blocks, lies{change: after(0, func(r *statement.Release) { r.Override = nil })},
			"release gate", "under no override", "under no override"},
		{"an override named that is another", blocks, lies{change: after(0, func(r *statement.Release) { r.Override = &r.Study })},
			"release gate", "another override than", "another override"},
		{"overridden by a researcher", blocks, lies{change: after(0, func(o *statement.ReleaseOverride) { o.Auditor = "rosa" }), signer: as("rosa", isOverride)},
			"signatures", "auditor", "rosa"},
		{"overridden by the coordinator", blocks, lies{change: after(0, func(o *statement.ReleaseOverride) { o.Auditor = "coordinator" }), signer: as("coordinator", isOverride)},
			"signatures", "auditor", "coordinator"},
		{"overridden by a hospital", blocks, lies{change: after(0, func(o *statement.ReleaseOverride) { o.Auditor = "Aare" }), signer: as("Aare", isOverride)},
			"signatures", "auditor", "Aare"},
		{"an override of another study", blocks, lies{change: after(0, func(o *statement.ReleaseOverride) { o.Study = statement.DigestOf(nil) })},
			"release gate", "another study", "another study"},
		{"an override of another audit", blocks, lies{change: after(0, func(o *statement.ReleaseOverride) { o.Audit = statement.DigestOf(nil) })},
			"release gate", "another bias audit", "another decision"},
		{"an override of another decision", blocks, lies{change: after(0, func(o *statement.ReleaseOverride) { o.Gate = fairness.OfferedWithWarning })},
			"release gate", "overrides the decision", "another decision"},
		{"an override without a reason", blocks, lies{change: after(0, func(o *statement.ReleaseOverride) { o.Reason = " " })},
			"release gate", "gives no reason", "gives no reason"},
		{"two overrides", blocks, lies{twice: the[statement.ReleaseOverride](0)}, "release gate", "second time", "second override"},
		{"an override after the release", blocks, lies{order: func(leaves [][]byte) {
			i := slices.IndexFunc(leaves, func(l []byte) bool { return typeOf(t, l) == ledger.TypeReleaseOverride })
			leaves[i], leaves[i+1] = leaves[i+1], leaves[i]
		}}, "release gate", "comes before", "another override"},
		{"an override before the audit", blocks, lies{order: move(ledger.TypeReleaseOverride)}, "release gate", "comes before the bias audit", "another decision"},
		{"an override that no release follows", blocks, lies{skip: func(v any) bool {
			switch v.(type) {
			case *statement.Release, *statement.ReleaseDecision:
				return true
			}
			return false
		}}, "release gate", "followed by no release", "no release follows"},
		{"a card of another release", passes, lies{card: true, change: after(0, func(c *statement.Card) { c.Release = c.Study })},
			"model cards", "another release", "another release"},
		{"a card by somebody else", passes, lies{card: true, change: after(0, func(c *statement.Card) { c.Researcher = "ines" }), signer: as("ines", func(v any) bool { _, ok := v.(*statement.Card); return ok })},
			"signatures", "researcher", "ines"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.lies.criterion = test.criterion
			files := build(t, c, test.lies)
			expect(t, files, Trust{Governance: c.governance.Public()}, test.check, test.words)
			both(t, c, files, test.second)
		})
	}
}

// What nothing blocks is overridden by nobody: a release under an override says
// more than is true.
func TestAnOverrideOfWhatNothingBlocksIsNamed(t *testing.T) {
	c := newConsortium(t)
	blocked := build(t, c, lies{criterion: blocks})
	var override []byte
	for _, name := range sortedNames(blocked) {
		if kind, _, err := statement.Payload(blocked[name].Data); err == nil && kind == statement.KindReleaseOverride {
			override = blocked[name].Data
		}
	}
	if override == nil {
		t.Fatal("the bundle has no override to carry over")
	}
	var o statement.ReleaseOverride
	_, payload, err := statement.Payload(override)
	must(t, err)
	must(t, statement.Decode(payload, &o))
	carried := statement.DigestOf(payload)
	files := build(t, c, lies{criterion: warns, change: after(0, func(r *statement.Release) { r.Override = &carried })})
	expect(t, files, Trust{Governance: c.governance.Public()}, "release gate", "names an override and nothing blocks it")
	both(t, c, files, "another override")
}

// Every byte of the override and of the card matters.
func TestAFlippedByteOfAnOverrideOrACardIsNamed(t *testing.T) {
	c := newConsortium(t)
	honest := build(t, c, lies{criterion: blocks, card: true})
	seen := 0
	for _, name := range sortedNames(honest) {
		kind, _, err := statement.Payload(honest[name].Data)
		isFile := bytes.Equal(honest[name].Data, []byte("# Card\n")) || strings.Contains(name, "release-override") || strings.Contains(name, "proofs/card")
		if !isFile && (err != nil || kind != statement.KindReleaseOverride && kind != statement.KindCard) {
			continue
		}
		seen++
		for _, at := range []int{0, len(honest[name].Data) / 2, len(honest[name].Data) - 1} {
			files := copied(honest)
			files[name].Data[at] ^= 1
			both(t, c, files, name)
		}
		files := copied(honest)
		delete(files, name)
		expect(t, files, Trust{Governance: c.governance.Public()}, "files", name, "missing")
		both(t, c, fstest.MapFS(files), name)
	}
	if seen != 5 { // two statements with a proof each, and the card's file
		t.Errorf("%d files of overrides and cards were found", seen)
	}
}
