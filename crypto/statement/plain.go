package statement

import (
	"bytes"
	"encoding/base64"
)

// strict base64 has one spelling for every value.
var strict = base64.StdEncoding.Strict()

// parsePlain reads the canonical spelling of an envelope with one signature
// whose words need no escapes, which is every envelope that Sign makes. It reads
// nothing else: whatever else an envelope may be, parse finds out.
func parsePlain(data []byte) (*envelope, bool) {
	r := reader{rest: data, ok: true}
	r.skip(`{"payloadType":"`)
	kind := r.word()
	r.skip(`,"payload":"`)
	payload := r.bytes()
	r.skip(`,"signatures":[{"keyid":"`)
	keyid := r.word()
	r.skip(`,"sig":"`)
	sig := r.bytes()
	r.skip(`}]}`)
	if !r.ok || len(r.rest) > 0 {
		return nil, false
	}
	return &envelope{Kind(kind), payload, []signature{{keyid, sig}}}, true
}

// reader takes an envelope apart until something is not as expected.
type reader struct {
	rest []byte
	ok   bool
}

func (r *reader) skip(text string) {
	rest, found := bytes.CutPrefix(r.rest, []byte(text))
	r.rest, r.ok = rest, r.ok && found
}

// quoted returns what comes before the next quotation mark.
func (r *reader) quoted() []byte {
	text, rest, found := bytes.Cut(r.rest, []byte(`"`))
	r.rest, r.ok = rest, r.ok && found
	return text
}

func (r *reader) word() string {
	text := r.quoted()
	for _, c := range text {
		if c < ' ' || c > '~' || c == '\\' {
			r.ok = false
		}
	}
	return string(text)
}

func (r *reader) bytes() []byte {
	text := r.quoted()
	decoded := make([]byte, strict.DecodedLen(len(text)))
	n, err := strict.Decode(decoded, text)
	// The decoder passes over line ends, which are another spelling.
	if err != nil || strict.EncodedLen(n) != len(text) {
		r.ok = false
		return nil
	}
	return decoded[:n]
}
