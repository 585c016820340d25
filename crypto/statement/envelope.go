package statement

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/consilium-fl/consilium/crypto/memo"
)

// MaxEnvelope is the size in bytes above which an envelope is not even parsed.
const MaxEnvelope = 48 << 20

// ErrSecurity marks what only a deviating party causes: a signature that does
// not verify, a statement in another's name or domain, a history that forks.
// It is never retried, always recorded and always shown.
var ErrSecurity = errors.New("security violation")

// envelope is the JSON form of a DSSE envelope with one signature.
type envelope struct {
	PayloadType Kind        `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"` // the signer's member name
	Sig   []byte `json:"sig"`
}

// Sign encodes v and returns it in an envelope of the given kind, signed by the
// named member. A statement that names its signer is signed by no one else.
func Sign(kind Kind, v any, name string, key ed25519.PrivateKey) ([]byte, error) {
	if name == "" || len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("a statement needs its signer's name and Ed25519 key")
	}
	if err := checkSigner(v, name); err != nil {
		return nil, err
	}
	payload, err := Encode(v)
	if err != nil {
		return nil, err
	}
	signed, err := Encode(envelope{
		PayloadType: kind,
		Payload:     payload,
		Signatures:  []signature{{KeyID: name, Sig: ed25519.Sign(key, preAuthentication(kind, payload))}},
	})
	if err != nil {
		return nil, err
	}
	if len(signed) > MaxEnvelope {
		return nil, fmt.Errorf("statement of %d bytes is too large: an envelope holds at most %d", len(signed), MaxEnvelope)
	}
	return signed, nil
}

// Open verifies the one signature of an envelope with the key that keyOf gives
// for its signer, decodes the payload into v and returns the payload's bytes.
// Nothing of the payload is parsed before the signature is verified. A
// statement that names its signer is refused from anyone else.
//
// An envelope that was opened lately is not verified and decoded again: what it
// holds is a function of its bytes and of the key. So the payload and the lists
// in v may be others' as well, and are not changed. Whose key it is and what kind
// is asked for is checked each time.
func Open(data []byte, kind Kind, v any, keyOf func(keyid string) (ed25519.PublicKey, error)) ([]byte, error) {
	name := memo.Key(DigestOf(data))
	if known, ok := openings.Get(name); ok && known.is(kind, v) {
		if key, err := keyOf(known.signer); err == nil && key.Equal(known.key) {
			reflect.ValueOf(v).Elem().Set(known.statement)
			return known.payload, nil
		}
	}
	env, signed, err := parse(data)
	if err != nil {
		return nil, err
	}
	key, err := env.verify(signed, kind, keyOf)
	if err != nil {
		return nil, err
	}
	if err := Decode(env.Payload, v); err != nil {
		return nil, err
	}
	signer := env.Signatures[0].KeyID
	if err := checkSigner(v, signer); err != nil {
		return nil, err
	}
	remember(name, kind, signer, key, env.Payload, v)
	return env.Payload, nil
}

// OpenClaiming is Open for a statement that itself says by whom it may be signed,
// such as by the coordinator of a roster that it names: keyOf is given what the
// payload holds BEFORE the signature is verified, to look the key up by it and for
// nothing else.
func OpenClaiming[T any](data []byte, kind Kind, keyOf func(unverified *T, keyid string) (ed25519.PublicKey, error)) (*T, []byte, error) {
	env, signed, err := parse(data)
	if err != nil {
		return nil, nil, err
	}
	v := new(T)
	if err := Decode(env.Payload, v); err != nil {
		return nil, nil, err
	}
	claimed := func(keyid string) (ed25519.PublicKey, error) { return keyOf(v, keyid) }
	if _, err := env.verify(signed, kind, claimed); err != nil {
		return nil, nil, err
	}
	if err := checkSigner(v, env.Signatures[0].KeyID); err != nil {
		return nil, nil, err
	}
	return v, env.Payload, nil
}

// verify holds that an envelope is of a kind and that its signature, which covers
// the signed bytes, is of whom keyOf gives a key for.
func (env *envelope) verify(signed []byte, kind Kind, keyOf func(keyid string) (ed25519.PublicKey, error)) (ed25519.PublicKey, error) {
	if env.PayloadType != kind {
		return nil, fmt.Errorf("%w: envelope is not of kind %s", ErrSecurity, kind)
	}
	signer := env.Signatures[0]
	key, err := keyOf(signer.KeyID)
	if err != nil {
		return nil, fmt.Errorf("signer of a %s statement: %w", kind, err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, signed, signer.Sig) {
		return nil, fmt.Errorf("%w: signature on a %s statement does not verify", ErrSecurity, kind)
	}
	return key, nil
}

// Payload returns the kind and the payload of an envelope WITHOUT verifying
// its signature: for display, and for digests of envelopes verified before.
func Payload(data []byte) (Kind, []byte, error) {
	env, _, err := parse(data)
	if err != nil {
		return "", nil, err
	}
	return env.PayloadType, env.Payload, nil
}

// parse returns an envelope and the bytes that its signature covers.
func parse(data []byte) (*envelope, []byte, error) {
	if len(data) > MaxEnvelope {
		return nil, nil, fmt.Errorf("envelope of %d bytes is too large: at most %d are read", len(data), MaxEnvelope)
	}
	if env, signed, ok := parsePlain(data); ok {
		return env, signed, nil
	}
	var env envelope
	if err := Decode(data, &env); err != nil {
		return nil, nil, err
	}
	if len(env.Signatures) != 1 {
		return nil, nil, fmt.Errorf("%w of an envelope: it needs exactly one signature, this has %d", ErrEncoding, len(env.Signatures))
	}
	return &env, preAuthentication(env.PayloadType, env.Payload), nil
}

// preAuthentication is DSSE v1's PAE, the bytes that are signed.
func preAuthentication(kind Kind, payload []byte) []byte {
	return append(beforePayload(kind, len(payload)), payload...)
}

// beforePayload is the part of PAE before a payload of a length, with room for it.
func beforePayload(kind Kind, length int) []byte {
	b := make([]byte, 0, length+len(kind)+48)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(kind)), 10)
	b = append(b, ' ')
	b = append(b, kind...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(length), 10)
	return append(b, ' ')
}
