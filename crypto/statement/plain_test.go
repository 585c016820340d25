package statement

import (
	"bytes"
	"reflect"
	"testing"
)

// What parsePlain reads is what the canonical decoder reads, and it reads every
// envelope that Sign makes.
func TestThePlainSpellingIsTheCanonicalOne(t *testing.T) {
	env := signed(t)
	if _, _, ok := parsePlain(env); !ok {
		t.Fatal("an envelope that Sign made is not read")
	}
	agree := func(data []byte) {
		t.Helper()
		plain, signed, ok := parsePlain(data)
		var canonical envelope
		if err := decodeAny(data, reflect.ValueOf(&canonical)); ok && (err != nil || !reflect.DeepEqual(*plain, canonical) || !bytes.Equal(signed, preAuthentication(canonical.PayloadType, canonical.Payload))) {
			t.Errorf("%q is read as %+v; canonically %+v, %v", data, plain, canonical, err)
		}
	}
	for i := range env {
		for _, b := range []byte("\"\\\n =AZ/+-_{}[],:\x00\x7f\xff") {
			changed := bytes.Clone(env)
			changed[i] = b
			agree(changed)
			agree(append(append(bytes.Clone(env[:i]), b), env[i:]...))
		}
		agree(env[:i])
		agree(append(bytes.Clone(env[:i]), env[i+1:]...))
	}
}

func FuzzPlainEnvelope(f *testing.F) {
	env, err := Sign(KindApproval, approval, "north", key("north"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(env)
	f.Add([]byte(`{"payloadType":"a","payload":"","signatures":[{"keyid":"","sig":""}]}`))
	f.Add([]byte(`{"payloadType":"a<","payload":"QQ==","signatures":[{"keyid":"b","sig":"QR=="}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		plain, signed, ok := parsePlain(data)
		var canonical envelope
		if err := decodeAny(data, reflect.ValueOf(&canonical)); ok && (err != nil || !reflect.DeepEqual(*plain, canonical) || !bytes.Equal(signed, preAuthentication(canonical.PayloadType, canonical.Payload))) {
			t.Errorf("%q is read as %+v; canonically %+v, %v", data, plain, canonical, err)
		}
	})
}
