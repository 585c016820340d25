package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/consilium-fl/consilium/crypto/memo"
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

	// SealingOverhead is how much longer a sealed share is than the share.
	SealingOverhead = encapsulationBytes + 12 + 16 // nonce and tag

	// An encapsulation serves so many shares at most, and a sender keeps so many
	// for different studies and recipients.
	sharesOfOne   = 1000
	keptByASender = 4096
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

// Sealer seals a member's key shares. It keeps an encapsulation for every study
// and recipient, in memory only. The zero Sealer is ready; it is safe for
// concurrent use and prints nothing of its secrets.
type Sealer struct {
	mu       sync.Mutex
	contexts map[[sha256.Size]byte]*sealing
}

type sealing struct {
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

func (s *Sealer) context(recipient []byte, to ShareAddress) (*sealing, error) {
	info := to.info()
	name := sha256.Sum256(append(append([]byte(nil), info...), recipient...)) // the key's length is fixed, so this is unambiguous
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.contexts[name]
	if c == nil || c.left == 0 {
		key, err := kem.NewPublicKey(recipient)
		if err != nil {
			return nil, errors.New("recipient's sealing key is not an MLKEM768-P256 key")
		}
		c = &sealing{left: sharesOfOne}
		if c.encapsulation, c.secret, err = hpke.NewSender(key, kdf, aead, info); err != nil {
			return nil, err
		}
		if s.contexts == nil || len(s.contexts) >= keptByASender {
			s.contexts = make(map[[sha256.Size]byte]*sealing)
		}
		s.contexts[name] = c
	}
	c.left--
	return c, nil
}

// Unsealer opens what was sealed to a member. It keeps what it has decapsulated
// lately, in memory only. It is safe for concurrent use and prints nothing of its
// secrets.
type Unsealer struct {
	keys    *Keys
	secrets *memo.Cache[*hpke.Recipient] // by info and encapsulation
}

// NewUnsealer returns an Unsealer for a site's keys.
func NewUnsealer(keys *Keys) *Unsealer {
	// About a kilobyte each: two for every sender of a consortium of a thousand.
	return &Unsealer{keys, memo.New[*hpke.Recipient](4 << 20)}
}

// Format prints a redaction whatever the verb.
func (*Unsealer) Format(f fmt.State, _ rune) { io.WriteString(f, "[unsealer]") }

var errSealed = errors.New("sealed bytes do not open: they were damaged, or sealed for another study, round, sender or recipient")

// Unseal decrypts a share that was sealed to these keys for this address.
func (u *Unsealer) Unseal(at ShareAddress, sealed []byte) ([]byte, error) {
	if u.keys.secret().sealing == nil {
		return nil, errors.New("only a site has a key to unseal with")
	}
	if len(sealed) < SealingOverhead {
		return nil, errSealed
	}
	secret, err := u.secret(at, sealed[:encapsulationBytes])
	if err != nil {
		return nil, errSealed
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

func (u *Unsealer) secret(at ShareAddress, encapsulation []byte) (*hpke.Recipient, error) {
	info := at.info()
	name := memo.Key(sha256.Sum256(append(append([]byte(nil), encapsulation...), info...)))
	if secret, known := u.secrets.Get(name); known {
		return secret, nil
	}
	secret, err := hpke.NewRecipient(encapsulation, u.keys.secret().sealing, kdf, aead, info)
	if err == nil {
		u.secrets.Put(name, secret, 1<<10)
	}
	return secret, err
}
