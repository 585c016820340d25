package federation

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// one of the chronicle's studies; nil where the short suite leaves it out.
func (c *chronicle) one(name string) *evidence {
	for i := range c.studies {
		if c.studies[i].name == name {
			return &c.studies[i]
		}
	}
	return nil
}

// payload is what a study's first entry of a type names.
func (e *evidence) payload(t *testing.T, kind string) []byte {
	t.Helper()
	for _, entry := range e.entries(t) {
		if entry.Study == e.study.String() && entry.Type == kind {
			data := e.bundle["blobs/"+entry.Subject.String()].Data
			if _, payload, err := statement.Payload(data); err == nil {
				return payload
			}
			return data
		}
	}
	t.Fatalf("%s has no %s", e.name, kind)
	return nil
}

// Rule: the evidence has what the suites are for: they would pass as well over a
// consortium in which nothing ever happened.
func TestTheChronicleHasWhatItIsFor(t *testing.T) {
	c := tell(t)
	for name, words := range map[string][]string{
		"blocked":   {`"suppressed"`, `"outcome":"blocked"`, `"strength":0.5`, `"validation":{`},
		"watch":     {`"alerts":[{`, `"why":"too few hospitals answered"`},
		"amended":   {`"earlier":{`, `"withheld":[{`},
		"noisy":     {`"noise":{"epsilon":8`},
		"trees":     {`"kind":"boost"`},
		"neural":    {`"kind":"neural"`},
		"survival":  {`"kind":"cox"`},
		"described": {`"cohort"`},
	} {
		e := c.one(name)
		if e == nil {
			continue
		}
		result := string(e.payload(t, ledger.TypeResult))
		for _, w := range words {
			if !strings.Contains(result, w) {
				t.Errorf("%s: the result has no %s", name, w)
			}
		}
	}
	for name, kinds := range map[string][]string{
		"blocked": {ledger.TypeReleaseOverride, ledger.TypeReleaseDecision, ledger.TypeCard}, "watch": {ledger.TypeMonitorReport, ledger.TypeDecline}, "faulty": {ledger.TypeOpeningFault, ledger.TypeStudyEnd},
		"noisy": {ledger.TypeDecline}, "trees": {ledger.TypeDecline}, "too few": {ledger.TypeDecline, ledger.TypeStudyEnd}, "diagnosed": {ledger.TypeStudyEnd}, "spoilt": {ledger.TypeOpeningShare, ledger.TypeStudyEnd},
	} {
		if e := c.one(name); e != nil {
			for _, kind := range kinds {
				e.payload(t, kind)
			}
		}
	}
}

// Rule: a hospital cannot be taken out after the fact: without its contributions, its
// shares, or all that it ever said, the rest says that it was there.
func TestAHospitalCannotBeTakenOutAfterTheFact(t *testing.T) {
	c := tell(t)
	random, _ := tampering(t)
	for _, e := range c.studies {
		if len(e.rounds(t)) == 0 {
			continue
		}
		site := hospitalNames[random.IntN(len(hospitalNames))]
		for what, types := range map[string][]string{
			"contributions":  {ledger.TypeContribution},
			"opening shares": {ledger.TypeOpeningShare},
			"every word":     {ledger.TypeApproval, ledger.TypeContribution, ledger.TypeDecline, ledger.TypeOpeningShare, ledger.TypeOpeningFault, ledger.TypeReleaseDecision},
		} {
			all := e.entries(t)
			rest := slices.DeleteFunc(slices.Clone(all), func(entry ledger.Entry) bool {
				return entry.Study == e.study.String() && entry.Actor == site && slices.Contains(types, entry.Type)
			})
			if len(rest) == len(all) {
				continue
			}
			if first, second := c.refusals(t, c.forge(t, e, rest, nil)); first == "" || second == "" {
				t.Errorf("%s without %s of %s: %q, %q", e.name, what, site, first, second)
			}
		}
	}
}

// rounds are the plans of a study.
func (e evidence) rounds(t *testing.T) (plans []ledger.Entry) {
	t.Helper()
	for _, entry := range e.entries(t) {
		if entry.Study == e.study.String() && entry.Type == ledger.TypePlan {
			plans = append(plans, entry)
		}
	}
	return plans
}

// Rule: a coordinator that puts another study's report, model or both into a release,
// signs it anew and says the same in the result is found out: by the second verifier
// wherever something that is not the coordinator's rests on it, and by the first,
// which computes, always.
func TestReportAndModelOfAnotherStudyAreNamed(t *testing.T) {
	c := tell(t)
	tried := 0
	for _, e := range c.studies {
		var at []int // result, audit, release
		for i, entry := range e.entries(t) {
			if entry.Study == e.study.String() && slices.Contains([]string{ledger.TypeResult, ledger.TypeAudit, ledger.TypeRelease}, entry.Type) {
				at = append(at, i)
			}
		}
		if len(at) != 3 {
			continue
		}
		for _, other := range c.studies {
			if other.study == e.study || other.ends != "completed" || slices.Contains([]string{"watch", "described"}, other.name) {
				continue
			}
			tried++
			first, second := c.refusals(t, c.swapped(t, e, other, at))
			if first == "" {
				t.Errorf("%s is released with report and model of %s", e.name, other.name)
			}
			if decided := e.name == "blocked"; decided && second == "" {
				t.Errorf("%s, about whose release hospitals have decided, is released with report and model of %s: the second verifier holds it", e.name, other.name)
			}
			break
		}
	}
	if tried < 2 {
		t.Errorf("%d releases tried", tried)
	}
}

// swapped is a study's evidence with the other's audit and model.
func (c *chronicle) swapped(t *testing.T, e, other evidence, at []int) fstest.MapFS {
	t.Helper()
	entries, more := e.entries(t), make(map[string][]byte)
	enter := func(i int, data []byte) {
		entries[i].Subject = statement.DigestOf(data)
		more["blobs/"+entries[i].Subject.String()] = data
	}
	report := other.payload(t, ledger.TypeAudit)
	var theirs, release statement.Release
	ok(t, statement.Decode(other.payload(t, ledger.TypeRelease), &theirs))
	ok(t, statement.Decode(e.payload(t, ledger.TypeRelease), &release))
	release.Audit, release.Model, release.Body, release.Gate = statement.DigestOf(report), theirs.Model, theirs.Body, theirs.Gate
	var result map[string]json.RawMessage
	ok(t, json.Unmarshal(e.payload(t, ledger.TypeResult), &result))
	result["audit"], result["model"] = report, theirs.Body
	text, err := json.Marshal(result)
	ok(t, err)
	enter(at[0], text)
	for i, signed := range []any{json.RawMessage(report), release} {
		envelope, err := statement.Sign([]statement.Kind{statement.KindAudit, statement.KindRelease}[i], signed, c.name, c.key)
		ok(t, err)
		enter(at[i+1], envelope)
	}
	return c.forge(t, e, entries, more)
}

// Rule: with the ciphertexts at hand each of them matters, and each sum is what they
// open to.
func TestEveryCiphertextMatters(t *testing.T) {
	c := tell(t)
	random, _ := tampering(t)
	e := c.one("noisy")
	bundle := e.ciphertexts
	if first, second := c.refusals(t, bundle); first+second != "" {
		t.Fatalf("%s; %s", first, second)
	}
	chunks := e.opened(t) // of a round that was given up they may be gone
	if len(chunks) < 10 {
		t.Fatalf("%d ciphertexts", len(chunks))
	}
	for range 4 {
		path, other := chunks[random.IntN(len(chunks))], chunks[random.IntN(len(chunks))]
		for how, left := range map[string][]byte{
			"flipped": flipped(bundle[path].Data, random.IntN(len(bundle[path].Data))),
			"cut":     bundle[path].Data[:len(bundle[path].Data)-1], "gone": nil, "another": bundle[other].Data,
		} {
			if path == other {
				continue
			}
			damaged := maps.Clone(bundle)
			damaged[path] = &fstest.MapFile{Data: left}
			if left == nil {
				delete(damaged, path)
			}
			if first, second := c.refusals(t, damaged); !strings.Contains(first, path) || !strings.Contains(second, path) {
				t.Errorf("%s %s: %q, %q", path, how, first, second)
			}
		}
	}
}

// opened are the ciphertexts of the rounds whose sums were published.
func (e *evidence) opened(t *testing.T) (chunks []string) {
	t.Helper()
	published := make(map[statement.Digest]bool)
	read := func(kind string, take func(payload []byte)) {
		for _, entry := range e.entries(t) {
			if entry.Study == e.study.String() && entry.Type == kind {
				_, payload, err := statement.Payload(e.bundle["blobs/"+entry.Subject.String()].Data)
				ok(t, err)
				take(payload)
			}
		}
	}
	read(ledger.TypeRoundEnd, func(payload []byte) {
		var end statement.RoundEnd
		ok(t, statement.Decode(payload, &end))
		published[end.Round] = end.Sum != nil
	})
	read(ledger.TypeContribution, func(payload []byte) {
		var header statement.ContributionHeader
		ok(t, statement.Decode(payload, &header))
		for _, chunk := range header.Chunks {
			if published[header.Round] {
				chunks = append(chunks, "blobs/"+chunk.String())
			}
		}
	})
	return chunks
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

// whole fetches a study's evidence with its ciphertexts.
func whole(t *testing.T, c *consortium) fstest.MapFS {
	t.Helper()
	bundle := fstest.MapFS{}
	ok(t, fetch(t.Context(), consiliumv1.NewLedgerServiceClient(c.auditor.conn), c.digest(), true, func(path string, data []byte) error {
		bundle[path] = &fstest.MapFile{Data: bytes.Clone(data), Mode: 0o644}
		return nil
	}))
	return bundle
}
