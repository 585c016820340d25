// Package independent verifies an evidence bundle a second time, with nothing
// but the standard library: no line of it is shared with the coordinator, the
// hospitals' software or the first verifier, so that a mistake of theirs is not
// repeated here. It was written from the formats: DSSE, C2SP signed notes,
// checkpoints, cosignatures, tiles and proofs, RFC 6962, in-toto Statement v1,
// and the statements that docs/protocol.md lists.
//
// It holds that every file is what its name says and none is surplus; that the
// rosters are signed by governance and chained; that the checkpoint is the
// coordinator's, over exactly these entries, tiles included, and that no hospital
// cosigned another history; that every statement is signed by the member and role
// it needs; that approvals, plans, contributions, opening requests, shares, round
// ends and sums fit one another; that the release lists what was published; that it
// follows what the audit's verdicts on the study's criteria say, or an auditor's
// override of that; and that result, audit, override, release and cards are proven
// to be in the log.
//
// It does NOT compute: no sum is opened again and no model is fitted. That is
// what the first verifier does.
package independent

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Summary is what a bundle that holds shows.
type Summary struct {
	Study       string
	Governance  string // SHA-256 of the key that signed the rosters
	Entries     int
	Statements  int
	Rounds      int // published
	Ciphertexts bool
	Hospitals   int
	Cosigned    int // hospitals that cosigned this history, however far
}

// verifier carries what was established.
type verifier struct {
	bundle  fs.FS
	summary Summary
	expects map[string]bool // every path that may be in the bundle

	leaves  [][]byte
	hashes  [][32]byte
	entries []entry
	rosters map[string]*roster // by hash of envelope
	last    *roster
	origin  string
	notes   map[string]note // verified checkpoints, by their whole text
	rounds  []*round
	byID    map[string]*round

	study, audit, release, model string            // hashes
	gate                         string            // what the audit's verdicts make of the release; empty without criteria
	override, overrideBefore     string            // hashes: of the override, and of the one that was there when it was released
	cards                        map[string]string // by format
	ended                        bool              // without a release
	missing                      string            // the first ciphertext that is not there
	result                       *result           // nil until the log has one
	published                    []*round
	released                     *releaseStatement
}

// entry is a leaf of the log.
type entry struct {
	Type    string `json:"type"`
	Study   string `json:"study"`
	Round   string `json:"round"`
	Subject string `json:"subject"`
	Actor   string `json:"actor"`
}

// Verify checks a bundle. governance is the SHA-256 of the governance public key
// in hex; empty takes the key that is in the bundle. The error names the first
// thing that does not hold.
func Verify(bundle fs.FS, governance string) (*Summary, error) {
	v := &verifier{bundle: bundle, expects: make(map[string]bool), rosters: make(map[string]*roster), notes: make(map[string]note), byID: make(map[string]*round), cards: make(map[string]string)}
	for _, step := range []func() error{
		v.checkNames, v.readLog, func() error { return v.checkRosters(governance) }, v.checkHead, v.checkTiles, v.checkCosigned,
		v.checkProofs, v.checkStatements, v.checkRounds, v.checkQuestions, v.checkOrder, v.checkRelease, v.checkGate, v.checkAttestation, v.checkEarlier, v.checkNothingElse,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &v.summary, nil
}

func sum(b []byte) string { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }

// read reads a file that has to be there.
func (v *verifier) read(path string) ([]byte, error) {
	data, err := fs.ReadFile(v.bundle, path)
	if err != nil {
		return nil, fmt.Errorf("%s: missing or not readable", path)
	}
	v.expects[path] = true
	return data, nil
}

// blob reads a file that is named by its hash.
func (v *verifier) blob(hash string) ([]byte, error) { return v.read("blobs/" + hash) }

// checkNames hashes every file that is named by its hash.
func (v *verifier) checkNames() error {
	return fs.WalkDir(v.bundle, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("%s: not readable", path)
		}
		name, isBlob := strings.CutPrefix(path, "blobs/")
		if d.IsDir() || !isBlob {
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s: no regular file", path)
		}
		f, err := v.bundle.Open(path)
		if err != nil {
			return fmt.Errorf("%s: not readable", path)
		}
		defer f.Close()
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil || hex.EncodeToString(h.Sum(nil)) != name {
			return fmt.Errorf("%s: its content has another SHA-256", path)
		}
		return nil
	})
}

func (v *verifier) readLog() error {
	data, err := v.read("entries.jsonl")
	if err != nil {
		return err
	}
	if !bytes.HasSuffix(data, []byte("\n")) {
		return errors.New("entries.jsonl: its last line has no end")
	}
	for i, leaf := range bytes.Split(data[:len(data)-1], []byte("\n")) {
		var e entry
		if err := json.Unmarshal(leaf, &e); err != nil || e.Type == "" || len(e.Subject) != 64 {
			return fmt.Errorf("entries.jsonl: line %d is no entry", i+1)
		}
		v.leaves, v.entries, v.hashes = append(v.leaves, leaf), append(v.entries, e), append(v.hashes, leafHash(leaf))
	}
	v.summary.Entries = len(v.leaves)
	study, err := v.read("study.yaml")
	v.study = sum(study)
	v.summary.Study = v.study
	v.expects["blobs/"+v.study] = true // once more, under its name as a blob
	return err
}

// roster is the list of members.
type roster struct {
	Consortium string `json:"consortium"`
	Number     int    `json:"number"`
	Previous   string `json:"previous"`
	digest     string // of the signed bytes
	Members    []struct {
		Name       string `json:"name"`
		Role       string `json:"role"`
		SigningKey []byte `json:"signing_key"`
	} `json:"members"`
}

// key is the key of a member in a role; an empty name takes the first in it.
func (r *roster) key(name, role string) (string, ed25519.PublicKey) {
	for _, m := range r.Members {
		if m.Role == role && (name == "" || m.Name == name) && len(m.SigningKey) == ed25519.PublicKeySize {
			return m.Name, m.SigningKey
		}
	}
	return "", nil
}

func (v *verifier) checkRosters(governance string) error {
	text, err := v.read("governance.pub")
	if err != nil {
		return err
	}
	block, rest := pem.Decode(text)
	if block == nil || len(rest) > 0 || !bytes.Equal(pem.EncodeToMemory(block), text) {
		return errors.New("governance.pub: no public key in PEM")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	key, isEd25519 := parsed.(ed25519.PublicKey)
	if err != nil || !isEd25519 {
		return errors.New("governance.pub: no Ed25519 public key")
	}
	v.summary.Governance = sum(key)
	if governance != "" && governance != v.summary.Governance {
		return errors.New("governance.pub: not the key that you trust")
	}
	previous, number := strings.Repeat("0", 64), 0
	for i, e := range v.entries {
		if e.Type != "roster" {
			continue
		}
		number++
		path := fmt.Sprintf("rosters/%06d.json", number)
		data, err := v.read(path)
		if err != nil {
			return err
		}
		v.expects["blobs/"+e.Subject] = true
		if sum(data) != e.Subject {
			return fmt.Errorf("%s: not the roster that entry %d names", path, i)
		}
		payload, err := openEnvelope(data, "application/vnd.consilium.roster.v1+json", "governance", key)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		r := new(roster)
		if err := json.Unmarshal(payload, r); err != nil || r.Number != number || r.Previous != previous {
			return fmt.Errorf("%s: does not follow the roster before it", path)
		}
		if v.last != nil && r.Consortium != v.last.Consortium {
			return fmt.Errorf("%s: of another consortium", path)
		}
		r.digest = sum(payload)
		previous, v.last, v.rosters[e.Subject] = r.digest, r, r
	}
	if v.last == nil {
		return errors.New("entries.jsonl: names no roster")
	}
	v.origin = "consilium/" + strings.ReplaceAll(v.last.Consortium, " ", "%20")
	for _, m := range v.last.Members {
		if m.Role == "site" {
			v.summary.Hospitals++
		}
	}
	return nil
}

// checkNothingElse refuses what nothing names: something could be hidden there.
func (v *verifier) checkNothingElse() error {
	return fs.WalkDir(v.bundle, ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (!v.expects[path] || !d.Type().IsRegular()) {
			return fmt.Errorf("%s: nothing names it", path)
		}
		return err
	})
}
