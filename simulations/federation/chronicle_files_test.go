package federation

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// damages are what can happen to a file of a bundle that nobody signs anew: what it
// holds afterwards, and nil where it is gone. other is a file of the same kind of
// another study, or of another place of the same study; nil for none.
var damages = map[string]func(data, other []byte, random *rand.Rand) (left []byte, done bool){
	"a bit flipped": func(data, _ []byte, random *rand.Rand) ([]byte, bool) {
		left := bytes.Clone(data)
		left[random.IntN(len(left))] ^= 1 << random.IntN(8)
		return left, true
	},
	"cut by a byte": func(data, _ []byte, _ *rand.Rand) ([]byte, bool) { return data[:len(data)-1], true },
	"cut in half":   func(data, _ []byte, _ *rand.Rand) ([]byte, bool) { return data[:len(data)/2], true },
	"empty":         func(_, _ []byte, _ *rand.Rand) ([]byte, bool) { return []byte{}, true },
	"a byte more":   func(data, _ []byte, _ *rand.Rand) ([]byte, bool) { return append(bytes.Clone(data), '\n'), true },
	"twice over":    func(data, _ []byte, _ *rand.Rand) ([]byte, bool) { return bytes.Repeat(data, 2), true },
	"gone":          func(_, _ []byte, _ *rand.Rand) ([]byte, bool) { return nil, true },
	"another's": func(data, other []byte, _ *rand.Rand) ([]byte, bool) {
		return other, other != nil && !bytes.Equal(data, other)
	},
}

// filesByKind are a bundle's files by kind.
func filesByKind(bundle fstest.MapFS) map[string][]string {
	types := make(map[string]string) // by subject
	for leaf := range bytes.Lines(bundle["entries.jsonl"].Data) {
		if e, err := ledger.ParseEntry(bytes.TrimSuffix(leaf, []byte("\n"))); err == nil {
			types["blobs/"+e.Subject.String()] = e.Type
		}
	}
	out := make(map[string][]string)
	for _, path := range slices.Sorted(maps.Keys(bundle)) {
		kind := kindOf(path, bundle[path].Data, types[path])
		out[kind] = append(out[kind], path)
	}
	return out
}

// kindOf a file: what a bundle has many of, it has one kind of. as is the type of the
// entry that names it.
func kindOf(path string, data []byte, as string) string {
	folder, rest, nested := strings.Cut(path, "/")
	kind, _, err := statement.Payload(data)
	switch {
	case !nested:
		return path
	case strings.HasSuffix(path, ".end.json"):
		return "earlier end"
	case err == nil && kind != "":
		return string(kind)
	case strings.HasPrefix(rest, "entries/"):
		return "tile of entries"
	case folder == "tile":
		return "tile of hashes"
	case folder == "earlier" && strings.HasSuffix(path, ".json"):
		return "earlier result"
	case folder == "earlier":
		return "earlier study"
	case folder != "blobs":
		return folder
	case as != "":
		return "entry " + as
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

// wholeKinds are the kinds of files that the chronicle's evidence has. It is a closed list:
// evidence with a new kind of file fails the test until something is known of it.
func wholeKinds() (want []string) {
	want = []string{
		"attestation.json", "checkpoint", "cosigned", "entries.jsonl", "governance.pub", "proofs", "study.yaml", "tile of hashes", "tile of entries",
		"earlier end", "earlier result", "earlier study", "card as Markdown", "card as PDF", "card as XML", "blob of numbers", "blob of parameters",
		"entry " + ledger.TypeResult, "entry " + ledger.TypeMonitorReport,
	}
	for _, kind := range []statement.Kind{
		statement.KindRoster, statement.KindProposal, statement.KindApproval, statement.KindStart, statement.KindPlan, statement.KindContributionHeader, statement.KindDecline,
		statement.KindOpeningRequest, statement.KindOpeningShare, statement.KindOpeningFault, statement.KindRoundEnd, statement.KindStudyEnd, statement.KindAudit, statement.KindRelease,
		statement.KindReleaseOverride, statement.KindReleaseDecision, statement.KindCard,
	} {
		want = append(want, string(kind))
	}
	slices.Sort(want)
	return want
}

// Rule: in the evidence of every study a flipped bit in a file of any kind is found,
// and every kind of file can be damaged in no way that is not; both verifiers name
// the file.
func TestADamagedFileOfAnyKindIsNamed(t *testing.T) {
	long(t)
	c := tell(t)
	random, everything := tampering(t)
	all := make(map[string][]evidence) // by kind
	const rarely = 4
	tries := 0
	for _, e := range c.studies {
		here := filesByKind(e.bundle)
		for _, kind := range slices.Sorted(maps.Keys(here)) {
			all[kind] = append(all[kind], e)
			if random.IntN(rarely) > 0 && !everything {
				continue
			}
			tries++
			path := here[kind][random.IntN(len(here[kind]))]
			c.damage(t, e, kind, path, "a bit flipped", nil, random)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		for i, how := range shuffled(slices.Sorted(maps.Keys(damages)), random) {
			if !everything && i%(rarely/2) > 0 {
				continue
			}
			for _, k := range random.Perm(len(all[kind])) {
				e := all[kind][k]
				here := filesByKind(e.bundle)[kind]
				path := here[random.IntN(len(here))]
				c.damage(t, e, kind, path, how, c.likeIt(e, kind, path, random), random)
				if tries++; !everything {
					break
				}
			}
		}
	}
	t.Logf("%d damaged bundles", tries)
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, wholeKinds()) {
		t.Errorf("kinds of files:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wholeKinds(), "\n"))
	}
}

func shuffled(names []string, random *rand.Rand) []string {
	random.Shuffle(len(names), func(i, k int) { names[i], names[k] = names[k], names[i] })
	return names
}

// likeIt is the content of another file of the kind: of this study as it was before,
// of another study, or of another place in this one.
func (c *chronicle) likeIt(e evidence, kind, path string, random *rand.Rand) []byte {
	if e.before[path] != nil && !bytes.Equal(e.before[path].Data, e.bundle[path].Data) {
		return e.before[path].Data
	}
	for _, k := range random.Perm(len(c.studies)) {
		other := c.studies[k]
		for _, like := range filesByKind(other.bundle)[kind] {
			if data := other.bundle[like].Data; !bytes.Equal(data, e.bundle[path].Data) {
				return data
			}
		}
	}
	return nil
}

// damage damages one file and expects both verifiers to name it.
func (c *chronicle) damage(t *testing.T, e evidence, kind, path, how string, other []byte, random *rand.Rand) {
	t.Helper()
	left, done := damages[how](e.bundle[path].Data, other, random)
	if !done {
		return
	}
	bundle := maps.Clone(e.bundle)
	bundle[path] = &fstest.MapFile{Data: left}
	if left == nil {
		delete(bundle, path)
	}
	first, second := c.refusals(t, bundle)
	for i, said := range []string{first, second} {
		switch {
		case kind == "cosigned" && how == "gone":
			// Nobody has to cosign: both say how many did. The first misses what proofs
			// rest on, if there are any.
		case said == "":
			t.Errorf("%s: %s, %s: verifier %d holds the evidence", e.name, path, how, i+1)
		case kind == "entries.jsonl", kind == "study.yaml" && how == "another's":
			// Named is what a damaged log no longer leads to, and what the evidence of
			// the other study lacks.
		case !strings.Contains(said, path):
			t.Errorf("%s: %s, %s: verifier %d says %q", e.name, path, how, i+1, said)
		}
	}
}

// Rule: a file of a bundle as it was once before, rolled back, is not one of today's.
func TestAnEarlierBundleDoesNotMixWithALaterOne(t *testing.T) {
	long(t)
	c := tell(t)
	mixed := 0
	for _, e := range c.studies {
		for path, file := range e.before {
			if now := e.bundle[path]; now == nil || bytes.Equal(now.Data, file.Data) {
				continue
			}
			bundle := maps.Clone(e.bundle)
			bundle[path] = file
			first, second := c.refusals(t, bundle)
			// A proof under an earlier checkpoint proves the same, so that the second
			// verifier, which takes each by itself, holds it.
			if first == "" || second == "" && !strings.HasPrefix(path, "proofs/") {
				t.Errorf("%s: %s is of an earlier bundle: %q, %q", e.name, path, first, second)
			}
			mixed++
		}
	}
	if mixed < 3 {
		t.Errorf("only %d files differ between the two", mixed)
	}
}

// Rule: what belongs to one study does not pass for another's, though coordinator,
// hospitals and ledger are the same: protocol, attestation, and the whole of its
// statements under the other's name.
func TestEvidenceOfTwoStudiesDoesNotMix(t *testing.T) {
	long(t)
	c := tell(t)
	for i, e := range c.studies {
		other := c.studies[(i+1)%len(c.studies)]
		for _, paths := range [][]string{{"study.yaml"}, {"attestation.json"}, {"entries.jsonl"}, {"checkpoint"}, {"study.yaml", "attestation.json"}, {"entries.jsonl", "checkpoint"}} {
			bundle := maps.Clone(e.bundle)
			same := true
			for _, path := range paths {
				same = same && bytes.Equal(bundle[path].Data, other.bundle[path].Data)
				bundle[path] = other.bundle[path]
			}
			if first, second := c.refusals(t, bundle); !same && (first == "" || second == "") {
				t.Errorf("%s with %s of %s: %q, %q", e.name, strings.Join(paths, " and "), other.name, first, second)
			}
		}
	}
}
