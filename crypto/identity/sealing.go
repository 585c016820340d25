package identity

import (
	"crypto/hpke"
	"encoding/binary"
	"errors"
)

// The one suite: MLKEM768-P256, HKDF-SHA256, AES-256-GCM.
var (
	kem  = hpke.MLKEM768P256()
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

// SealTo encrypts plaintext to the recipient's public sealing key. It opens
// only under the same info.
func SealTo(recipient, info, plaintext []byte) ([]byte, error) {
	key, err := kem.NewPublicKey(recipient)
	if err != nil {
		return nil, errors.New("recipient's sealing key is not an MLKEM768-P256 key")
	}
	return hpke.Seal(key, kdf, aead, info, plaintext)
}

// Unseal decrypts what was sealed to these keys under the same info.
func (k *Keys) Unseal(info, sealed []byte) ([]byte, error) {
	if k.secret().sealing == nil {
		return nil, errors.New("only a site has a key to unseal with")
	}
	plaintext, err := hpke.Open(k.secret().sealing, kdf, aead, info, sealed)
	if err != nil {
		return nil, errors.New("sealed bytes do not open: they were damaged, or sealed for another round, sender or recipient")
	}
	return plaintext, nil
}

// ShareInfo binds a sealed key share to its round, sender and recipient. Each
// part is preceded by its length, so that no two triples give the same bytes.
func ShareInfo(round [32]byte, sender, recipient string) []byte {
	var info []byte
	for _, part := range []string{"consilium key share v1", string(round[:]), sender, recipient} {
		info = binary.BigEndian.AppendUint64(info, uint64(len(part)))
		info = append(info, part...)
	}
	return info
}
