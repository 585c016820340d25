package audit

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// CosignedFile names a cosigned checkpoint in a bundle by its size.
func CosignedFile(size uint64) string { return fmt.Sprintf("%s%d", cosignedFolder, size) }

// Proofs are the files, by path, that prove a study's results, bias audits and
// releases to be in the ledger, each alone. The checkpoint under them is the
// first of those given that reaches as far as the entry.
func Proofs(study statement.Digest, leaves [][]byte, checkpoints ...[]byte) (map[string][]byte, error) {
	log, files := ledger.NewLog("", ledger.NewMemory()), make(map[string][]byte)
	for _, leaf := range leaves {
		if _, err := log.Append(leaf); err != nil {
			return nil, err
		}
	}
	for i, leaf := range leaves {
		e, err := ledger.ParseEntry(leaf)
		if err != nil {
			return nil, err
		}
		path, proven := proofFile(study, i, e)
		if !proven {
			continue
		}
		for _, note := range checkpoints {
			c, err := ledger.ParseCheckpoint(note)
			if err != nil {
				return nil, err
			}
			if c.Size <= uint64(i) {
				continue
			}
			proof, err := log.Inclusion(uint64(i), c.Size)
			if err != nil {
				return nil, err
			}
			files[path] = ledger.FormatProofFile(leaf, uint64(i), proof, note)
			break
		}
	}
	return files, nil
}

// proofFile is the path of the proof of entry i, if it gets one.
func proofFile(study statement.Digest, i int, e ledger.Entry) (path string, proven bool) {
	proven = e.Study == study.String() && slices.Contains([]string{ledger.TypeResult, ledger.TypeMonitorReport, ledger.TypeAudit, ledger.TypeReleaseOverride, ledger.TypeRelease, ledger.TypeCard}, e.Type)
	return fmt.Sprintf("proofs/%s-%06d.tlog-proof", e.Type, i), proven
}

// Best orders checkpoints for Proofs: cosigned ones by how many hospitals signed
// them, then the plain head of the log.
func Best(head []byte, cosigned [][]byte) [][]byte {
	sorted := slices.Clone(cosigned)
	slices.SortStableFunc(sorted, func(a, b []byte) int { return bytes.Count(b, []byte("\n")) - bytes.Count(a, []byte("\n")) })
	return append(sorted, head)
}

// checkTiles holds the tiles against the entries that they are made of.
func (v *verifier) checkTiles() (string, error) {
	want := ledger.Tiles(v.leaves)
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if got, err := fs.ReadFile(v.bundle, path); err != nil || !bytes.Equal(got, want[path]) {
			return "", fmt.Errorf("%s is not the tile that the %d entries give", path, len(v.leaves))
		}
	}
	return fmt.Sprintf("%d, each what the entries give", len(want)), nil
}

// sighting is the last time that a hospital said what it saw of the ledger.
type sighting struct {
	size uint64
	at   time.Time
}

// checkWitnesses verifies what hospitals cosigned: each checkpoint is one of this
// very log. A coordinator that shows an auditor another history than it showed
// the hospitals has no cosignature for it.
func (v *verifier) checkWitnesses() (string, error) {
	latest := v.rosters.Latest()
	key := ed25519.PublicKey(latest.CoordinatorMember().SigningKey)
	sites := make(map[string]ed25519.PublicKey)
	for _, site := range latest.Sites() {
		sites[site.Name] = site.SigningKey
	}
	saw := make(map[string]sighting)
	for _, path := range v.cosignedFiles {
		data, err := fs.ReadFile(v.bundle, path)
		if err != nil {
			return "", fmt.Errorf("%s cannot be read", path)
		}
		c, seen, err := ledger.VerifyCosigned(data, v.checkpoint.Origin, key, sites)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if CosignedFile(c.Size) != path || c.Size > v.checkpoint.Size || c.Size == 0 {
			return "", fmt.Errorf("%s is over %d entries, the log has %d", path, c.Size, len(v.leaves))
		}
		root, err := ledger.RootOf(v.leaves[:c.Size])
		if err != nil {
			return "", err
		}
		if root != c.Root {
			return "", fmt.Errorf("%s: hospitals saw another history than this: the coordinator has shown two", path)
		}
		for _, s := range seen {
			if _, twice := saw[s.Member]; twice {
				return "", fmt.Errorf("%s: %q has cosigned a second checkpoint, where its last one counts", path, s.Member)
			}
			saw[s.Member] = sighting{c.Size, s.Time}
		}
		v.cosigned = append(v.cosigned, data)
	}
	return v.countWitnesses(saw, len(sites))
}

// countWitnesses says how many hospitals saw this history and how far. More than
// half of them, or as many as the auditor demands, have to have seen what the
// study ends in: any two such sets share a hospital, which would have refused to
// cosign the second history.
func (v *verifier) countWitnesses(saw map[string]sighting, sites int) (string, error) {
	needed := sites/2 + 1
	if v.trust.Witnesses > 0 {
		needed = v.trust.Witnesses
	}
	last := v.lastToWitness()
	reached := 0
	var sizes []uint64
	var blind []string
	for _, s := range saw {
		sizes = append(sizes, s.size)
		if s.size > uint64(last.index) {
			reached++
		}
	}
	for _, site := range v.rosters.Latest().Sites() {
		if _, ok := saw[site.Name]; !ok {
			blind = append(blind, site.Name)
		}
	}
	slices.Sort(sizes)
	slices.Reverse(sizes)
	v.findings.Witnesses = reached
	detail := fmt.Sprintf("%d of %d hospitals cosigned this history up to %s", reached, sites, last)
	if len(sizes) >= needed {
		detail += fmt.Sprintf("; %d of them up to entry %d of %d", needed, sizes[needed-1]-1, len(v.leaves))
	}
	if len(blind) > 0 {
		detail += "; nothing is cosigned by " + strings.Join(blind, ", ")
	}
	switch {
	case reached >= needed:
		return detail, nil
	case v.trust.Witnesses > 0:
		return "", fmt.Errorf("%s, where you demand %d", detail, needed)
	}
	return "", notChecked(fmt.Sprintf("%s: fewer than %d, so nothing shows that they see the same history as you", detail, needed))
}

// lastToWitness is the last entry of the study that an auditor relies on: its
// release or bias audit, the end without either, or else what entered last.
func (v *verifier) lastToWitness() *record {
	last := v.records[len(v.records)-1]
	for i := len(v.records) - 1; i >= 0; i-- {
		r := v.records[i]
		if r.entry.Study != v.digest.String() {
			continue
		}
		if r.entry.Type == ledger.TypeRelease || r.entry.Type == ledger.TypeAudit || r.entry.Type == ledger.TypeStudyEnd {
			return r
		}
		if last.entry.Study != v.digest.String() {
			last = r
		}
	}
	return last
}

// checkProofs compares the files that prove single entries with what the log and
// the checkpoints give.
func (v *verifier) checkProofs() (string, error) {
	head, err := fs.ReadFile(v.bundle, checkpointFile)
	if err != nil {
		return "", fmt.Errorf("%s cannot be read", checkpointFile)
	}
	want, err := Proofs(v.digest, v.leaves, Best(head, v.cosigned)...)
	if err != nil {
		return "", err
	}
	for _, path := range v.proofFiles {
		got, err := fs.ReadFile(v.bundle, path)
		if err != nil || !bytes.Equal(got, want[path]) {
			return "", fmt.Errorf("%s is not the proof that the log and its checkpoints give", path)
		}
	}
	if len(v.proofFiles) == 0 {
		return "", notChecked("the study has no result yet")
	}
	return fmt.Sprintf("%d, each for one entry, under the checkpoint that most hospitals cosigned", len(v.proofFiles)), nil
}
