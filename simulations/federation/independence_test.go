package federation

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Nothing in the coordinator's store depends on one site's records except
// through opened sums. Two runs of one study are compared in which two
// hospitals have exchanged all their patients, so that every sum is the same
// and no contribution of theirs is.
//
// Compared are, each as a sorted list, because messages arrive in any order:
//
//   - every fact and every ledger leaf
//   - every blob that is not encrypted: statements (kind, signer, payload),
//     protocol, parameters, sums, result, audit, release
//   - for blobs that are encrypted (ciphertext chunks, sealed key shares, key
//     sums) only their number and their sizes
//
// after replacing what follows from randomness, from the time, or from both:
// digests, nonces, keys and certificates, signatures, times, and the port. Every
// committee member has to answer, so that no answer is late in one run only.
func TestStoreDependsOnRecordsOnlyThroughSums(t *testing.T) {
	long(t)
	source := protocol(t, "warfarin-dose.yaml", "threshold: supermajority", "threshold: unanimous")
	sites := hospitals(t, 4, 800)
	exchanged := slices.Clone(sites)
	exchanged[0].Records, exchanged[2].Records = sites[2].Records, sites[0].Records

	var stores [2]contents
	for i, sites := range [][]Site{sites, exchanged} {
		dir := filepath.Join(t.TempDir(), "consortium")
		result := run(t, Spec{Protocol: source, Sites: sites, Dir: dir})
		if result.Release == nil || len(result.Release.Accepted) != 4 {
			t.Fatalf("release %+v: all four have to accept, for a refusal tells of a hospital's patients by design", result.Release)
		}
		stores[i] = readStore(t, filepath.Join(dir, "coordinator"))
	}
	if n := len(stores[0].encrypted); n < 3*4*3 { // rounds, sites, kinds
		t.Fatalf("only %d encrypted blobs were found", n)
	}
	if len(stores[0].facts) < 50 || len(stores[0].leaves) < 30 || len(stores[0].plain) < 50 {
		t.Fatalf("only %d facts, %d leaves, %d blobs were compared", len(stores[0].facts), len(stores[0].leaves), len(stores[0].plain))
	}
	for _, part := range []struct {
		name string
		a, b []string
	}{
		{"facts", stores[0].facts, stores[1].facts},
		{"leaves", stores[0].leaves, stores[1].leaves},
		{"plain blobs", stores[0].plain, stores[1].plain},
		{"sizes of encrypted blobs", stores[0].encrypted, stores[1].encrypted},
	} {
		if diff := cmp.Diff(part.a, part.b); diff != "" {
			t.Errorf("%s differ:\n%s", part.name, diff)
		}
	}
	t.Run("other sums are seen", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "consortium")
		run(t, Spec{Protocol: source, Sites: hospitals(t, 4, 801), Dir: dir})
		if slices.Equal(readStore(t, filepath.Join(dir, "coordinator")).plain, stores[0].plain) {
			t.Error("a run over other patients left the same plain blobs: the comparison sees nothing")
		}
	})
	t.Logf("%d facts, %d leaves, %d plain and %d encrypted blobs", len(stores[0].facts), len(stores[0].leaves), len(stores[0].plain), len(stores[0].encrypted))
}

// contents are a coordinator's store, in comparable form.
type contents struct{ facts, leaves, plain, encrypted []string }

func readStore(t *testing.T, dir string) (c contents) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "facts.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	secret := make(map[statement.Digest]bool) // names of encrypted blobs
	for fact, err := range db.Facts(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		c.facts = append(c.facts, normalise(fact.Stream+" "+string(fact.Body)))
		var given struct {
			Kind string `json:"kind"`
			Body struct {
				Share statement.Digest
			} `json:"body"`
		}
		if json.Unmarshal(fact.Body, &given) == nil && given.Kind == "share-given" {
			secret[given.Body.Share] = true
		}
	}
	_, size, err := db.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	leaves, err := db.Leaves(t.Context(), 0, size)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaf := range leaves {
		c.leaves = append(c.leaves, normalise(string(leaf)))
	}

	stored := readBlobs(t, filepath.Join(dir, "blobs"))
	for _, blob := range stored {
		if kind, payload, err := statement.Payload(blob); err == nil && kind == statement.KindContributionHeader {
			var header statement.ContributionHeader
			if err := statement.Decode(payload, &header); err != nil {
				t.Fatal(err)
			}
			for _, name := range append(header.Chunks, header.Shares...) {
				secret[name] = true
			}
		}
	}
	for name, blob := range stored {
		switch kind, payload, err := statement.Payload(blob); {
		case secret[name]:
			c.encrypted = append(c.encrypted, fmt.Sprintf("%8d bytes", len(blob)))
			delete(secret, name)
		case err == nil:
			var envelope struct {
				Signatures []struct{ Keyid string }
			}
			if err := json.Unmarshal(blob, &envelope); err != nil {
				t.Fatal(err)
			}
			c.plain = append(c.plain, fmt.Sprint(kind, envelope.Signatures, normalise(string(payload))))
		default:
			c.plain = append(c.plain, normalise(string(blob)))
		}
	}
	if len(secret) > 0 {
		t.Errorf("%d encrypted blobs are named and not stored", len(secret))
	}
	for _, part := range [][]string{c.facts, c.leaves, c.plain, c.encrypted} {
		slices.Sort(part)
	}
	return c
}

func readBlobs(t *testing.T, dir string) map[statement.Digest][]byte {
	t.Helper()
	files, err := blobs.OpenFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	all, err := files.All()
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[statement.Digest][]byte)
	for store, names := range all {
		for _, name := range names {
			if stored[name], err = store.Get(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	return stored
}

var (
	hexRun    = regexp.MustCompile(`\b[0-9a-f]{32}(?:[0-9a-f]{32})?\b`)
	base64Run = regexp.MustCompile(`"[A-Za-z0-9+/]{40,}={0,2}"`)
	timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z`)
	loopback  = regexp.MustCompile(`127\.0\.0\.1:\d+`)
)

// normalise replaces what follows from randomness or time. Base64 that holds
// JSON, such as the model in a release, is opened and kept.
func normalise(text string) string {
	// An opened sum begins with the round it is of.
	if header := "consilium sum 1\n"; strings.HasPrefix(text, header) {
		return header + text[len(header)+len(statement.Digest{}):]
	}
	text = hexRun.ReplaceAllString(text, "HEX")
	text = base64Run.ReplaceAllStringFunc(text, func(quoted string) string {
		decoded, err := base64.StdEncoding.DecodeString(strings.Trim(quoted, `"`))
		if err == nil && json.Valid(decoded) {
			return string(decoded)
		}
		return "BASE64"
	})
	text = hexRun.ReplaceAllString(text, "HEX")
	text = timestamp.ReplaceAllString(text, "TIME")
	return loopback.ReplaceAllString(text, "ADDRESS")
}
