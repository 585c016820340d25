package federation

import (
	"maps"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/coordinator/audit/independent"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
)

// tampering is what is tried: a sample, by a seed that is printed; another one, or
// all, as the environment says.
func tampering(t *testing.T) (random *rand.Rand, everything bool) {
	t.Helper()
	asked := os.Getenv("CONSILIUM_TAMPERING")
	seed, err := strconv.ParseUint(asked, 10, 64)
	if err != nil {
		seed = 20
	}
	t.Logf("CONSILIUM_TAMPERING=%d; or all", seed)
	return rand.New(rand.NewPCG(seed, 1)), asked == "all"
}

// refusals are what the two verifiers say of a bundle; empty where it holds.
func (c *chronicle) refusals(t *testing.T, bundle fstest.MapFS) (first, second string) {
	t.Helper()
	f, err := audit.Verify(bundle, audit.Trust{Governance: c.governance})
	ok(t, err)
	if bad, failed := f.First(audit.Failed); failed {
		first = bad.Check + ": " + bad.Detail
	}
	if _, err := independent.Verify(bundle, identity.GovernanceFingerprint(c.governance)); err != nil {
		second = err.Error()
	}
	return first, second
}

// Why some forged logs hold, for want of a witness. Each is refused as soon as one
// hospital cosigned the true one, which TestNoForgedLogHoldsBesideAWitness shows.
const (
	leavesNoTrace = "what only says something, and which nothing else names, can be left out of a log that nobody else has seen"
	bothOrders    = "both orders are ones in which this can have happened"
)

// unwitnessed are the forged logs that hold for both verifiers.
var unwitnessed = map[string]string{
	"approval: dropped": leavesNoTrace, "approval: of another study": leavesNoTrace,
	"decline: dropped": leavesNoTrace, "decline: of another study": leavesNoTrace,
	"contribution: dropped": leavesNoTrace, "contribution: of another study": leavesNoTrace,
	"opening-share: dropped": leavesNoTrace, "opening-share: of another study": leavesNoTrace,
	"result: dropped": leavesNoTrace, "result: of another study": leavesNoTrace,
	"monitor-report: dropped":   leavesNoTrace,
	"release-decision: dropped": leavesNoTrace, "release-decision: of another study": leavesNoTrace,
	"card: dropped": leavesNoTrace, "card: of another study": leavesNoTrace,
	"study-end: dropped": leavesNoTrace, "study-end: of another study": leavesNoTrace,

	"approval: one earlier": bothOrders, "approval: one later": bothOrders, "start: one earlier": bothOrders, "start: one later": bothOrders,
	"contribution: one earlier": bothOrders, "contribution: one later": bothOrders, "decline: one earlier": bothOrders, "decline: one later": bothOrders,
	"opening-share: one earlier": bothOrders, "opening-share: one later": bothOrders, "opening-fault: one earlier": bothOrders, "opening-fault: one later": bothOrders,
	"monitor-report: one earlier": bothOrders, "monitor-report: one later": bothOrders, "plan: one earlier": bothOrders, "plan: one later": bothOrders, "round-end: one later": bothOrders,
	"study-end: one later":          bothOrders, // than an approval that was taken back
	"release-decision: one earlier": bothOrders, "release-decision: one later": bothOrders, "card: one earlier": bothOrders,
}

// uncomputed hold for the second verifier alone.
var uncomputed = map[string]string{
	"result: saying what was said of another study": "a result without audit and model is a computation's, which it does not make",
	"monitor-report: saying what another said":      "so is a report of windows",
}

// Rule: whatever a coordinator without a witness does to an entry of any type in the
// log of a real study, and signs anew, both verifiers refuse it and name what does
// not hold; what holds all the same is listed, with the reason.
func TestNoForgedLogHolds(t *testing.T) {
	long(t)
	c := tell(t)
	random, everything := tampering(t)
	forgers := c.forgers(random)
	used := make(map[string]bool)
	var tries []forged
	for _, e := range c.studies {
		first, second := c.refusals(t, c.forge(t, e, e.entries(t), nil))
		if first+second != "" {
			t.Fatalf("%s: a forger that changes nothing: %s; %s", e.name, first, second)
		}
		tries = append(tries, forgeries(t, e, forgers, random)...)
	}
	if !everything {
		tries = sampled(tries, random)
	}
	for _, f := range tries {
		entries, more := forgers[f.forger](f.evidence, f.evidence.entries(t), f.at)
		what := f.kind + ": " + f.forger
		used[what] = true
		first, second := c.refusals(t, c.forge(t, f.evidence, entries, more))
		_, none := unwitnessed[what]
		_, one := uncomputed[what]
		// An entry's time is the coordinator's clock: nobody else signs it, and nothing
		// follows from it.
		none = none || f.forger == "at another time"
		if first == "" && !none || second == "" && !none && !one {
			t.Errorf("%s: %s, entry %d: the first verifier says %q, the second %q", f.evidence.name, what, f.at, first, second)
		}
		for _, said := range []string{first, second} {
			if said != "" && !theThing.MatchString(said) {
				t.Errorf("%s: %s: %q names nothing", f.evidence.name, what, said)
			}
		}
	}
	t.Logf("%d forged logs of %d studies", len(tries), len(c.studies))
	if everything {
		for _, list := range []map[string]string{unwitnessed, uncomputed} {
			for what, why := range list {
				if !used[what] {
					t.Errorf("%s (%s) is listed and was not tried", what, why)
				}
			}
		}
	}
}

// theThing finds the thing that a refusal is about.
var theThing = regexp.MustCompile(`entry \d+|round [0-9a-f]{12}|blobs/|rosters/|tile/|proofs/|earlier/|cosigned/|attestation\.json|study\.yaml|entries\.jsonl|checkpoint|study [0-9a-f]{12}|rounds run|this study's is not in it|ledger holds no roster|release lists|release names|release says|audit`)

// forged is one entry of a study and what a forger does to it.
type forged struct {
	evidence     evidence
	kind, forger string
	at           int
}

// forgeries are one of each type of entry and forger, of one study.
func forgeries(t *testing.T, e evidence, forgers map[string]forger, random *rand.Rand) (all []forged) {
	t.Helper()
	at, entries := make(map[string][]int), e.entries(t)
	for i, entry := range entries {
		if entry.Study == e.study.String() || entry.Type == ledger.TypeRoster {
			at[entry.Type] = append(at[entry.Type], i)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(at)) {
		for _, name := range slices.Sorted(maps.Keys(forgers)) {
			for _, k := range random.Perm(len(at[kind])) {
				if entries, _ := forgers[name](e, entries, at[kind][k]); entries != nil {
					all = append(all, forged{e, kind, name, at[kind][k]})
					break
				}
			}
		}
	}
	return all
}

// sampled takes every third type of entry with every forger, once, of any study.
func sampled(all []forged, random *rand.Rand) (some []forged) {
	random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	seen := make(map[string]bool)
	for _, f := range all {
		if what := f.kind + f.forger; !seen[what] {
			seen[what] = true
			if len(seen)%3 == 0 {
				some = append(some, f)
			}
		}
	}
	return some
}

// Rule: of what hospitals have cosigned nothing can be changed, moved, left out or put
// in, whoever signs it anew: both verifiers name the cosigned checkpoint.
func TestNoForgedLogHoldsBesideAWitness(t *testing.T) {
	long(t)
	c := tell(t)
	random, everything := tampering(t)
	forgers := c.forgers(random)
	delete(forgers, "again at the end") // which extends the history, as the next entry does
	var tries []forged
	for _, e := range c.studies {
		tries = append(tries, forgeries(t, e, forgers, random)...)
	}
	if !everything {
		tries = sampled(tries, random)
		tries = tries[:min(len(tries), 30)]
	}
	witnessed := 0
	for _, f := range tries {
		entries, more := forgers[f.forger](f.evidence, f.evidence.entries(t), f.at)
		bundle := c.forge(t, f.evidence, entries, more)
		for path, file := range f.evidence.bundle {
			if strings.HasPrefix(path, "cosigned/") {
				bundle[path] = file
			}
		}
		first, second := c.refusals(t, bundle)
		if first == "" || second == "" {
			t.Errorf("%s: %s: %s, entry %d: %q, %q", f.evidence.name, f.kind, f.forger, f.at, first, second)
		}
		for _, said := range []string{first, second} {
			if strings.Contains(said, "cosigned/") {
				witnessed++
			}
		}
	}
	if witnessed < len(tries) {
		t.Errorf("of %d forged logs the cosigned checkpoint shows %d to the verifiers", len(tries), witnessed)
	}
}

// Rule: the chronicle has every type of entry that a ledger knows.
func TestTheChronicleHasEveryTypeOfEntry(t *testing.T) {
	long(t)
	c := tell(t)
	seen := make(map[string]bool)
	for _, e := range c.studies {
		for _, kind := range e.types(e.entries(t)) {
			seen[kind] = true
		}
	}
	source, err := os.ReadFile("../../crypto/ledger/entry.go")
	ok(t, err)
	known := regexp.MustCompile(`(?m)^\tType\w+ += "([a-z-]+)"`).FindAllSubmatch(source, -1)
	if len(known) < 19 {
		t.Fatalf("%d types of entries are found in their package", len(known))
	}
	for _, kind := range known {
		if !seen[string(kind[1])] {
			t.Errorf("no study has an entry of type %s", kind[1])
		}
	}
}
