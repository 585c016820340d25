package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cosignatureSize is a timestamp and an Ed25519 signature: what C2SP
// tlog-cosignature calls a timestamped_signature.
const cosignatureSize = 8 + ed25519.SignatureSize

// cosignatureAlgorithm is the note signature type of cosignature/v1.
const cosignatureAlgorithm = 0x04

// WitnessName names a member as a witness of a log, in the way in which notes
// name keys: without spaces and plus signs.
func WitnessName(origin, member string) string {
	return origin + "/" + strings.ReplaceAll(url.QueryEscape(member), "+", "%20")
}

// Cosign says, with a witness's key, that at that time this checkpoint was the
// largest it had seen and extended every one it had seen before (C2SP
// tlog-cosignature, cosignature/v1). A witness SAVES the checkpoint before it
// lets this out.
func Cosign(c Checkpoint, at time.Time, key ed25519.PrivateKey) ([]byte, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("a checkpoint is cosigned with an Ed25519 key")
	}
	if at.Unix() <= 0 {
		return nil, errors.New("a cosignature needs the time of day")
	}
	seconds := uint64(at.Unix())
	return append(binary.BigEndian.AppendUint64(nil, seconds), ed25519.Sign(key, c.cosigned(seconds))...), nil
}

// cosigned is what a cosignature signs.
func (c Checkpoint) cosigned(seconds uint64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, c.body())
}

// VerifyCosignature verifies what Cosign made and returns its time.
func VerifyCosignature(c Checkpoint, cosignature []byte, key ed25519.PublicKey) (time.Time, error) {
	if len(cosignature) != cosignatureSize || len(key) != ed25519.PublicKeySize {
		return time.Time{}, fmt.Errorf("%w: a cosignature is %d bytes, by an Ed25519 key", ErrSecurity, cosignatureSize)
	}
	seconds := binary.BigEndian.Uint64(cosignature)
	if seconds == 0 || seconds >= 1<<63 || !ed25519.Verify(key, c.cosigned(seconds), cosignature[8:]) {
		return time.Time{}, fmt.Errorf("%w: the cosignature of the checkpoint of %d entries does not verify", ErrSecurity, c.Size)
	}
	return time.Unix(int64(seconds), 0).UTC(), nil
}

// Cosignature is one witness's, of a checkpoint that is known from elsewhere.
type Cosignature struct {
	Member string
	Key    ed25519.PublicKey
	Bytes  []byte
}

// line is the cosignature as a line of a note.
func (s Cosignature) line(origin string) string {
	name := WitnessName(origin, s.Member)
	id := sha256.Sum256(append(append([]byte(name), '\n', cosignatureAlgorithm), s.Key...))
	return "— " + name + " " + base64.StdEncoding.EncodeToString(append(id[:4:4], s.Bytes...)) + "\n"
}

// FormatCosigned puts witnesses' cosignatures below the signature of a
// checkpoint, in the order of their names: a note that any C2SP verifier reads.
func FormatCosigned(checkpoint []byte, origin string, cosignatures []Cosignature) []byte {
	sorted := slices.Clone(cosignatures)
	slices.SortFunc(sorted, func(a, b Cosignature) int { return strings.Compare(a.Member, b.Member) })
	out := bytes.Clone(checkpoint)
	for _, s := range sorted {
		out = append(out, s.line(origin)...)
	}
	return out
}

// Sighting is a witness's word that it saw a checkpoint.
type Sighting struct {
	Member string
	Time   time.Time // by the witness's clock
}

// VerifyCosigned reads what FormatCosigned wrote: a checkpoint signed by the
// log's key and then by any of the witnesses, of which each signs at most once.
// Whatever else is in the note makes it ErrSecurity, so that a cosigned
// checkpoint has one spelling.
func VerifyCosigned(data []byte, origin string, key ed25519.PublicKey, witnesses map[string]ed25519.PublicKey) (*Checkpoint, []Sighting, error) {
	signed, rest := splitCosigned(data)
	c, err := VerifyCheckpoint(signed, origin, key)
	if err != nil {
		return nil, nil, err
	}
	byName := make(map[string]string, len(witnesses))
	for member := range witnesses {
		byName[WitnessName(origin, member)] = member
	}
	var seen []Sighting
	for line := range strings.Lines(string(rest)) {
		name, text, _ := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "— "), " ")
		member, known := byName[name]
		raw, err := base64.StdEncoding.DecodeString(text)
		if !known || err != nil || len(raw) != 4+cosignatureSize {
			return nil, nil, fmt.Errorf("%w: line %d below the checkpoint's signature is no cosignature of a known witness", ErrSecurity, len(seen)+1)
		}
		s := Cosignature{Member: member, Key: witnesses[member], Bytes: raw[4:]}
		if s.line(origin) != line || len(seen) > 0 && seen[len(seen)-1].Member >= member {
			return nil, nil, fmt.Errorf("%w: the cosignature of %q is misspelt or out of order", ErrSecurity, member)
		}
		at, err := VerifyCosignature(*c, s.Bytes, s.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("%q: %w", member, err)
		}
		seen = append(seen, Sighting{member, at})
	}
	return c, seen, nil
}

// splitCosigned parts a note after its first signature.
func splitCosigned(data []byte) (signed, rest []byte) {
	blank := bytes.Index(data, []byte("\n\n"))
	if blank < 0 {
		return data, nil
	}
	end := bytes.IndexByte(data[blank+2:], '\n')
	if end < 0 {
		return data, nil
	}
	return data[:blank+2+end+1], data[blank+2+end+1:]
}
