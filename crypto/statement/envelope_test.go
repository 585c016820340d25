package statement

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// key returns a fixed key: the same seed, the same key.
func key(seed string) ed25519.PrivateKey {
	d := DigestOf([]byte(seed))
	return ed25519.NewKeyFromSeed(d[:])
}

// keyring answers for exactly the given names.
func keyring(names ...string) func(string) (ed25519.PublicKey, error) {
	return func(keyid string) (ed25519.PublicKey, error) {
		for _, name := range names {
			if name == keyid {
				return key(name).Public().(ed25519.PublicKey), nil
			}
		}
		return nil, fmt.Errorf("%q is not a member", keyid)
	}
}

var approval = Approval{
	Study:    DigestOf([]byte("study")),
	Site:     "north",
	Approved: true,
	Reason:   "fits <our> policy & more",
	Time:     time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
}

func signed(t testing.TB) []byte {
	t.Helper()
	env, err := Sign(KindApproval, approval, "north", key("north"))
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func TestASignedStatementOpens(t *testing.T) {
	var got Approval
	payload, err := Open(signed(t), KindApproval, &got, keyring("north"))
	if err != nil {
		t.Fatal(err)
	}
	if got != approval {
		t.Errorf("opened %+v, signed %+v", got, approval)
	}
	want, _ := Encode(approval)
	if !bytes.Equal(payload, want) {
		t.Errorf("payload %s, want %s", payload, want)
	}
	kind, shown, err := Payload(signed(t))
	if err != nil || kind != KindApproval || !bytes.Equal(shown, payload) {
		t.Errorf("Payload gave %s, %s, %v", kind, shown, err)
	}
}

// The example of the DSSE v1 specification, protocol.md.
func TestPreAuthenticationIsDSSE(t *testing.T) {
	got := preAuthentication("http://example.com/HelloWorld", []byte("hello world"))
	const want = "DSSEv1 29 http://example.com/HelloWorld 11 hello world"
	if string(got) != want {
		t.Errorf("PAE %q, want %q", got, want)
	}
}

// Other DSSE implementations can verify our envelopes: the signature is plain
// Ed25519 over the PAE of the decoded payload.
func TestEnvelopeIsPlainDSSE(t *testing.T) {
	var env struct {
		PayloadType string `json:"payloadType"`
		Payload     string `json:"payload"`
		Signatures  []struct{ KeyID, Sig string }
	}
	if err := json.Unmarshal(signed(t), &env); err != nil {
		t.Fatal(err)
	}
	payload, _ := base64.StdEncoding.DecodeString(env.Payload)
	sig, _ := base64.StdEncoding.DecodeString(env.Signatures[0].Sig)
	message := fmt.Sprintf("DSSEv1 %d %s %d %s", len(env.PayloadType), env.PayloadType, len(payload), payload)
	if !ed25519.Verify(key("north").Public().(ed25519.PublicKey), []byte(message), sig) {
		t.Error("signature is not over the DSSE v1 PAE")
	}
}

func TestASignatureOnOneKindIsWorthlessOnAnother(t *testing.T) {
	env := signed(t)
	var got Approval
	if _, err := Open(env, KindDecline, &got, keyring("north")); !errors.Is(err, ErrSecurity) {
		t.Errorf("opened as another kind: %v", err)
	}
	moved := bytes.Replace(env, []byte(KindApproval), []byte(KindDecline), 1)
	if _, err := Open(moved, KindDecline, &got, keyring("north")); !errors.Is(err, ErrSecurity) {
		t.Errorf("relabelled envelope: %v", err)
	}
	if got != (Approval{}) {
		t.Error("a refused envelope filled the statement")
	}
}

func TestEveryKindIsItsOwnDomain(t *testing.T) {
	kinds := []Kind{KindRoster, KindEnrolment, KindProposal, KindStart, KindApproval, KindPlan, KindDecline,
		KindContributionHeader, KindReceipt, KindOpeningRequest, KindOpeningShare, KindOpeningFault,
		KindRoundEnd, KindStudyEnd, KindAudit, KindRelease, KindReleaseOverride, KindReleaseDecision, KindCard}
	seen := map[string]Kind{}
	for _, k := range kinds {
		pae := string(preAuthentication(k, []byte("{}")))
		if other, dup := seen[pae]; dup {
			t.Errorf("%s and %s share a domain", k, other)
		}
		seen[pae] = k
	}
}

func TestOnlyTheNamedMemberSigns(t *testing.T) {
	if _, err := Sign(KindApproval, approval, "south", key("south")); !errors.Is(err, ErrSecurity) {
		t.Errorf("south signed for north: %v", err)
	}
	// south builds the envelope by hand.
	payload, _ := Encode(approval)
	env, err := Encode(envelope{KindApproval, payload, []signature{{"south", ed25519.Sign(key("south"), preAuthentication(KindApproval, payload))}}})
	if err != nil {
		t.Fatal(err)
	}
	var got Approval
	if _, err := Open(env, KindApproval, &got, keyring("north", "south")); !errors.Is(err, ErrSecurity) {
		t.Errorf("north's statement signed by south: %v", err)
	}
	// The key id is not under the signature: claiming north's does not help.
	renamed := bytes.Replace(env, []byte(`"south"`), []byte(`"north"`), 1)
	if _, err := Open(renamed, KindApproval, &got, keyring("north", "south")); !errors.Is(err, ErrSecurity) {
		t.Errorf("south's signature under north's name: %v", err)
	}
	if _, err := Open(signed(t), KindApproval, &got, keyring("south")); err == nil {
		t.Error("opened a stranger's statement")
	}
}

func TestAFlippedBitIsRefused(t *testing.T) {
	env := signed(t)
	for i := range env {
		for bit := range 8 {
			bad := bytes.Clone(env)
			bad[i] ^= 1 << bit
			var got Approval
			if _, err := Open(bad, KindApproval, &got, keyring("north")); err == nil {
				t.Fatalf("bit %d of byte %d flipped, still opens", bit, i)
			}
		}
	}
	for i := range env {
		var got Approval
		if _, err := Open(env[:i], KindApproval, &got, keyring("north")); err == nil {
			t.Fatalf("opens when cut to %d bytes", i)
		}
	}
}

func TestEnvelopeHasOneSpelling(t *testing.T) {
	env := string(signed(t))
	var parsed envelope
	if err := Decode([]byte(env), &parsed); err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(parsed.Payload)
	raw := base64.RawStdEncoding.EncodeToString(parsed.Payload)
	sig := base64.StdEncoding.EncodeToString(parsed.Signatures[0].Sig)
	spellings := map[string]string{
		"trailing newline":         env + "\n",
		"leading space":            " " + env,
		"space after colon":        strings.Replace(env, `"payload":`, `"payload": `, 1),
		"trailing data":            env + "{}",
		"unknown field":            strings.Replace(env, `{"payloadType"`, `{"extra":1,"payloadType"`, 1),
		"duplicate payload":        strings.Replace(env, `"payload":`, `"payload":"e30=","payload":`, 1),
		"case of a key":            strings.Replace(env, `"payloadType"`, `"payloadtype"`, 1),
		"case of keyid":            strings.Replace(env, `"keyid"`, `"KeyID"`, 1),
		"line break in base64":     strings.Replace(env, encoded, encoded[:8]+`\n`+encoded[8:], 1),
		"base64 padding left away": strings.Replace(env, encoded, raw, 1),
		"loose bits in base64":     strings.Replace(env, sig, sig[:len(sig)-3]+"h==", 1),
		"URL base64":               strings.Replace(env, sig, base64.URLEncoding.EncodeToString(parsed.Signatures[0].Sig), 1),
		"escaped key":              strings.Replace(env, `"payload"`, `"\u0070ayload"`, 1),
		"escaped slash":            strings.Replace(env, `application/`, `application\/`, 1),
		"no signatures":            env[:strings.Index(env, `"signatures"`)] + `"signatures":[]}`,
		"null signatures":          env[:strings.Index(env, `"signatures"`)] + `"signatures":null}`,
		"two signatures":           strings.Replace(env, `"signatures":[`, `"signatures":[{"keyid":"north","sig":"`+sig+`"},`, 1),
		"byte order mark":          "\ufeff" + env,
		"empty":                    "",
		"null":                     "null",
	}
	for name, spelling := range spellings {
		if spelling == env {
			continue // this signature has no such character
		}
		var got Approval
		if _, err := Open([]byte(spelling), KindApproval, &got, keyring("north")); err == nil {
			t.Errorf("%s: opens", name)
		}
		if _, _, err := Payload([]byte(spelling)); err == nil {
			t.Errorf("%s: Payload reads it", name)
		}
	}
}

func TestAnOversizedEnvelopeIsNotParsed(t *testing.T) {
	huge := bytes.Repeat([]byte(" "), MaxEnvelope+1)
	if _, _, err := Payload(huge); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
	release := Release{Body: make([]byte, MaxEnvelope)}
	if _, err := Sign(KindRelease, release, "coordinator", key("coordinator")); err == nil {
		t.Error("signed an envelope that nobody would read")
	}
}

func TestSignNeedsANameAndAKey(t *testing.T) {
	if _, err := Sign(KindReceipt, Receipt{}, "", key("c")); err == nil {
		t.Error("signed without a name")
	}
	if _, err := Sign(KindReceipt, Receipt{}, "c", nil); err == nil {
		t.Error("signed without a key")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(signed(f))
	f.Add([]byte(`{"payloadType":"","payload":"","signatures":[{"keyid":"north","sig":""}]}`))
	f.Add([]byte(`{}`))
	genuine, _ := Encode(approval)
	f.Fuzz(func(t *testing.T, data []byte) {
		var got Approval
		if payload, err := Open(data, KindApproval, &got, keyring("north")); err == nil && !bytes.Equal(payload, genuine) {
			t.Fatalf("a forged statement opens: %s", payload)
		}
		if kind, payload, err := Payload(data); err == nil {
			var env envelope
			if err := Decode(data, &env); err != nil || env.PayloadType != kind || !bytes.Equal(env.Payload, payload) {
				t.Fatal("Payload reads what Decode refuses")
			}
		}
	})
}
