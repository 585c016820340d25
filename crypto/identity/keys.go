package identity

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

const (
	signingKeyFile = "signing.key"
	sealingKeyFile = "sealing.key"
	pkcs8Block     = "PRIVATE KEY"
	hpkeBlock      = "HPKE MLKEM768-P256 PRIVATE KEY"
)

// Keys are a member's private keys. Every fmt verb and every encoder prints a
// redaction.
type Keys struct {
	// Behind a function, because fmt prints the unexported fields of a struct
	// that holds Keys without asking Format, and follows pointers for a verb
	// that does not suit them; what a function returns it cannot see.
	secret func() secretKeys
}

type secretKeys struct {
	signing ed25519.PrivateKey
	sealing hpke.PrivateKey // nil for members that are not sites
}

// GenerateKeys makes fresh keys for a member of the given role; only sites get
// a sealing key.
func GenerateKeys(role Role) (*Keys, error) {
	_, signing, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	secret := secretKeys{signing: signing}
	if role == RoleSite {
		if secret.sealing, err = kem.GenerateKey(); err != nil {
			return nil, err
		}
	}
	return hide(secret), nil
}

func hide(secret secretKeys) *Keys {
	return &Keys{func() secretKeys { return secret }}
}

// Signing returns the private signing key.
func (k *Keys) Signing() ed25519.PrivateKey { return k.secret().signing }

// Public returns the public signing key.
func (k *Keys) Public() ed25519.PublicKey {
	return k.secret().signing.Public().(ed25519.PublicKey)
}

// SealingPublic returns the public sealing key, nil if there is none.
func (k *Keys) SealingPublic() []byte {
	if k.secret().sealing == nil {
		return nil
	}
	return k.secret().sealing.PublicKey().Bytes()
}

// Format prints a redaction whatever the verb.
func (Keys) Format(f fmt.State, _ rune) { io.WriteString(f, "[private keys]") }

// MarshalText keeps keys out of every text encoding.
func (Keys) MarshalText() ([]byte, error) {
	return nil, errors.New("private keys are not encoded")
}

// MarshalJSON keeps keys out of JSON.
func (k Keys) MarshalJSON() ([]byte, error) { return k.MarshalText() }

// save writes the keys into a directory, each file complete or absent.
func (k *Keys) save(dir string) error {
	if k.secret().sealing != nil {
		raw, err := k.secret().sealing.Bytes()
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, sealingKeyFile), pem.EncodeToMemory(&pem.Block{Type: hpkeBlock, Bytes: raw})); err != nil {
			return err
		}
	}
	return saveSigningKey(filepath.Join(dir, signingKeyFile), k.secret().signing)
}

// loadKeys reads the keys of a directory.
func loadKeys(dir string, role Role) (*Keys, error) {
	signing, err := loadSigningKey(filepath.Join(dir, signingKeyFile))
	if err != nil {
		return nil, err
	}
	secret := secretKeys{signing: signing}
	if role == RoleSite {
		raw, err := readPEM(filepath.Join(dir, sealingKeyFile), hpkeBlock)
		if err != nil {
			return nil, err
		}
		if secret.sealing, err = kem.NewPrivateKey(raw); err != nil {
			return nil, fmt.Errorf("%s does not hold a sealing key", sealingKeyFile)
		}
	}
	return hide(secret), nil
}

func saveSigningKey(path string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writeFile(path, pem.EncodeToMemory(&pem.Block{Type: pkcs8Block, Bytes: der}))
}

func loadSigningKey(path string) (ed25519.PrivateKey, error) {
	der, err := readPEM(path, pkcs8Block)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s does not hold a PKCS #8 private key", path)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key that is not Ed25519", path)
	}
	return key, nil
}

// readPEM reads a private file that holds exactly one PEM block of a type.
func readPEM(path, blockType string) ([]byte, error) {
	text, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != blockType || len(rest) != 0 {
		return nil, fmt.Errorf("%s does not hold one PEM block of type %s", path, blockType)
	}
	return block.Bytes, nil
}

func savePublicKey(path string, key ed25519.PublicKey) error {
	text, err := FormatPublicKey(key)
	if err != nil {
		return err
	}
	return writeFile(path, text)
}

func loadPublicKey(path string) (ed25519.PublicKey, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return ParsePublicKey(text)
}

// ParsePublicKey reads the one Ed25519 key of a PEM file such as governance.pub.
func ParsePublicKey(text []byte) (ed25519.PublicKey, error) {
	block, rest := pem.Decode(text)
	if block == nil || block.Type != publicBlock || len(rest) != 0 {
		return nil, errors.New("not one PEM public key")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("not a public key")
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("not an Ed25519 public key")
	}
	return key, nil
}

// FormatPublicKey writes what ParsePublicKey reads.
func FormatPublicKey(key ed25519.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}
