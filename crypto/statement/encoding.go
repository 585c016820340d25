package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"
)

// ErrEncoding says that bytes are not the one canonical encoding of a value.
var ErrEncoding = errors.New("not the canonical encoding")

// Encode returns the one canonical JSON of v: fields in the order of the
// struct, no insignificant space, no HTML escapes, no final newline. The times
// among v's own fields are written in UTC and cut to whole seconds; v itself
// is not changed.
func Encode(v any) ([]byte, error) {
	if plain, ok := encodePlain(v); ok {
		return plain, nil
	}
	return encodeAny(v)
}

// encodeAny is Encode by encoding/json, whatever the value.
func encodeAny(v any) ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(wholeSeconds(v)); err != nil {
		return nil, fmt.Errorf("cannot encode a %T: %w", v, err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// Decode reads the canonical JSON in payload into v, which must be a pointer,
// and refuses every other spelling: whatever Encode would write differently is
// not a statement. v is changed only on success.
func Decode(payload []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return fmt.Errorf("decode needs a pointer to fill, got %T", v)
	}
	// A fresh value: fields the input leaves out must not keep what v held.
	fresh := reflect.New(target.Type().Elem())
	if decodePlain(payload, fresh.Elem()) {
		target.Elem().Set(fresh.Elem())
		return nil
	}
	return decodeAny(payload, target)
}

// decodeAny is Decode by encoding/json, whatever the spelling: it tells the
// canonical one by writing the value again.
func decodeAny(payload []byte, target reflect.Value) error {
	fresh := reflect.New(target.Type().Elem())
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	if err := dec.Decode(fresh.Interface()); err != nil {
		return fmt.Errorf("%w of a %s: %w", ErrEncoding, fresh.Type().Elem(), quiet(err))
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w of a %s: data after the end", ErrEncoding, fresh.Type().Elem())
	}
	if absentList(fresh.Elem()) {
		return fmt.Errorf("%w of a %s: an empty list is [], not null", ErrEncoding, fresh.Type().Elem())
	}
	again, err := encodeAny(fresh.Interface())
	if err != nil {
		return err
	}
	if !bytes.Equal(again, payload) {
		return fmt.Errorf("%w of a %s: the same value is written differently", ErrEncoding, fresh.Type().Elem())
	}
	target.Elem().Set(fresh.Elem())
	return nil
}

// absentList reports a null where v's own fields have a list. Encode writes one
// for a nil slice, so that null and [] would be two spellings of no elements;
// fields that may be left out are left out.
func absentList(v reflect.Value) bool {
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		_, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if f := v.Field(i); f.Kind() == reflect.Slice && f.IsNil() && !strings.Contains(options, "omitempty") {
			return true
		}
	}
	return false
}

// quiet drops what an encoding/json error quotes from the input.
func quiet(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("field %q has the wrong type", wrong.Field)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("broken JSON at byte %d", syntax.Offset)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("cut short")
	}
	return errors.New("an unknown or unreadable field")
}

var timeType = reflect.TypeFor[time.Time]()

// wholeSeconds returns a shallow copy of the struct v, or *v, whose times are
// in UTC and whole seconds; anything else is returned as it is.
func wholeSeconds(v any) any {
	given := reflect.Indirect(reflect.ValueOf(v))
	if given.Kind() != reflect.Struct {
		return v
	}
	shallow := reflect.New(given.Type())
	shallow.Elem().Set(given)
	for i := range given.NumField() {
		if f := shallow.Elem().Field(i); f.Type() == timeType && f.CanSet() {
			f.Set(reflect.ValueOf(f.Interface().(time.Time).UTC().Truncate(time.Second)))
		}
	}
	return shallow.Interface()
}
