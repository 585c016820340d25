package statement

import (
	"bytes"
	"crypto/ed25519"
	"reflect"

	"github.com/consilium-fl/consilium/crypto/memo"
)

// opened is an envelope that Open has verified and decoded.
type opened struct {
	kind      Kind
	signer    string
	key       ed25519.PublicKey
	payload   []byte
	statement reflect.Value
}

// openings are the envelopes opened lately, by the digest of their bytes. A
// committee opens every contributor's header, and a call that is repeated opens
// its statement again.
var openings = memo.New[opened](8 << 20)

// is reports whether an envelope was opened as what it is asked for now.
func (o opened) is(kind Kind, v any) bool {
	target := reflect.ValueOf(v)
	return o.kind == kind && target.Kind() == reflect.Pointer && !target.IsNil() && target.Type().Elem() == o.statement.Type()
}

func remember(name memo.Key, kind Kind, signer string, key ed25519.PublicKey, payload []byte, v any) {
	kept := reflect.New(reflect.TypeOf(v).Elem()).Elem()
	kept.Set(reflect.ValueOf(v).Elem())
	clip(kept)
	// The value's strings and lists take about what they take in JSON.
	openings.Put(name, opened{kind, signer, bytes.Clone(key), payload, kept}, 3*len(payload))
}

// clip leaves a struct's lists no room to grow in: who appends to one of them
// makes a list of his own.
func clip(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		if f := v.Field(i); f.Kind() == reflect.Slice && f.CanSet() {
			f.Set(f.Slice3(0, f.Len(), f.Len()))
		}
	}
}
