package federation

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/consilium-fl/consilium/coordinator/audit"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// forge writes a bundle anew around other entries, as its coordinator can that
// signs whatever it likes and has no hospital's key and no witness: tiles, head,
// proofs and attestation fit the entries, and nothing is left that none names.
func (c *chronicle) forge(t *testing.T, e evidence, entries []ledger.Entry, more map[string][]byte) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	for path, file := range e.bundle {
		if folder, _, _ := strings.Cut(path, "/"); !slices.Contains([]string{"blobs", "tile", "proofs", "cosigned", "earlier", "checkpoint", "entries.jsonl"}, folder) {
			out[path] = file
		}
	}
	log := ledger.NewLog(ledger.Origin("simulation"), ledger.NewMemory())
	var leaves [][]byte
	var lines []byte
	for _, entry := range entries {
		leaf, err := entry.Leaf()
		ok(t, err)
		_, err = log.Append(leaf)
		ok(t, err)
		leaves, lines = append(leaves, leaf), append(append(lines, leaf...), '\n')
	}
	head, err := log.Checkpoint(c.key)
	ok(t, err)
	put := func(path string, data []byte) { out[path] = &fstest.MapFile{Data: data} }
	put("entries.jsonl", lines)
	put("checkpoint", head)
	for path, data := range ledger.Tiles(leaves) {
		put(path, data)
	}
	proofs, err := audit.Proofs(e.study, leaves, head)
	ok(t, err)
	for path, data := range proofs {
		put(path, data)
	}
	moveEarlier(e, leaves, put)
	blobs := func(name statement.Digest) ([]byte, error) {
		path := "blobs/" + name.String()
		if data, there := more[path]; there {
			return data, nil
		}
		if file, there := e.bundle[path]; there {
			return file.Data, nil
		}
		return nil, fmt.Errorf("no %s", path)
	}
	for name := range named(e, entries, blobs) {
		if data, err := blobs(name); err == nil {
			put("blobs/"+name.String(), data)
		}
	}
	c.attest(t, e, head, leaves, blobs, put)
	return out
}

// moveEarlier keeps the files of earlier results by the indices that their entries
// now have.
func moveEarlier(e evidence, leaves [][]byte, put func(string, []byte)) {
	before := bytes.Split(bytes.TrimSuffix(e.bundle["entries.jsonl"].Data, []byte("\n")), []byte("\n"))
	for path, file := range e.bundle {
		rest, isEarlier := strings.CutPrefix(path, "earlier/")
		if !isEarlier {
			continue
		}
		number, extension, _ := strings.Cut(rest, ".")
		var index int
		fmt.Sscan(strings.TrimLeft(number, "0")+" ", &index)
		if now := slices.IndexFunc(leaves, func(leaf []byte) bool { return bytes.Equal(leaf, before[index]) }); now >= 0 {
			put(fmt.Sprintf("earlier/%06d.%s", now, extension), file.Data)
		}
	}
}

var hexDigest = regexp.MustCompile(`[0-9a-f]{64}`)

// named are the blobs that a study's entries and their statements name.
func named(e evidence, entries []ledger.Entry, blob func(statement.Digest) ([]byte, error)) map[statement.Digest]bool {
	out := map[statement.Digest]bool{e.study: true}
	for _, entry := range entries {
		if entry.Study != e.study.String() && entry.Type != ledger.TypeRoster {
			continue
		}
		out[entry.Subject] = true
		envelope, err := blob(entry.Subject)
		if err != nil {
			continue
		}
		kind, payload, err := statement.Payload(envelope)
		if err != nil || kind == statement.KindAudit || kind == statement.KindRelease {
			continue
		}
		for _, word := range hexDigest.FindAllString(string(payload), -1) {
			digest, err := statement.ParseDigest(word)
			if err == nil {
				out[digest] = true
			}
		}
	}
	return out
}

// attest signs what the entries give, as far as they give anything.
func (c *chronicle) attest(t *testing.T, e evidence, head []byte, leaves [][]byte, blob func(statement.Digest) ([]byte, error), put func(string, []byte)) {
	t.Helper()
	checkpoint, err := ledger.ParseCheckpoint(head)
	ok(t, err)
	_, payload, err := statement.Payload(e.bundle["attestation.json"].Data)
	ok(t, err)
	var said audit.Attestation
	ok(t, statement.Decode(payload, &said))
	again, err := audit.Attest(e.study, *checkpoint, leaves, blob, said.Predicate.Software)
	if err != nil {
		return
	}
	envelope, err := statement.Sign(audit.KindAttestation, again, c.name, c.key)
	ok(t, err)
	put("attestation.json", envelope)
}

// entries of a bundle.
func (e evidence) entries(t *testing.T) (all []ledger.Entry) {
	t.Helper()
	for line := range bytes.Lines(e.bundle["entries.jsonl"].Data) {
		entry, err := ledger.ParseEntry(bytes.TrimSuffix(line, []byte("\n")))
		ok(t, err)
		all = append(all, entry)
	}
	return all
}

// types are the kinds of entries that a study has in a log.
func (e evidence) types(entries []ledger.Entry) []string {
	seen := map[string]bool{}
	for _, entry := range entries {
		if entry.Study == e.study.String() || entry.Type == ledger.TypeRoster {
			seen[entry.Type] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// A forger takes one entry of the study, at i, and makes other entries of all. It
// gives nil where there is nothing to do.
type forger func(e evidence, all []ledger.Entry, i int) (entries []ledger.Entry, more map[string][]byte)

func with(f func(e evidence, all []ledger.Entry, i int) []ledger.Entry) forger {
	return func(e evidence, all []ledger.Entry, i int) ([]ledger.Entry, map[string][]byte) {
		return f(e, slices.Clone(all), i), nil
	}
}

// neighbour is the next entry of the same study, in a direction.
func neighbour(e evidence, all []ledger.Entry, i, by int) int {
	for k := i + by; k >= 0 && k < len(all); k += by {
		if all[k].Study == e.study.String() {
			return k
		}
	}
	return -1
}

func (c *chronicle) forgers(random *rand.Rand) map[string]forger {
	swap := func(by int) forger {
		return with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry {
			k := neighbour(e, all, i, by)
			if k < 0 || all[i].Type == all[k].Type || all[i].Type == ledger.TypeRoster {
				return nil
			}
			all[i], all[k] = all[k], all[i]
			return all
		})
	}
	return map[string]forger{
		"dropped": with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry { return slices.Delete(all, i, i+1) }),
		"twice":   with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry { return slices.Insert(all, i, all[i]) }),
		"again at the end": with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry {
			return append(all, all[i])
		}),
		"one earlier": swap(-1),
		"one later":   swap(1),
		"by another": with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry {
			other := "Aarau"
			if all[i].Actor == other {
				other = "Basel"
			}
			all[i].Actor = other
			return all
		}),
		"of another round": with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry {
			for _, other := range all {
				if other.Type == ledger.TypePlan && other.Study == e.study.String() && other.Round != all[i].Round {
					all[i].Round = other.Round
					return all
				}
			}
			return nil
		}),
		"of another study": with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry {
			all[i].Study = statement.DigestOf([]byte("another")).String()
			return all
		}),
		"saying what another said": with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry {
			var others []ledger.Entry
			for k, other := range all {
				if k != i && other.Type == all[i].Type && other.Study == all[i].Study && other.Subject != all[i].Subject {
					others = append(others, other)
				}
			}
			if len(others) == 0 {
				return nil
			}
			other := others[random.IntN(len(others))]
			all[i].Subject, all[i].Actor = other.Subject, other.Actor
			return all
		}),
		"saying what was said of another study": func(e evidence, all []ledger.Entry, i int) ([]ledger.Entry, map[string][]byte) {
			for _, other := range c.studies {
				if other.study == e.study {
					continue
				}
				for line := range bytes.Lines(other.bundle["entries.jsonl"].Data) {
					entry, err := ledger.ParseEntry(bytes.TrimSuffix(line, []byte("\n")))
					if err != nil || entry.Type != all[i].Type || entry.Study != other.study.String() {
						continue
					}
					all = slices.Clone(all)
					all[i].Subject, all[i].Actor = entry.Subject, entry.Actor
					more := map[string][]byte{}
					for path, file := range other.bundle {
						if strings.HasPrefix(path, "blobs/") {
							more[path] = file.Data
						}
					}
					return all, more
				}
			}
			return nil, nil
		},
		"at another time": with(func(e evidence, all []ledger.Entry, i int) []ledger.Entry {
			all[i].Time = all[i].Time.AddDate(-1, 0, 0)
			return all
		}),
	}
}
