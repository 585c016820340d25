package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/consilium-fl/consilium/crypto/memo"
)

// maxCheckpoint bounds a checkpoint in bytes before it is parsed.
const maxCheckpoint = 4096

// Checkpoint is the head of a log: a size and the root hash over that many
// leaves.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   [32]byte
}

// Checkpoint signs the head of the log with the coordinator's key. The same
// head gives the same bytes.
func (l *Log) Checkpoint(key ed25519.PrivateKey) ([]byte, error) {
	size, err := l.store.Size()
	if err != nil {
		return nil, err
	}
	root, err := l.RootAt(size)
	if err != nil {
		return nil, err
	}
	return SignCheckpoint(Checkpoint{Origin: l.origin, Size: size, Root: root}, key)
}

// SignCheckpoint writes a checkpoint as a signed note.
func SignCheckpoint(c Checkpoint, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("a checkpoint is signed with an Ed25519 key")
	}
	verifier, err := noteVerifier(c.Origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: c.body()}, noteSigner{verifier, key})
}

// body is the text of C2SP tlog-checkpoint, without extension lines.
func (c Checkpoint) body() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// VerifyCheckpoint reads a checkpoint of the log of that origin and verifies
// its one signature by the coordinator's public key.
func VerifyCheckpoint(data []byte, origin string, key ed25519.PublicKey) (*Checkpoint, error) {
	if len(data) > maxCheckpoint {
		return nil, fmt.Errorf("checkpoint of %d bytes is too large", len(data))
	}
	all := sha256.New()
	fmt.Fprintf(all, "%q %x\n", origin, []byte(key))
	all.Write(data)
	name := memo.Key(all.Sum(nil))
	if known, ok := checkpoints.Get(name); ok {
		return &known, nil
	}
	c, err := verifyCheckpoint(data, origin, key)
	if err == nil {
		checkpoints.Put(name, *c, len(data))
	}
	return c, err
}

// checkpoints are those that were verified lately, by the digest of all that the
// verdict depends on.
var checkpoints = memo.New[Checkpoint](1 << 20)

func verifyCheckpoint(data []byte, origin string, key ed25519.PublicKey) (*Checkpoint, error) {
	verifier, err := noteVerifier(origin, key)
	if err != nil {
		return nil, err
	}
	signed, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return nil, fmt.Errorf("%w: checkpoint is not a note signed by the coordinator", ErrSecurity)
	}
	// One signature and one spelling, so that a checkpoint has one digest. The
	// note package reads base64 whose last bits are loose.
	again, err := note.Sign(signed)
	if err != nil || len(signed.Sigs) != 1 || len(signed.UnverifiedSigs) != 0 || !bytes.Equal(again, data) || looseBase64(signed.Sigs[0].Base64) {
		return nil, fmt.Errorf("%w: checkpoint has other signatures, or another spelling, than the coordinator's", ErrSecurity)
	}
	c, err := parseBody(signed.Text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSecurity, err)
	}
	if c.Origin != origin {
		return nil, fmt.Errorf("%w: checkpoint is of another log than %s", ErrSecurity, origin)
	}
	return c, nil
}

// looseBase64 reports base64 that is not what its own bytes encode to.
func looseBase64(text string) bool {
	decoded, err := base64.StdEncoding.DecodeString(text)
	return err != nil || base64.StdEncoding.EncodeToString(decoded) != text
}

// ParseCheckpoint reads a checkpoint WITHOUT verifying its signature, or those of
// the witnesses below it, of which there may be many: for display.
func ParseCheckpoint(data []byte) (*Checkpoint, error) {
	text, _, found := bytes.Cut(data, []byte("\n\n"))
	if len(text) > maxCheckpoint {
		return nil, fmt.Errorf("checkpoint of %d bytes is too large", len(text))
	}
	if !found {
		return nil, errors.New("checkpoint is not a signed note")
	}
	return parseBody(string(text) + "\n")
}

func parseBody(text string) (*Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] == "" || lines[3] != "" {
		return nil, errors.New("checkpoint is not origin, size and root on three lines")
	}
	c := &Checkpoint{Origin: lines[0]}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > maxSize {
		return nil, errors.New("checkpoint has no possible size")
	}
	c.Size = size
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return nil, errors.New("checkpoint has no root hash")
	}
	c.Root = [32]byte(root)
	if c.body() != text {
		return nil, errors.New("checkpoint is not spelt as it should be")
	}
	return c, nil
}

func noteVerifier(name string, key ed25519.PublicKey) (note.Verifier, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, errors.New("a checkpoint is verified with an Ed25519 key")
	}
	text, err := note.NewEd25519VerifierKey(name, key)
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("%q cannot be the origin of a log: %w", name, err)
	}
	return verifier, nil
}

// noteSigner signs notes with a key that is kept as such, not in note's own
// text form.
type noteSigner struct {
	note.Verifier
	key ed25519.PrivateKey
}

func (s noteSigner) Sign(text []byte) ([]byte, error) { return ed25519.Sign(s.key, text), nil }
