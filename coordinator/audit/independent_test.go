package audit

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// both verifies a bundle with both verifiers and wants each to refuse it, the
// second with words that name what is wrong.
func both(t *testing.T, c *consortium, files fstest.MapFS, words ...string) {
	t.Helper()
	f, err := Verify(files, Trust{Governance: c.governance.Public()})
	must(t, err)
	if f.Holds() {
		t.Error("it holds for the first verifier")
	}
	_, err = independent.Verify(files, identity.GovernanceFingerprint(c.governance.Public()))
	if err == nil {
		t.Fatal("it holds for the second verifier")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the second verifier says %q and does not name %q", err, w)
		}
	}
}

func TestTheSecondVerifierAgreesOnHonestBundles(t *testing.T) {
	c := newConsortium(t)
	fingerprint := identity.GovernanceFingerprint(c.governance.Public())
	honest := build(t, c, lies{})
	without := func(step string, again bool) []string {
		if step != "describe/counts" && again {
			return siteNames[:3]
		}
		return siteNames
	}
	for name, test := range map[string]struct {
		files       fstest.MapFS
		ciphertexts bool
	}{
		"with ciphertexts":    {honest, true},
		"without ciphertexts": {withoutCiphertexts(t, honest), false},
		"an abandoned round":  {build(t, c, lies{rounds: func(string) []string { return []string{"abandoned"} }}), true},
		"a failed round": {build(t, c, lies{
			rounds: func(step string) []string {
				if step == "glm/gram" {
					return []string{"failed-integrity"}
				}
				return nil
			},
			blames:  []string{"Wiese"},
			invited: without,
		}), true},
		"few witnesses": {build(t, c, lies{witnesses: map[string]int{"Aare": 20}}), true},
		"no witness":    {build(t, c, lies{witnesses: map[string]int{}}), true},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Verify(test.files, Trust{Governance: c.governance.Public()})
			must(t, err)
			if failed, bad := f.First(Failed); bad {
				t.Errorf("the first: %s: %s", failed.Check, failed.Detail)
			}
			s, err := independent.Verify(test.files, fingerprint)
			if err != nil {
				t.Fatalf("the second: %v", err)
			}
			if s.Ciphertexts != test.ciphertexts || s.Study != f.Study || s.Entries != f.Entries || s.Governance != f.Governance || s.Hospitals != 4 || s.Rounds == 0 {
				t.Errorf("they differ: %+v, %+v", s, f)
			}
		})
	}
}

// class is a kind of file: what a bundle has many of, it has one class of.
func class(files fstest.MapFS, name string) string {
	folder, _, nested := strings.Cut(name, "/")
	if !nested {
		return name
	}
	if kind, _, err := statement.Payload(files[name].Data); err == nil {
		return folder + " " + string(kind)
	}
	if strings.HasPrefix(name, "tile/") {
		return strings.Join(strings.Split(name, "/")[:2], "/")
	}
	return folder
}

// Every bit of a file of each class matters to both verifiers, and both name the
// file, or what it holds, that was changed.
func TestBothVerifiersNameAFlippedByteOfEveryClass(t *testing.T) {
	alone(t)
	c := newConsortium(t)
	honest := build(t, c, lies{})
	seen := make(map[string]bool)
	for _, name := range sortedNames(honest) {
		class := class(honest, name)
		if seen[class] {
			continue
		}
		seen[class] = true
		t.Run(class, func(t *testing.T) {
			size := len(honest[name].Data)
			for i := range 16 {
				files := copied(honest)
				files[name].Data[i*(size-1)/15] ^= 1 << (i % 8)
				words := []string{name}
				if name == entriesFile {
					words = nil // it is named by what it no longer leads to
				}
				both(t, c, files, words...)
			}
		})
	}
	for _, class := range []string{"attestation.json", "checkpoint", "cosigned", "entries.jsonl", "governance.pub", "proofs", "study.yaml", "tile/0", "tile/entries",
		"rosters " + string(statement.KindRoster), "blobs", "blobs " + string(statement.KindContributionHeader), "blobs " + string(statement.KindAudit), "blobs " + string(statement.KindRelease)} {
		if !seen[class] {
			t.Errorf("the bundle has no %s", class)
		}
	}
}

func TestBothVerifiersNameEveryFileTakenOrAdded(t *testing.T) {
	alone(t)
	c := newConsortium(t)
	honest := build(t, c, lies{})
	for _, name := range sortedNames(honest) {
		files := copied(honest)
		delete(files, name)
		if strings.HasPrefix(name, cosignedFolder) {
			continue // nobody has to cosign; the first misses what the proofs rest on
		}
		both(t, c, files, name)
	}
	for _, name := range []string{"notes.txt", "blobs/" + statement.DigestOf([]byte("more")).String(), "tile/1/000", "proofs/more", "cosigned/more", "rosters/000009.json"} {
		files := copied(honest)
		files[name] = &fstest.MapFile{Data: []byte("more")}
		both(t, c, files, name)
	}
}

// resealed signs the log that was changed, with all that follows from it, as a
// coordinator would that hides a change.
func resealed(t *testing.T, c *consortium, files fstest.MapFS, leaves [][]byte) fstest.MapFS {
	t.Helper()
	for _, name := range sortedNames(files) {
		if strings.HasPrefix(name, "tile/") || strings.HasPrefix(name, "proofs/") {
			delete(files, name)
		}
	}
	cosigned := make(fstest.MapFS)
	for _, name := range sortedNames(files) {
		if strings.HasPrefix(name, cosignedFolder) {
			cosigned[name] = files[name]
		}
	}
	writeLog(t, c, files, leaves)
	addDerived(t, c, files, map[string]int{})
	for name, file := range cosigned {
		files[name] = file
	}
	return files
}

func TestBothVerifiersNameAForkedHistory(t *testing.T) {
	c := newConsortium(t)
	honest := build(t, c, lies{})

	t.Run("an entry is backdated and the log signed anew", func(t *testing.T) {
		files := copied(honest)
		leaves := leavesOf(files)
		e, err := ledger.ParseEntry(leaves[5])
		must(t, err)
		e.Time = e.Time.AddDate(0, 0, -1)
		leaves[5], err = e.Leaf()
		must(t, err)
		files = resealed(t, c, files, leaves)
		both(t, c, files, "cosigned/", "another history")
		expect(t, files, Trust{Governance: c.governance.Public()}, "witnesses", "another history")
	})
	t.Run("rolled back below what hospitals saw", func(t *testing.T) {
		files := copied(honest)
		leaves := leavesOf(files)
		release := slices.IndexFunc(leaves, func(l []byte) bool { return typeOf(t, l) == ledger.TypeReleaseDecision })
		for _, leaf := range leaves[release:] {
			e, err := ledger.ParseEntry(leaf)
			must(t, err)
			delete(files, blobFile(e.Subject))
		}
		files = resealed(t, c, files, leaves[:release])
		both(t, c, files, "cosigned/", "entries")
		expect(t, files, Trust{Governance: c.governance.Public()}, "witnesses", "entries")
	})
	t.Run("the cosignatures taken out", func(t *testing.T) {
		files := copied(honest)
		leaves := leavesOf(files)
		for _, name := range sortedNames(files) {
			if strings.HasPrefix(name, cosignedFolder) {
				delete(files, name)
			}
		}
		files = resealed(t, c, files, leaves)
		f, err := Verify(files, Trust{Governance: c.governance.Public()})
		must(t, err)
		if open, _ := f.First(NotChecked); open.Check != "witnesses" || !strings.Contains(open.Detail, "nothing is cosigned by Aare, Birs, Ergolz, Wiese") {
			t.Errorf("first not checked: %+v", open)
		}
		expect(t, files, Trust{Governance: c.governance.Public(), Witnesses: 1}, "witnesses", "0 of 4", "demand 1")
		s, err := independent.Verify(files, "")
		if err != nil || s.Cosigned != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	})
	t.Run("an older checkpoint", func(t *testing.T) {
		files := copied(honest)
		earlier := make(fstest.MapFS)
		writeLog(t, c, earlier, leavesOf(files)[:20])
		files[checkpointFile] = earlier[checkpointFile]
		both(t, c, files, "checkpoint", "20 entries")
	})
	t.Run("entries reordered", func(t *testing.T) {
		files := copied(honest)
		leaves := leavesOf(files)
		leaves[8], leaves[9] = leaves[9], leaves[8]
		setLeaves(files, leaves)
		both(t, c, files, "checkpoint")
	})
}

// A report, a proof, a cosignature or an attestation of another study's or
// history's bundle does not pass in this one, whoever signed it.
func TestBothVerifiersNameWhatIsSwappedIn(t *testing.T) {
	c := newConsortium(t)
	honest, other := build(t, c, lies{}), build(t, c, lies{order: func(leaves [][]byte) {
		e, _ := ledger.ParseEntry(leaves[3])
		e.Time = e.Time.AddDate(0, 0, 1)
		leaves[3], _ = e.Leaf()
	}})
	named := func(files fstest.MapFS, prefix string) string {
		for _, name := range sortedNames(files) {
			if strings.HasPrefix(name, prefix) {
				return name
			}
		}
		t.Fatalf("no %s", prefix)
		return ""
	}
	for _, prefix := range []string{"attestation.json", "checkpoint", "cosigned/", "proofs/audit", "proofs/release", "tile/0", "tile/entries"} {
		t.Run(prefix, func(t *testing.T) {
			files := copied(honest)
			files[named(honest, prefix)].Data = bytes.Clone(other[named(other, prefix)].Data)
			both(t, c, files, named(honest, prefix))
		})
	}
	t.Run("a proof for another entry", func(t *testing.T) {
		files := copied(honest)
		files[named(honest, "proofs/audit")].Data = bytes.Clone(honest[named(honest, "proofs/release")].Data)
		both(t, c, files, named(honest, "proofs/audit"))
	})
	t.Run("the report of another model", func(t *testing.T) {
		// Signed by the coordinator, entered into the log, and not what the release
		// names.
		both(t, c, build(t, c, lies{change: after(0, func(r *statement.Release) { r.Audit = r.Study })}), "another audit")
	})
}

// What is signed by everybody it needs and still does not fit: the second verifier
// names it as far as it goes.
func TestTheSecondVerifierNamesWhatDoesNotFit(t *testing.T) {
	alone(t)
	c := newConsortium(t)
	for name, test := range map[string]struct {
		lies  lies
		words string
	}{
		"plan signed by a site": {lies{signer: func(v any, name string) string {
			if _, ok := v.(*statement.Plan); ok {
				return "Aare"
			}
			return name
		}}, "not signed by"},
		"a site that never approved":      {lies{skip: the[statement.Approval](1)}, "Birs"},
		"a site taken out of the request": {lies{change: after(0, func(r *statement.OpeningRequest) { r.Contributors, r.Headers = r.Contributors[1:], r.Headers[1:] })}, "does not list the contributions"},
		"a contribution taken out":        {lies{skip: the[statement.ContributionHeader](1)}, "does not list the contributions"},
		"answer to another request":       {lies{change: after(0, func(s *statement.OpeningShare) { s.Request = s.Round })}, "answers no request"},
		"asked to open twice":             {lies{twice: the[statement.OpeningRequest](0)}, "second opening"},
		"openers left out":                {lies{change: after(0, func(e *statement.RoundEnd) { e.Openers = e.Openers[3:] })}, "its end does not fit"},
		"a round left out of the release": {lies{change: after(0, func(r *statement.Release) { r.Rounds = r.Rounds[:2] })}, "lists 2 rounds"},
		"another model under the digest":  {lies{change: after(0, func(r *statement.Release) { r.Model = r.Study })}, "another model"},
		"a site taken out of the release": {lies{change: after(0, func(r *statement.Release) { r.Rounds[0].Contributors = r.Rounds[0].Contributors[1:] })}, "not published"},
		"released twice":                  {lies{twice: the[statement.Release](0)}, "second release"},
		"decision about another release":  {lies{change: after(0, func(d *statement.ReleaseDecision) { d.Release = statement.DigestOf(nil) })}, "another release"},
		"a contribution after the request": {lies{order: func(leaves [][]byte) {
			i := slices.IndexFunc(leaves, func(l []byte) bool { return typeOf(t, l) == ledger.TypeOpeningRequest })
			leaves[i], leaves[i-1] = leaves[i-1], leaves[i]
		}}, "does not list the contributions"},
	} {
		t.Run(name, func(t *testing.T) { both(t, c, build(t, c, test.lies), test.words) })
	}
	// Everything that a hospital ever sent, taken out after the fact.
	both(t, c, pruned(t, build(t, c, lies{skip: func(v any) bool {
		named, ok := v.(statement.Named)
		return ok && named.Signer() == "Birs"
	}})), "Birs", "had not approved")
	if _, err := independent.Verify(build(t, c, lies{}), strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "governance.pub") {
		t.Errorf("another governance key: %v", err)
	}
}

// A majority of hospitals, and no less, shows that they see the auditor's history.
func TestHowManyHospitalsSawTheHistory(t *testing.T) {
	c := newConsortium(t)
	all := len(leavesOf(build(t, c, lies{})))
	for name, test := range map[string]struct {
		saw    map[string]int
		demand int
		state  State
		words  string
	}{
		"all":                          {nil, 0, OK, "4 of 4"},
		"most":                         {map[string]int{"Aare": all, "Birs": all, "Wiese": all}, 0, OK, "nothing is cosigned by Ergolz"},
		"most, at different times":     {map[string]int{"Aare": all, "Birs": all - 1, "Wiese": all - 2}, 0, OK, "3 of 4"},
		"half":                         {map[string]int{"Aare": all, "Birs": all}, 0, NotChecked, "fewer than 3"},
		"most, before the release":     {map[string]int{"Aare": 20, "Birs": 21, "Wiese": 20}, 0, NotChecked, "0 of 4"},
		"half, and no more demanded":   {map[string]int{"Aare": all, "Birs": all}, 2, OK, "2 of 4"},
		"most, and all of them wanted": {map[string]int{"Aare": all, "Birs": all, "Wiese": all}, 4, Failed, "demand 4"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Verify(build(t, c, lies{witnesses: test.saw}), Trust{Governance: c.governance.Public(), Witnesses: test.demand})
			must(t, err)
			i := slices.IndexFunc(f.Checks, func(f Finding) bool { return f.Check == "witnesses" })
			if got := f.Checks[i]; got.State != test.state || !strings.Contains(got.Detail, test.words) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestReplayGivesTheReleasedModel(t *testing.T) {
	c := newConsortium(t)
	trust := Trust{Governance: c.governance.Public()}
	r, _, err := Replay(build(t, c, lies{}), trust)
	must(t, err)
	if !r.Released || !r.Equal || r.Difference != "" || len(r.Model) == 0 || len(r.Audit) == 0 || len(r.Result) == 0 {
		t.Errorf("%+v", r)
	}
	r, _, err = Replay(build(t, c, lies{change: after(0, func(r *statement.Release) {
		r.Body = bytes.Replace(r.Body, []byte(`"n":240`), []byte(`"n":241`), 1)
		r.Model = statement.DigestOf(r.Body)
	})}), trust)
	must(t, err)
	if !r.Released || r.Equal || !strings.Contains(r.Difference, "first at") {
		t.Errorf("another model was released: %+v", r)
	}
	r, f, err := Replay(build(t, c, lies{skip: the[statement.Approval](1)}), trust)
	must(t, err)
	if failed, _ := f.First(Failed); r != nil || failed.Check != "approvals" {
		t.Errorf("rederived from a bundle that does not hold: %+v", failed)
	}
}
