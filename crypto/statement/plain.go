package statement

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// strict base64 has one spelling for every value.
var strict = base64.StdEncoding.Strict()

// parsePlain reads the canonical spelling of an envelope with one signature
// whose words need no escapes, which is every envelope that Sign makes. It reads
// nothing else: whatever else an envelope may be, parse finds out. The payload is
// decoded into the bytes that are signed.
func parsePlain(data []byte) (env *envelope, signed []byte, ok bool) {
	r := reader{rest: data, ok: true}
	r.skip(`{"payloadType":"`)
	kind := Kind(r.word())
	r.skip(`,"payload":"`)
	text := r.quoted()
	length := max(0, strict.DecodedLen(len(text))-len(text)+len(bytes.TrimRight(text, "=")))
	signed = beforePayload(kind, length)
	from := len(signed)
	signed = r.base64(signed, text)
	r.skip(`,"signatures":[{"keyid":"`)
	keyid := r.word()
	r.skip(`,"sig":"`)
	sig := r.base64([]byte{}, r.quoted())
	r.skip(`}]}`)
	if !r.done() || len(signed) != from+length {
		return nil, nil, false
	}
	return &envelope{kind, slices.Clip(signed[from:]), []signature{{keyid, sig}}}, signed, true
}

// reader takes canonical JSON apart until something is not as expected.
type reader struct {
	rest []byte
	ok   bool
}

// fail says that what is there is not plain. Nothing is read any more.
func (r *reader) fail() { r.rest, r.ok = nil, false }

// done reports whether everything was as expected, to the end.
func (r *reader) done() bool { return r.ok && len(r.rest) == 0 }

func (r *reader) next(text string) bool {
	return len(r.rest) >= len(text) && string(r.rest[:len(text)]) == text
}

// take is skip for what may be absent.
func (r *reader) take(text string) bool {
	if !r.next(text) {
		return false
	}
	r.rest = r.rest[len(text):]
	return true
}

func (r *reader) skip(text string) {
	if !r.take(text) {
		r.fail()
	}
}

// quoted returns what comes before the next quotation mark.
func (r *reader) quoted() []byte {
	end := bytes.IndexByte(r.rest, '"')
	if end < 0 {
		r.fail()
		return nil
	}
	text := r.rest[:end]
	r.rest = r.rest[end+1:]
	return text
}

// word reads a string that needs no escapes, up to the quotation mark after it.
func (r *reader) word() string {
	text := r.quoted()
	if !plainText(text) {
		r.fail()
		return ""
	}
	return string(text)
}

// plainText reports whether JSON writes a string as it is.
func plainText[T string | []byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '\\' || c == '"' {
			return false
		}
	}
	return true
}

// base64 appends what the text stands for.
func (r *reader) base64(to, text []byte) []byte {
	out, err := strict.AppendDecode(slices.Grow(to, strict.DecodedLen(len(text))), text)
	// The decoder passes over line ends, which are another spelling.
	if err != nil || strict.EncodedLen(len(out)-len(to)) != len(text) {
		r.fail()
		return nil
	}
	return out
}

// digest reads hex digits in lower case, up to the quotation mark after them.
func (r *reader) digest(d *Digest) {
	if len(r.rest) <= 2*len(d) || r.rest[2*len(d)] != '"' {
		r.fail()
		return
	}
	wrong := byte(0)
	for i := range d {
		high, low := nibbles[r.rest[2*i]], nibbles[r.rest[2*i+1]]
		wrong |= high | low
		d[i] = high<<4 | low
	}
	if wrong > 0x0f {
		r.fail()
		return
	}
	r.rest = r.rest[2*len(d)+1:]
}

// nibbles are the values of the hex digits in lower case, and 0xff of every
// other byte.
var nibbles = func() (table [256]byte) {
	for c := range table {
		table[c] = 0xff
	}
	for v, c := range []byte("0123456789abcdef") {
		table[c] = byte(v)
	}
	return table
}()
