package audit

import (
	"bytes"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// copied is a bundle that a test may damage.
func copied(files fstest.MapFS) fstest.MapFS {
	out := make(fstest.MapFS, len(files))
	for name, file := range files {
		out[name] = &fstest.MapFile{Data: bytes.Clone(file.Data), Mode: file.Mode}
	}
	return out
}

func withoutCiphertexts(t *testing.T, files fstest.MapFS) fstest.MapFS {
	t.Helper()
	out := copied(files)
	for _, file := range files {
		kind, payload, err := statement.Payload(file.Data)
		if err != nil || kind != statement.KindContributionHeader {
			continue
		}
		var h statement.ContributionHeader
		must(t, statement.Decode(payload, &h))
		for _, chunk := range h.Chunks {
			delete(out, blobFile(chunk))
		}
	}
	return out
}

// expect verifies a bundle and wants exactly this check to be the first that
// fails, with words that name what is wrong, and none after it to claim to hold.
func expect(t *testing.T, files fs.FS, trust Trust, check string, words ...string) {
	t.Helper()
	f, err := Verify(files, trust)
	must(t, err)
	failed, bad := f.First(Failed)
	if !bad {
		t.Fatalf("the bundle holds; %s should fail", check)
	}
	if failed.Check != check {
		t.Errorf("%s fails (%s), %s should", failed.Check, failed.Detail, check)
	}
	for _, w := range words {
		if !strings.Contains(failed.Detail, w) {
			t.Errorf("the detail %q does not name %q", failed.Detail, w)
		}
	}
	after := false
	for _, finding := range f.Checks {
		if after && finding.State != NotChecked {
			t.Errorf("%s is %s after a check that failed", finding.Check, finding.State)
		}
		after = after || finding.State == Failed
	}
}

func sortedNames(files fstest.MapFS) []string { return slices.Sorted(maps.Keys(files)) }

func TestEveryFileOfABundleMatters(t *testing.T) {
	alone(t)
	c := newConsortium(t)
	honest := build(t, c, lies{})
	trust := Trust{Governance: c.governance.Public()}
	if len(honest) < 70 {
		t.Fatalf("the bundle has only %d files: the test has lost its object", len(honest))
	}
	for _, name := range sortedNames(honest) {
		t.Run("flip "+name, func(t *testing.T) {
			for _, at := range []int{0, len(honest[name].Data) / 2, len(honest[name].Data) - 1} {
				files := copied(honest)
				files[name].Data[at] ^= 1
				f, err := Verify(files, trust)
				must(t, err)
				failed, bad := f.First(Failed)
				if !bad {
					t.Fatalf("byte %d flipped and the bundle holds", at)
				}
				if name == entriesFile || name == checkpointFile {
					continue // what a flip does there depends on the place
				}
				if !strings.Contains(failed.Detail, name) {
					t.Errorf("byte %d flipped: %q does not name the file", at, failed.Detail)
				}
			}
		})
		t.Run("remove "+name, func(t *testing.T) {
			files := copied(honest)
			delete(files, name)
			if strings.HasPrefix(name, cosignedFolder) { // nobody has to cosign
				expect(t, files, trust, "proofs", "proofs/")
				return
			}
			expect(t, files, trust, "files", name, "missing")
		})
		t.Run("empty "+name, func(t *testing.T) {
			files := copied(honest)
			files[name].Data = nil
			f, err := Verify(files, trust)
			must(t, err)
			if f.Holds() {
				t.Fatal("the bundle holds")
			}
		})
	}
}

func TestNothingElseIsInABundle(t *testing.T) {
	c := newConsortium(t)
	honest := build(t, c, lies{})
	trust := Trust{Governance: c.governance.Public()}
	for _, name := range []string{"notes.txt", "blobs/" + statement.DigestOf([]byte("more")).String(), "blobs/more", "rosters/000003.json", "deeper/still/more"} {
		t.Run(name, func(t *testing.T) {
			files := copied(honest)
			files[name] = &fstest.MapFile{Data: []byte("more")}
			expect(t, files, trust, "files", name, "surplus")
		})
	}
	t.Run("link", func(t *testing.T) {
		files := copied(honest)
		var blob string
		for _, name := range sortedNames(files) {
			if strings.HasPrefix(name, "blobs/") {
				blob = name
			}
		}
		files[blob].Mode = fs.ModeSymlink
		f, err := Verify(files, trust)
		must(t, err)
		if f.Holds() {
			t.Error("a link stands in for a file and the bundle holds")
		}
	})
}

// leavesOf splits a bundle's log.
func leavesOf(files fstest.MapFS) [][]byte {
	data := files[entriesFile].Data
	return bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
}

func setLeaves(files fstest.MapFS, leaves [][]byte) {
	files[entriesFile].Data = append(bytes.Join(leaves, []byte("\n")), '\n')
}

func typeOf(t *testing.T, leaf []byte) string {
	e, err := ledger.ParseEntry(leaf)
	must(t, err)
	return e.Type
}

func TestTheLogIsTheOneThatWasSigned(t *testing.T) {
	c := newConsortium(t)
	honest := build(t, c, lies{})
	trust := Trust{Governance: c.governance.Public()}

	t.Run("entries reordered", func(t *testing.T) {
		files := copied(honest)
		leaves := leavesOf(files)
		i := slices.IndexFunc(leaves, func(l []byte) bool { return typeOf(t, l) == ledger.TypeContribution })
		leaves[i], leaves[i+1] = leaves[i+1], leaves[i]
		setLeaves(files, leaves)
		expect(t, files, trust, "log", "changed, moved or replaced")
	})
	t.Run("checkpoint rolled back", func(t *testing.T) {
		files := copied(honest)
		earlier := make(fstest.MapFS)
		writeLog(t, c, earlier, leavesOf(files)[:20])
		files[checkpointFile] = earlier[checkpointFile]
		expect(t, files, trust, "log", "checkpoint is over 20 entries")
	})
	t.Run("checkpoint by somebody else", func(t *testing.T) {
		files := copied(honest)
		log := ledger.NewLog(ledger.Origin("test"), ledger.NewMemory())
		for _, leaf := range leavesOf(files) {
			_, err := log.Append(leaf)
			must(t, err)
		}
		forged, err := log.Checkpoint(c.nodes["rosa"].Keys().Signing())
		must(t, err)
		files[checkpointFile].Data = forged
		expect(t, files, trust, "checkpoint", "coordinator")
	})
	t.Run("entry dropped and the checkpoint kept", func(t *testing.T) {
		files := copied(honest)
		leaves := leavesOf(files)
		setLeaves(files, leaves[:len(leaves)-1])
		expect(t, files, trust, "files", "surplus")
	})
	t.Run("last line cut short", func(t *testing.T) {
		files := copied(honest)
		files[entriesFile].Data = files[entriesFile].Data[:len(files[entriesFile].Data)-1]
		expect(t, files, trust, "files", "cut short")
	})
	t.Run("another history than the auditor saw", func(t *testing.T) {
		other := build(t, c, lies{}) // same consortium, other nonces and keys
		seen := trust
		seen.Checkpoint = other[checkpointFile].Data
		expect(t, honest, seen, "log", "two histories")
	})
	t.Run("the history that the auditor saw", func(t *testing.T) {
		earlier := make(fstest.MapFS)
		writeLog(t, c, earlier, leavesOf(honest)[:20])
		seen := trust
		seen.Checkpoint = earlier[checkpointFile].Data
		f, err := Verify(honest, seen)
		must(t, err)
		if !f.Holds() {
			t.Error("a log that extends the kept checkpoint is refused")
		}
	})
}

func TestTheGovernanceKeyIsTheAuditors(t *testing.T) {
	c := newConsortium(t)
	honest := build(t, c, lies{})
	other := newConsortium(t).governance.Public()
	expect(t, honest, Trust{Governance: other}, "rosters", "another governance key")
	wrong := []byte(strings.Repeat("x", 32))
	expect(t, honest, Trust{Fingerprint: wrong}, "rosters", "another governance key")

	f, err := Verify(honest, Trust{})
	must(t, err)
	if !f.Holds() || !f.GovernanceFromBundle {
		t.Errorf("without a key: holds %v, says that the key is the bundle's own %v", f.Holds(), f.GovernanceFromBundle)
	}
	if f, _ := Verify(honest, Trust{Governance: c.governance.Public()}); f.GovernanceFromBundle {
		t.Error("with a key it says that the key is the bundle's own")
	}
}

// after returns a change of the n-th statement of one type, counted from 0.
func after[S any](n int, change func(*S)) func(any) {
	seen := -1
	return func(v any) {
		if s, ok := v.(*S); ok {
			if seen++; seen == n {
				change(s)
			}
		}
	}
}

// the is true for the n-th statement of one type, counted from 0.
func the[S any](n int) func(any) bool {
	seen := -1
	return func(v any) bool {
		if _, ok := v.(*S); ok {
			seen++
			return seen == n
		}
		return false
	}
}

// requestion makes a changed plan consistent with itself again.
func requestion(p *statement.Plan) { p.Question = p.QuestionDigest() }

// A maker of bundles with every private key can sign anything. What it signs
// must still follow from the study and from the sums.
func TestWhatIsSignedMustFollow(t *testing.T) {
	alone(t)
	c := newConsortium(t)
	trust := Trust{Governance: c.governance.Public()}
	move := func(kind string, n, by int) func([][]byte) {
		return func(leaves [][]byte) {
			seen := -1
			for i, leaf := range leaves {
				if typeOf(t, leaf) == kind {
					if seen++; seen == n {
						for ; by < 0; by++ {
							leaves[i], leaves[i-1] = leaves[i-1], leaves[i]
							i--
						}
						return
					}
				}
			}
		}
	}
	tests := []struct {
		name  string
		lies  lies
		check string
		words string
	}{
		{"proposed by an auditor", lies{
			change: after(0, func(p *statement.Proposal) { p.Researcher = "ines" }),
			signer: func(v any, name string) string {
				if _, ok := v.(*statement.Proposal); ok {
					return "ines"
				}
				return name
			}}, "signatures", "researcher"},
		{"plan signed by a site", lies{signer: func(v any, name string) string {
			if _, ok := v.(*statement.Plan); ok {
				return "Aare"
			}
			return name
		}}, "signatures", "coordinator"},
		{"started by nobody", lies{skip: the[statement.Start](0)}, "study", "never started"},
		{"started after the first plan", lies{order: move(ledger.TypePlan, 0, -1)}, "study", "before the study was started"},
		{"a site that never approved", lies{skip: the[statement.Approval](1)}, "approvals", "Birs"},
		{"a site that refused", lies{change: after(1, func(a *statement.Approval) { a.Approved = false })}, "approvals", "Birs"},

		{"threshold lowered", lies{change: after(0, func(p *statement.Plan) { p.Threshold = 4 })}, "plans", "threshold"},
		{"minimum lowered", lies{change: after(0, func(p *statement.Plan) { p.MinimumContributors = 2 })}, "plans", "contributors"},
		{"older roster", lies{change: after(0, func(p *statement.Plan) { p.Roster = p.Study })}, "plans", "roster"},
		{"layout widened", lies{change: after(0, func(p *statement.Plan) {
			p.Layout = slices.Clone(p.Layout)
			p.Layout[0].Bound *= 2
			requestion(p)
		})}, "plans", "layout"},
		{"committee chosen", lies{change: after(0, func(p *statement.Plan) { p.Committee, p.Threshold = p.Committee[:3], 3 })}, "plans", "committee"},
		{"contribution counted twice", lies{twice: the[statement.ContributionHeader](0)}, "plans", "second time"},

		{"site left out of the opening", lies{change: after(0, func(r *statement.OpeningRequest) {
			r.Contributors, r.Headers = r.Contributors[1:], r.Headers[1:]
		})}, "openings", "3 contributions where the log holds 4"},
		{"contribution missing from the log", lies{skip: the[statement.ContributionHeader](1)}, "files", "surplus"},
		{"other header opened", lies{change: after(0, func(r *statement.OpeningRequest) {
			r.Headers = slices.Clone(r.Headers)
			r.Headers[0] = r.Headers[1]
		})}, "openings", "another header"},
		{"set fixed before the last contribution", lies{order: move(ledger.TypeOpeningRequest, 0, -1)}, "openings", "came after"},
		{"asked to open twice", lies{twice: the[statement.OpeningRequest](0)}, "openings", "second time"},
		{"answer to another request", lies{change: after(0, func(s *statement.OpeningShare) { s.Request = s.Round })}, "openings", "another request"},
		{"answer before the request", lies{order: move(ledger.TypeOpeningShare, 0, -1)}, "openings", "before the request"},

		{"opener without a share", lies{change: after(0, func(e *statement.RoundEnd) { e.Openers = []string{"Aare", "Birs", "nobody"} })}, "round ends", "nobody"},
		{"opener left out", lies{change: after(0, func(e *statement.RoundEnd) { e.Openers = e.Openers[:3] })}, "round ends", "other openers"},
		{"the same share twice", lies{twice: the[statement.OpeningShare](0)}, "round ends", "other openers"},
		{"shares denied", lies{change: after(0, func(e *statement.RoundEnd) { e.SharesGiven = false })}, "round ends", "untrue"},
		{"ended twice", lies{twice: the[statement.RoundEnd](0)}, "round ends", "second time"},
		{"other contributors at the end", lies{change: after(0, func(e *statement.RoundEnd) { e.Contributors = e.Contributors[1:] })}, "round ends", "other contributors"},

		{"share off the polynomial", lies{share: func(member string, share []byte) []byte {
			if member == "Birs" {
				share[8] ^= 1
			}
			return share
		}}, "shares", "does not open"},
		{"sum made up", lies{sum: func(step string, sum []byte) []byte {
			out := bytes.Clone(sum)
			if step == "glm/gram" {
				out[len(out)-16]++
			}
			return out
		}}, "sums", "ciphertexts"},

		{"question opened twice", lies{rounds: func(step string) []string {
			if step == "glm/gram" {
				return []string{"published"}
			}
			return nil
		}}, "questions", "again"},

		{"other parameters", lies{question: func(q *compute.Question) {
			if q.Step == fairness.Step {
				shift(t, q)
			}
		}}, "replay", "asks of step"},
		{"question after the end", lies{more: true}, "replay", "ended"},

		{"bias audit beautified", lies{change: after(0, func(r *rawAudit) {
			*r = bytes.Replace(*r, []byte(`"contributors":4`), []byte(`"contributors":5`), 1)
		})}, "bias audit", "first at contributors"},
		{"two bias audits", lies{twice: the[rawAudit](0)}, "bias audit", "second"},
		{"model changed", lies{change: after(0, func(r *statement.Release) {
			r.Body = bytes.Replace(r.Body, []byte(`"n":240`), []byte(`"n":241`), 1)
			r.Model = statement.DigestOf(r.Body)
		})}, "release", "model"},
		{"model under another digest", lies{change: after(0, func(r *statement.Release) { r.Model = r.Study })}, "release", "digest"},
		{"round left out of the release", lies{change: after(0, func(r *statement.Release) { r.Rounds = r.Rounds[:2] })}, "release", "leaves out"},
		{"round added to the release", lies{change: after(0, func(r *statement.Release) { r.Rounds = append(r.Rounds, r.Rounds[0]) })}, "release", "1 rounds more"},
		{"site removed from the release", lies{change: after(0, func(r *statement.Release) {
			r.Rounds = slices.Clone(r.Rounds)
			r.Rounds[0].Contributors = r.Rounds[0].Contributors[1:]
		})}, "release", "other contributors"},
		{"other sum in the release", lies{change: after(0, func(r *statement.Release) {
			r.Rounds = slices.Clone(r.Rounds)
			r.Rounds[0].Sum = r.Rounds[1].Sum
		})}, "release", "another sum"},
		{"other audit in the release", lies{change: after(0, func(r *statement.Release) { r.Audit = r.Study })}, "release", "another bias audit"},
		{"released twice", lies{twice: the[statement.Release](0)}, "release", "second release"},
		{"decision about another release", lies{change: after(0, func(d *statement.ReleaseDecision) { d.Release = statement.DigestOf(nil) })}, "release decisions", "another release"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			expect(t, build(t, c, test.lies), trust, test.check, test.words)
		})
	}
}

// Without the ciphertexts a made-up sum cannot be told from a true one. The
// findings must not say that it was checked.
func TestSumsWithoutCiphertextsAreTakenAsSigned(t *testing.T) {
	c := newConsortium(t)
	trust := Trust{Governance: c.governance.Public()}
	f, err := Verify(withoutCiphertexts(t, build(t, c, lies{})), trust)
	must(t, err)
	if !f.Holds() {
		failed, _ := f.First(Failed)
		t.Fatalf("an honest bundle fails at %s: %s", failed.Check, failed.Detail)
	}
	open, some := f.First(NotChecked)
	if !some || open.Check != "sums" {
		t.Errorf("the first check that is not made is %q, it should be sums", open.Check)
	}
	crooked := build(t, c, lies{share: func(member string, share []byte) []byte {
		if member == "Birs" {
			share[8] ^= 1
		}
		return share
	}})
	expect(t, withoutCiphertexts(t, crooked), trust, "shares", "does not open")
}

// A round that ends before any opening share was given may be asked again.
func TestAQuestionMayBeAskedAgainWhileNothingWasOpened(t *testing.T) {
	c := newConsortium(t)
	files := build(t, c, lies{rounds: func(string) []string { return []string{"abandoned"} }})
	f, err := Verify(files, Trust{Governance: c.governance.Public()})
	must(t, err)
	if failed, bad := f.First(Failed); bad {
		t.Errorf("%s: %s", failed.Check, failed.Detail)
	}
}

// After a failed opening the honest sum may be known: the same question may be
// opened again for the same sites less those at fault, and for no other set.
func TestAfterAFailedOpeningOnlyTheSameSetLessThoseAtFault(t *testing.T) {
	c := newConsortium(t)
	trust := Trust{Governance: c.governance.Public()}
	failing := func(step string) []string {
		if step == "glm/gram" {
			return []string{"failed-integrity"}
		}
		return nil
	}
	expect(t, build(t, c, lies{rounds: failing}), trust, "questions", "pinned on no site")
	expect(t, build(t, c, lies{rounds: failing, blames: []string{"Wiese"}}), trust, "questions", "another set")
	without := func(step string, again bool) []string {
		if step != "describe/counts" && again {
			return siteNames[:3]
		}
		return siteNames
	}
	f, err := Verify(build(t, c, lies{rounds: failing, blames: []string{"Wiese"}, invited: without}), trust)
	must(t, err)
	if failed, bad := f.First(Failed); bad {
		t.Errorf("the same set less the site at fault is refused: %s: %s", failed.Check, failed.Detail)
	}
}

// pruned removes every file that no entry names, as a careful forger would.
func pruned(t *testing.T, files fstest.MapFS) fstest.MapFS {
	t.Helper()
	for {
		f, err := Verify(files, Trust{})
		must(t, err)
		failed, bad := f.First(Failed)
		path, surplus := strings.CutSuffix(failed.Detail, " is surplus: no entry names it")
		if !bad || !surplus {
			return files
		}
		delete(files, path)
	}
}

// Whoever took part is in the opening request that the committee answered:
// taking it out of the log afterwards, with all that it sent, shows.
func TestWhoTookPartCannotBeTakenOut(t *testing.T) {
	c := newConsortium(t)
	trust := Trust{Governance: c.governance.Public()}
	t.Run("a contribution", func(t *testing.T) {
		files := pruned(t, build(t, c, lies{skip: the[statement.ContributionHeader](1)}))
		expect(t, files, trust, "openings", "4 contributions where the log holds 3")
	})
	t.Run("a site's every word", func(t *testing.T) {
		files := pruned(t, build(t, c, lies{skip: func(v any) bool {
			named, ok := v.(statement.Named)
			return ok && named.Signer() == "Birs"
		}}))
		expect(t, files, trust, "approvals", "Birs")
	})
	t.Run("opening shares", func(t *testing.T) {
		given := 0
		files := pruned(t, build(t, c, lies{
			skip: func(v any) bool {
				if _, ok := v.(*statement.OpeningShare); ok {
					given++
					return given <= 2
				}
				return false
			},
			change: after(0, func(e *statement.RoundEnd) { e.Openers = e.Openers[2:] }),
		}))
		expect(t, files, trust, "round ends", "below the threshold")
	})
	t.Run("the round that failed", func(t *testing.T) {
		// Without the failed round nobody would know that its question was
		// opened before. The plan is named by the statements that are left.
		failing := func(step string) []string {
			if step == "glm/gram" {
				return []string{"failed-integrity"}
			}
			return nil
		}
		plans := 0
		files := build(t, c, lies{rounds: failing, skip: func(v any) bool {
			if _, ok := v.(*statement.Plan); ok {
				plans++
				return plans == 2
			}
			return false
		}})
		expect(t, files, trust, "files", "which no earlier entry plans")
	})
}
