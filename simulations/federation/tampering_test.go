package federation

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// mitigatedStudy has all that a study can declare at once: its evidence has a file
// of every kind that a study with a model has.
const mitigatedStudy = watchedStudy + `  criteria: [{metric: tpr, attribute: sex, margin: 0, on_fail: block, on_insufficient: block}]
mitigation: {method: recalibrate, attribute: sex, strength: [1], release: 1}
validation: {kind: k-fold, folds: 2}
`

// Rule: in the evidence of a real study, with folds, a mitigation, a blocked release
// that was overridden, and cards, and in that of the study that watches its release,
// with the earlier report beside it, a flipped byte in a file of any kind is found
// and the file named, by both verifiers. The list of kinds is closed: a bundle with a
// new kind of file fails the test. Statements of trouble (declines, faults, ends
// without a model) are not in it; they are blobs like the others.
func TestAFlippedByteOfAnyKindOfFileIsNamed(t *testing.T) {
	from := today()
	watching := strings.Replace(string(watchingStudy(from, 2)), "model:", "mitigation: {method: recalibrate, attribute: sex, strength: [1], release: 1}\nmodel:", 1)
	spec := Spec{
		Protocol: []byte(mitigatedStudy), Sites: watchedPatients(1, from, 1, 200, 1, 0), Dir: t.TempDir(), Seed: 1,
		Watch: &Watch{Protocol: []byte(watching), Sites: watchedPatients(2, from, 2, 60, 2, 0), Bundle: t.TempDir() + "/watch"},
	}
	protocol, err := spec.check()
	ok(t, err)
	c, err := newConsortium(t.Context(), spec, protocol)
	ok(t, err)
	t.Cleanup(func() { ok(t, c.Close()) })
	ok(t, c.RunStudy(t.Context()))
	overrideRelease(t, c)
	decided := c.releaseDecided()
	ok(t, c.follow(t.Context(), "the decisions about the release", func(s *coordinator.StudyStatus) bool {
		return decided(s) && tally(s.ReleaseDecisions, "accepted") == 4
	}))
	first, err := c.Report(t.Context())
	ok(t, err)
	for format, card := range map[string][]byte{"markdown": first.Card, "pdf": first.CardPDF, "chai-xml": first.CardXML} {
		publish(t, c, first.Release.Digest, format, card)
	}
	fingerprint := identity.GovernanceFingerprint(c.governance.Public())
	tried := make(map[string]bool)
	each := func(bundle fstest.MapFS) {
		for _, path := range slices.Sorted(maps.Keys(bundle)) {
			kind := kindOf(bundle, path)
			if tried[kind] {
				continue
			}
			tried[kind] = true
			whole := bundle[path].Data
			for _, at := range []int{len(whole) / 3, len(whole) - 1} {
				bundle[path].Data = bytes.Clone(whole)
				bundle[path].Data[at] ^= 4
				found, err := audit.Verify(bundle, audit.Trust{Governance: c.governance.Public()})
				ok(t, err)
				bad, failed := found.First(audit.Failed)
				if !failed || kind != "entries.jsonl" && !strings.Contains(bad.Detail, path) {
					t.Errorf("%s, byte %d of %s: %+v", kind, at, path, bad)
				}
				if _, err := independent.Verify(bundle, fingerprint); err == nil || kind != "entries.jsonl" && !strings.Contains(err.Error(), path) {
					t.Errorf("%s, byte %d of %s, the second verifier: %v", kind, at, path, err)
				}
			}
			bundle[path].Data = whole
		}
	}
	each(fetched(t, c))
	_, err = c.Watch(t.Context(), first.Release.Digest)
	ok(t, err)
	each(fetched(t, c))

	want := []string{
		"attestation.json", "checkpoint", "cosigned", "entries.jsonl", "governance.pub", "proofs", "study.yaml", "tile of hashes", "tile of entries",
		"earlier result", "earlier study", "card as Markdown", "card as PDF", "card as XML", "blob of numbers", "blob of parameters",
		"entry " + ledger.TypeResult, "entry " + ledger.TypeMonitorReport,
	}
	for _, kind := range []statement.Kind{
		statement.KindRoster, statement.KindProposal, statement.KindApproval, statement.KindStart, statement.KindPlan, statement.KindContributionHeader,
		statement.KindOpeningRequest, statement.KindOpeningShare, statement.KindRoundEnd, statement.KindAudit, statement.KindRelease,
		statement.KindReleaseOverride, statement.KindReleaseDecision, statement.KindCard,
	} {
		want = append(want, string(kind))
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(tried)); !slices.Equal(got, want) {
		t.Errorf("kinds of files:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// kindOf a file: what a bundle has many of, it has one kind of.
func kindOf(bundle fstest.MapFS, path string) string {
	data := bundle[path].Data
	if kind, _, err := statement.Payload(data); err == nil && kind != "" && strings.Contains(path, "/") {
		return string(kind)
	}
	folder, rest, nested := strings.Cut(path, "/")
	switch {
	case !nested:
		return path
	case folder == "tile":
		if strings.HasPrefix(rest, "entries/") {
			return "tile of entries"
		}
		return "tile of hashes"
	case folder == "earlier" && strings.HasSuffix(path, ".json"):
		return "earlier result"
	case folder == "earlier":
		return "earlier study"
	case folder != "blobs":
		return folder
	}
	for leaf := range bytes.Lines(bundle["entries.jsonl"].Data) {
		if e, err := ledger.ParseEntry(bytes.TrimSuffix(leaf, []byte("\n"))); err == nil && e.Subject.String() == rest {
			return "entry " + e.Type
		}
	}
	switch {
	case bytes.HasPrefix(data, []byte("%PDF")):
		return "card as PDF"
	case bytes.HasPrefix(data, []byte("<?xml")):
		return "card as XML"
	case bytes.HasPrefix(data, []byte("# ")):
		return "card as Markdown"
	case json.Valid(data):
		return "blob of parameters"
	}
	return "blob of numbers" // sums and shares
}

func fetched(t *testing.T, c *consortium) fstest.MapFS {
	t.Helper()
	bundle := fstest.MapFS{}
	ok(t, fetch(t.Context(), consiliumv1.NewLedgerServiceClient(c.auditor.conn), c.digest(), false, func(path string, data []byte) error {
		bundle[path] = &fstest.MapFile{Data: bytes.Clone(data), Mode: 0o644}
		return nil
	}))
	return bundle
}

// overrideRelease has the auditor override what the study's criteria block.
func overrideRelease(t *testing.T, c *consortium) {
	t.Helper()
	studies := consiliumv1.NewStudyServiceClient(c.auditor.conn)
	answer, err := studies.Result(t.Context(), &consiliumv1.ResultRequest{Study: c.digest()})
	ok(t, err)
	_, report, err := statement.Payload(answer.GetAudit())
	ok(t, err)
	envelope, err := statement.Sign(statement.KindReleaseOverride, statement.ReleaseOverride{
		Study: c.protocol.Digest(), Audit: statement.DigestOf(report), Gate: fairness.Blocked, Auditor: auditorName, Reason: "to see it through", Time: c.clock.Now().UTC(),
	}, auditorName, c.auditor.node.Keys().Signing())
	ok(t, err)
	_, err = studies.OverrideRelease(t.Context(), &consiliumv1.OverrideReleaseRequest{Study: c.digest(), Override: envelope})
	ok(t, err)
}

func publish(t *testing.T, c *consortium, release, format string, card []byte) {
	t.Helper()
	of, err := statement.ParseDigest(release)
	ok(t, err)
	envelope, err := statement.Sign(statement.KindCard, statement.Card{
		Study: c.protocol.Digest(), Release: of, Format: format, Card: statement.DigestOf(card), Researcher: researcherName, Time: c.clock.Now().UTC(),
	}, researcherName, c.researcher.node.Keys().Signing())
	ok(t, err)
	_, err = c.studies().PublishCard(t.Context(), &consiliumv1.PublishCardRequest{Statement: envelope, Card: card})
	ok(t, err)
}
