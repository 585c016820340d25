package identity

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A key share travels sealed: HPKE (RFC 9180) agrees on a secret between sender
// and recipient once for a study, from which every round gets a key of its own,
// and AES-256-GCM encrypts the share under that key. A sealed share is
//
//	encapsulation ‖ nonce ‖ ciphertext ‖ tag
//
// and complete in itself: whoever has the recipient's key opens it, in any order
// and after any restart. What is done once for a study is the costly part, the
// encapsulation, which the sender makes and the recipient undoes.
//
// A share that the sender may choose at random need not travel at all: both ends
// derive a seed from their secret, which stands for it. What travels is
//
//	encapsulation ‖ salt ‖ confirmation
//
// as long as a sealed share of nothing, which no share is.

// The one suite: MLKEM768-P256 and HKDF-SHA256. HPKE's own encryption is not
// used, as its nonces count from the first message to the last.
var (
	kem  = hpke.MLKEM768P256()
	kdf  = hpke.HKDFSHA256()
	aead = hpke.ExportOnly()
)

const (
	encapsulationBytes = 1088 + 65 // of ML-KEM-768, and a point of P-256
	shareKeyBytes      = 32

	nonceBytes, tagBytes         = 12, 16
	saltBytes, confirmationBytes = 12, 16

	// SealingOverhead is how much longer a sealed share is than the share.
	SealingOverhead = encapsulationBytes + nonceBytes + tagBytes

	// SeedBytes is the length of a seed that stands for a share, and
	// AgreementBytes that of what travels in the share's place.
	SeedBytes      = 32
	AgreementBytes = encapsulationBytes + saltBytes + confirmationBytes

	// An encapsulation serves so many shares at most, and a member keeps so many
	// for different studies and recipients, and for different studies and senders.
	sharesOfOne   = 1000
	keptByAMember = 4096
)

// ShareAddress says where a sealed key share belongs. It opens nowhere else.
type ShareAddress struct {
	Study, Round      [32]byte
	Sender, Recipient string
}

// info binds an encapsulation. Each part is preceded by its length, so that no
// two addresses give the same bytes.
func (a ShareAddress) info() []byte {
	var info []byte
	for _, part := range []string{"consilium key share v2", string(a.Study[:]), a.Sender, a.Recipient} {
		info = binary.BigEndian.AppendUint64(info, uint64(len(part)))
		info = append(info, part...)
	}
	return info
}

// exporter is either end of an HPKE context.
type exporter interface {
	Export(context string, length int) ([]byte, error)
}

// cipherOf is the cipher of the one share of a round.
func (a ShareAddress) cipherOf(secret exporter) (cipher.AEAD, error) {
	key, err := secret.Export("round\x00"+string(a.Round[:]), shareKeyBytes)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	// The nonce is random, as a share that was sealed and lost before it left may
	// be sealed anew, of another secret, for the same round.
	return cipher.NewGCMWithRandomNonce(block)
}

// seed is what both ends derive from their secret under a salt, and by what the
// recipient knows that the sender derived the same.
func (a ShareAddress) seed(secret exporter, salt []byte) (seed [SeedBytes]byte, confirmation []byte, err error) {
	derived, err := secret.Export("seed\x00"+string(a.Round[:])+string(salt), SeedBytes+confirmationBytes)
	if err != nil {
		return seed, nil, err
	}
	copy(seed[:], derived)
	clear(derived[:SeedBytes])
	return seed, derived[SeedBytes:], nil
}

// Sealer seals a member's key shares. It keeps an encapsulation for every study
// and recipient, in memory only. The zero Sealer is ready; it is safe for
// concurrent use and prints nothing of its secrets.
type Sealer struct {
	mu       sync.Mutex
	contexts map[ShareAddress]*sealing // of no round
}

type sealing struct {
	recipient     []byte
	encapsulation []byte
	secret        *hpke.Sender
	left          int // shares that it may still seal
}

// Format prints a redaction whatever the verb.
func (*Sealer) Format(f fmt.State, _ rune) { io.WriteString(f, "[sealer]") }

// Seal encrypts a share to the recipient's public sealing key.
func (s *Sealer) Seal(recipient []byte, to ShareAddress, share []byte) ([]byte, error) {
	context, err := s.context(recipient, to)
	if err != nil {
		return nil, err
	}
	gcm, err := to.cipherOf(context.secret)
	if err != nil {
		return nil, err
	}
	sealed := append(make([]byte, 0, len(share)+SealingOverhead), context.encapsulation...)
	return gcm.Seal(sealed, nil, share, nil), nil
}

// Agree is Seal for a share that a seed stands for. The seed is new at each call:
// a share that was agreed on and lost before anything left is not agreed on again
// for another secret.
func (s *Sealer) Agree(recipient []byte, to ShareAddress) (agreement []byte, seed [SeedBytes]byte, err error) {
	context, err := s.context(recipient, to)
	if err != nil {
		return nil, seed, err
	}
	agreement = append(make([]byte, 0, AgreementBytes), context.encapsulation...)
	salt := agreement[len(agreement):][:saltBytes]
	rand.Read(salt)
	seed, confirmation, err := to.seed(context.secret, salt)
	if err != nil {
		return nil, seed, err
	}
	return append(agreement[:len(agreement)+saltBytes], confirmation...), seed, nil
}

func (s *Sealer) context(recipient []byte, to ShareAddress) (*sealing, error) {
	to.Round = [32]byte{}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contexts[to]
	if c == nil || c.left == 0 || !bytes.Equal(c.recipient, recipient) {
		key, err := kem.NewPublicKey(recipient)
		if err != nil {
			return nil, errors.New("recipient's sealing key is not an MLKEM768-P256 key")
		}
		c = &sealing{recipient: bytes.Clone(recipient), left: sharesOfOne}
		if c.encapsulation, c.secret, err = hpke.NewSender(key, kdf, aead, to.info()); err != nil {
			return nil, err
		}
		if s.contexts == nil || len(s.contexts) >= keptByAMember {
			s.contexts = make(map[ShareAddress]*sealing)
		}
		s.contexts[to] = c
	}
	c.left--
	return c, nil
}

// Unsealer opens what was sealed to a member. It keeps the last encapsulation of
// every study and sender, undone, in memory only. It is safe for concurrent use and
// prints nothing of its secrets.
type Unsealer struct {
	keys *Keys

	mu       sync.Mutex
	contexts map[ShareAddress]unsealing // of no round
}

type unsealing struct {
	encapsulation []byte
	secret        *hpke.Recipient
}

// NewUnsealer returns an Unsealer for a site's keys.
func NewUnsealer(keys *Keys) *Unsealer { return &Unsealer{keys: keys} }

// Format prints a redaction whatever the verb.
func (*Unsealer) Format(f fmt.State, _ rune) { io.WriteString(f, "[unsealer]") }

var errSealed = errors.New("sealed bytes do not open: they were damaged, or sealed for another study, round, sender or recipient")

// Unseal decrypts a share that was sealed to these keys for this address.
func (u *Unsealer) Unseal(at ShareAddress, sealed []byte) ([]byte, error) {
	if len(sealed) < SealingOverhead {
		return nil, errSealed
	}
	secret, err := u.secret(at, sealed[:encapsulationBytes])
	if err != nil {
		return nil, err
	}
	gcm, err := at.cipherOf(secret)
	if err != nil {
		return nil, err
	}
	share, err := gcm.Open(nil, nil, sealed[encapsulationBytes:], nil)
	if err != nil {
		return nil, errSealed
	}
	return share, nil
}

// Agreed returns the seed of an agreement that was made with these keys for this
// address. ok is false if the bytes are not an agreement but may be a share.
func (u *Unsealer) Agreed(at ShareAddress, agreement []byte) (seed [SeedBytes]byte, ok bool, err error) {
	if len(agreement) != AgreementBytes {
		return seed, false, nil
	}
	secret, err := u.secret(at, agreement[:encapsulationBytes])
	if err != nil {
		return seed, true, err
	}
	salt, claimed := agreement[encapsulationBytes:][:saltBytes], agreement[encapsulationBytes+saltBytes:]
	seed, confirmation, err := at.seed(secret, salt)
	if err == nil && subtle.ConstantTimeCompare(confirmation, claimed) == 0 {
		return [SeedBytes]byte{}, true, errSealed
	}
	return seed, true, err
}

func (u *Unsealer) secret(at ShareAddress, encapsulation []byte) (*hpke.Recipient, error) {
	if u.keys.secret().sealing == nil {
		return nil, errors.New("only a site has a key to unseal with")
	}
	at.Round = [32]byte{}
	u.mu.Lock()
	known := u.contexts[at]
	u.mu.Unlock()
	if bytes.Equal(known.encapsulation, encapsulation) {
		return known.secret, nil
	}
	secret, err := hpke.NewRecipient(encapsulation, u.keys.secret().sealing, kdf, aead, at.info())
	if err != nil {
		return nil, errSealed
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.contexts == nil || len(u.contexts) >= keptByAMember {
		u.contexts = make(map[ShareAddress]unsealing)
	}
	u.contexts[at] = unsealing{bytes.Clone(encapsulation), secret}
	return secret, nil
}
