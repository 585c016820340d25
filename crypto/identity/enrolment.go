package identity

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"

	"github.com/consilium-fl/consilium/crypto/statement"
)

const (
	enrolmentFile  = "enrolment.json"
	invitationFile = "invitation" // there while an enrolment is unfinished
)

// NewEnrolment makes a newcomer's keys in dir and returns its signed enrolment.
// Called again with the same token, after an interruption, it returns the same
// bytes; with another token for the same name it enrols the same keys.
func NewEnrolment(token, dir string) ([]byte, error) {
	inv, err := ParseToken(token)
	if err != nil {
		return nil, err
	}
	if exists(filepath.Join(dir, certificateFile)) {
		return nil, fmt.Errorf("%s already holds an enrolled identity: choose another directory", dir)
	}
	if name, err := readFile(filepath.Join(dir, nameFile)); err == nil {
		if string(name) != inv.Name+"\n" {
			return nil, fmt.Errorf("%s holds the unfinished enrolment of another name: choose another directory", dir)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	} else if err := writeFile(filepath.Join(dir, nameFile), []byte(inv.Name+"\n")); err != nil {
		return nil, err
	}
	if held, envelope, err := UnfinishedEnrolment(dir); err == nil && held.token == inv.token {
		return envelope, nil
	}
	keys, err := loadKeys(dir, inv.Role)
	if errors.Is(err, fs.ErrNotExist) {
		if keys, err = GenerateKeys(inv.Role); err == nil {
			err = keys.save(dir)
		}
	}
	if err != nil {
		return nil, err
	}
	request, err := newCertificateRequest(inv.Name, keys.Signing())
	if err != nil {
		return nil, err
	}
	envelope, err := statement.Sign(statement.KindEnrolment, statement.Enrolment{
		TokenDigest:        inv.Digest(),
		Name:               inv.Name,
		Role:               string(inv.Role),
		SigningKey:         keys.Public(),
		SealingKey:         keys.SealingPublic(),
		CertificateRequest: request,
	}, inv.Name, keys.Signing())
	if err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, enrolmentFile), envelope); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, invitationFile), []byte(inv.token+"\n")); err != nil {
		return nil, err
	}
	return envelope, nil
}

// UnfinishedEnrolment returns the invitation and the enrolment of a directory
// whose enrolment has not been finished; fs.ErrNotExist if there is none.
func UnfinishedEnrolment(dir string) (*Invitation, []byte, error) {
	token, err := readFile(filepath.Join(dir, invitationFile))
	if err != nil {
		return nil, nil, err
	}
	inv, err := ParseToken(string(token))
	if err != nil {
		return nil, nil, err
	}
	envelope, err := readFile(filepath.Join(dir, enrolmentFile))
	if err != nil {
		return nil, nil, err
	}
	e, err := OpenEnrolment(envelope)
	if err != nil {
		return nil, nil, err
	}
	return inv, envelope, inv.Covers(e)
}

// OpenEnrolment verifies an enrolment: signed by the key it carries, with a
// certificate request by the same key, and keys fit for its role.
func OpenEnrolment(envelope []byte) (*statement.Enrolment, error) {
	if len(envelope) > maxToken*4 {
		return nil, fmt.Errorf("enrolment of %d bytes is too large", len(envelope))
	}
	// The key is inside: it is read before the signature is verified, and
	// believed only when the signature verifies under it.
	_, payload, err := statement.Payload(envelope)
	if err != nil {
		return nil, err
	}
	var claimed, e statement.Enrolment
	if err := statement.Decode(payload, &claimed); err != nil {
		return nil, err
	}
	if _, err := statement.Open(envelope, statement.KindEnrolment, &e, func(string) (ed25519.PublicKey, error) {
		return claimed.SigningKey, nil
	}); err != nil {
		return nil, err
	}
	m := EnrolledMember(&e)
	if m.Role == RoleCoordinator {
		return nil, fmt.Errorf("%w: a coordinator does not enrol", ErrSecurity)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	return &e, checkCertificateRequest(e.CertificateRequest, m)
}

// EnrolledMember is the line of the roster that an enrolment asks for.
func EnrolledMember(e *statement.Enrolment) Member {
	return Member{Name: e.Name, Role: Role(e.Role), SigningKey: e.SigningKey, SealingKey: e.SealingKey}
}

// FinishEnrolment verifies the rosters against the governance key of the
// invitation, that the newest lists this newcomer with its own keys, and the
// certificate; then it saves them. OpenNode works from then on.
func FinishEnrolment(dir string, invitation *Invitation, certificate []byte, rosters [][]byte) error {
	name, err := readFile(filepath.Join(dir, nameFile))
	if err != nil {
		return err
	}
	if strings.TrimSuffix(string(name), "\n") != invitation.Name {
		return fmt.Errorf("%s holds the identity of another member", dir)
	}
	keys, err := loadKeys(dir, invitation.Role)
	if err != nil {
		return err
	}
	chain := NewChain(invitation.Governance)
	for _, envelope := range rosters {
		if err := chain.Append(envelope); err != nil {
			return err
		}
	}
	roster := chain.Latest()
	if roster == nil || roster.Consortium != invitation.Consortium {
		return fmt.Errorf("%w: the coordinator gave no roster of the inviting consortium", ErrSecurity)
	}
	listed, ok := roster.Member(invitation.Name)
	if !ok {
		return fmt.Errorf("%w: %q is not on roster %d", ErrNotMember, invitation.Name, roster.Number)
	}
	if listed.Role != invitation.Role || !bytes.Equal(listed.SigningKey, keys.Public()) || !bytes.Equal(listed.SealingKey, keys.SealingPublic()) {
		return fmt.Errorf("%w: roster %d lists %q with keys that were not made here; someone else enrolled with this invitation: tell the consortium",
			ErrSecurity, roster.Number, invitation.Name)
	}
	if _, err := checkOwn(certificate, invitation.Name, keys, roster); err != nil {
		return err
	}
	var mu sync.Mutex
	saved := NewChain(invitation.Governance)
	if err := loadRosters(dir, saved); err != nil {
		return err
	}
	for _, envelope := range rosters {
		if err := appendRoster(&mu, dir, saved, envelope); err != nil {
			return err
		}
	}
	if err := savePublicKey(filepath.Join(dir, governanceFile), invitation.Governance); err != nil {
		return err
	}
	// The certificate comes last: it marks the directory as complete.
	if err := saveCertificate(dir, certificate); err != nil {
		return err
	}
	return removeFile(filepath.Join(dir, invitationFile))
}
