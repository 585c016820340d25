package statement

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A shape writes and reads the canonical encoding of a type in one pass, where
// the value's strings need no escapes. What it writes is what encoding/json
// writes, and it reads nothing else: a reader that goes on only where a writer
// would have written just that needs no second writing to compare. Whatever it
// does not know, a type or a spelling, is left to encoding/json, which decides.
type shape struct {
	// write appends a value; false means that it has no plain spelling.
	write func(b []byte, v reflect.Value) ([]byte, bool)
	// read fills a value that is zero and can be set.
	read func(r *reader, v reflect.Value)
}

// shapes are those of the types met so far, nil for those that have none.
var shapes sync.Map // reflect.Type to *shape

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := newShape(t, 0)
	shapes.Store(t, s)
	return s
}

// encodePlain is Encode for what has a plain spelling.
func encodePlain(v any) ([]byte, bool) {
	given := reflect.ValueOf(v)
	if given.Kind() == reflect.Pointer {
		given = given.Elem()
	}
	if !given.IsValid() {
		return nil, false
	}
	s := shapeOf(given.Type())
	if s == nil {
		return nil, false
	}
	if !given.CanAddr() {
		addressed := reflect.New(given.Type()).Elem()
		addressed.Set(given)
		given = addressed
	}
	return s.write(make([]byte, 0, 512), given)
}

// decodePlain is Decode into a zero value, for what has a plain spelling. What it
// could not read is filled in part.
func decodePlain(payload []byte, v reflect.Value) bool {
	if v.Type() == rawType {
		return decodeRaw(payload, v)
	}
	s := shapeOf(v.Type())
	if s == nil {
		return false
	}
	r := reader{rest: payload, ok: true}
	s.read(&r, v)
	return r.done()
}

// decodeRaw takes JSON that has no space to leave out.
func decodeRaw(payload []byte, v reflect.Value) bool {
	compact := bytes.NewBuffer(make([]byte, 0, len(payload)))
	if err := json.Compact(compact, payload); err != nil || compact.Len() != len(payload) {
		return false
	}
	v.SetBytes(compact.Bytes())
	return true
}

var (
	digestType  = reflect.TypeFor[Digest]()
	digestsType = reflect.TypeFor[[]Digest]()
	stringsType = reflect.TypeFor[[]string]()
	rawType     = reflect.TypeFor[json.RawMessage]()

	// A type with its own way of writing or reading has no shape.
	ownWays = []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	}
)

// deepest is how far types are followed: one that contains itself has no shape.
const deepest = 8

func newShape(t reflect.Type, depth int) *shape {
	switch t {
	case digestType:
		return &shape{writeDigest, readDigest}
	case timeType:
		return &shape{writeTime, readTime}
	case digestsType:
		return &shape{writeDigests, readDigests}
	case stringsType:
		return &shape{writeStrings, readStrings}
	}
	if depth == deepest {
		return nil
	}
	if t.Kind() == reflect.Pointer { // whose methods are its target's
		return pointerShape(t, depth)
	}
	for _, own := range ownWays {
		if t.Implements(own) || reflect.PointerTo(t).Implements(own) {
			return nil
		}
	}
	switch t.Kind() {
	case reflect.String:
		return &shape{writeString, readString}
	case reflect.Bool:
		return &shape{writeBool, readBool}
	case reflect.Int, reflect.Int64:
		return &shape{writeInt, readInt}
	case reflect.Uint64:
		return &shape{writeUint, readUint}
	case reflect.Float64:
		return &shape{writeFloat, readFloat}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return bytesShape(t)
		}
		return listShape(t, depth)
	case reflect.Struct:
		return structShape(t, depth)
	}
	return nil
}

func writeDigest(b []byte, v reflect.Value) ([]byte, bool) {
	return appendDigest(b, v.Addr().Interface().(*Digest)), true
}

func appendDigest(b []byte, d *Digest) []byte {
	b = append(b, '"')
	b = hex.AppendEncode(b, d[:])
	return append(b, '"')
}

func readDigest(r *reader, v reflect.Value) {
	r.skip(`"`)
	r.digest(v.Addr().Interface().(*Digest))
}

func writeDigests(b []byte, v reflect.Value) ([]byte, bool) {
	list := *v.Addr().Interface().(*[]Digest)
	if list == nil {
		return append(b, "null"...), true
	}
	b = slices.Grow(b, len(list)*(2*len(Digest{})+3)+2)
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendDigest(b, &list[i])
	}
	return append(b, ']'), true
}

func readDigests(r *reader, v reflect.Value) {
	// No digest has a bracket. A list is as long as the bytes that are there.
	most := (bytes.IndexByte(r.rest, ']') + 1) / (2*len(Digest{}) + 3)
	list := make([]Digest, 0, most)
	r.list(func() {
		r.skip(`"`)
		list = append(list, Digest{})
		r.digest(&list[len(list)-1])
	})
	*v.Addr().Interface().(*[]Digest) = list
}

func writeStrings(b []byte, v reflect.Value) ([]byte, bool) {
	list := *v.Addr().Interface().(*[]string)
	if list == nil {
		return append(b, "null"...), true
	}
	b = append(b, '[')
	for i, text := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var ok bool
		if b, ok = appendText(b, text); !ok {
			return b, false
		}
	}
	return append(b, ']'), true
}

func readStrings(r *reader, v reflect.Value) {
	list := []string{}
	r.list(func() {
		r.skip(`"`)
		list = append(list, r.word())
	})
	*v.Addr().Interface().(*[]string) = list
}

func appendText(b []byte, text string) ([]byte, bool) {
	b = append(b, '"')
	b = append(b, text...)
	return append(b, '"'), plainText(text)
}

func writeString(b []byte, v reflect.Value) ([]byte, bool) { return appendText(b, v.String()) }

func readString(r *reader, v reflect.Value) {
	r.skip(`"`)
	v.SetString(r.word())
}

func writeBool(b []byte, v reflect.Value) ([]byte, bool) {
	return strconv.AppendBool(b, v.Bool()), true
}

func readBool(r *reader, v reflect.Value) {
	if r.take("true") {
		v.SetBool(true)
	} else {
		r.skip("false")
	}
}

// number returns the bytes of a number and of what is like one.
func (r *reader) number() []byte {
	end := 0
	for end < len(r.rest) && r.rest[end] != ',' && r.rest[end] != ']' && r.rest[end] != '}' {
		end++
	}
	text := r.rest[:end]
	r.rest = r.rest[end:]
	return text
}

// longest is more than any number of 64 bits takes.
const longest = 40

func writeInt(b []byte, v reflect.Value) ([]byte, bool) {
	return strconv.AppendInt(b, v.Int(), 10), true
}

func readInt(r *reader, v reflect.Value) {
	text := r.number()
	n, err := strconv.ParseInt(string(text[:min(len(text), longest)]), 10, v.Type().Bits())
	r.same(text, strconv.AppendInt(make([]byte, 0, longest), n, 10), err)
	v.SetInt(n)
}

func writeUint(b []byte, v reflect.Value) ([]byte, bool) {
	return strconv.AppendUint(b, v.Uint(), 10), true
}

func readUint(r *reader, v reflect.Value) {
	text := r.number()
	n, err := strconv.ParseUint(string(text[:min(len(text), longest)]), 10, v.Type().Bits())
	r.same(text, strconv.AppendUint(make([]byte, 0, longest), n, 10), err)
	v.SetUint(n)
}

// encoding/json has rules of its own for when an exponent is written.
func writeFloat(b []byte, v reflect.Value) ([]byte, bool) {
	text, err := json.Marshal(v.Float())
	return append(b, text...), err == nil
}

func readFloat(r *reader, v reflect.Value) {
	text := r.number()
	f, err := strconv.ParseFloat(string(text[:min(len(text), longest)]), 64)
	again, ok := writeFloat(make([]byte, 0, longest), reflect.ValueOf(f))
	if !ok {
		r.fail()
	}
	r.same(text, again, err)
	v.SetFloat(f)
}

// same holds that what was read is written again as it stood there.
func (r *reader) same(text, again []byte, err error) {
	if err != nil || !bytes.Equal(text, again) {
		r.fail()
	}
}

// writeTime writes a time that is whole seconds in UTC. One that is not is left
// to encoding/json, unless it is a statement's own.
func writeTime(b []byte, v reflect.Value) ([]byte, bool) {
	return appendTime(b, *v.Addr().Interface().(*time.Time))
}

// writeOwnTime writes a time among a statement's own fields, which Encode cuts.
func writeOwnTime(b []byte, v reflect.Value) ([]byte, bool) {
	return appendTime(b, v.Addr().Interface().(*time.Time).UTC().Truncate(time.Second))
}

func appendTime(b []byte, t time.Time) ([]byte, bool) {
	if t.Nanosecond() != 0 || t.Location() != time.UTC || t.Year() < 0 || t.Year() > 9999 {
		return b, false
	}
	b = append(b, '"')
	b = t.AppendFormat(b, time.RFC3339)
	return append(b, '"'), true
}

func readTime(r *reader, v reflect.Value) {
	t := v.Addr().Interface().(*time.Time)
	whole := r.rest
	r.skip(`"`)
	err := t.UnmarshalText(r.quoted())
	again, ok := appendTime(make([]byte, 0, longest), *t)
	if !ok {
		r.fail()
	}
	r.same(whole[:len(whole)-len(r.rest)], again, err)
}

func bytesShape(t reflect.Type) *shape {
	if t.Elem() != reflect.TypeFor[byte]() {
		return nil
	}
	return &shape{
		write: func(b []byte, v reflect.Value) ([]byte, bool) {
			if v.IsNil() {
				return append(b, "null"...), true
			}
			b = append(b, '"')
			b = strict.AppendEncode(b, v.Bytes())
			return append(b, '"'), true
		},
		read: func(r *reader, v reflect.Value) {
			r.skip(`"`)
			v.SetBytes(r.base64([]byte{}, r.quoted()))
		},
	}
}

func listShape(t reflect.Type, depth int) *shape {
	element := newShape(t.Elem(), depth+1)
	if element == nil {
		return nil
	}
	return &shape{
		write: func(b []byte, v reflect.Value) ([]byte, bool) {
			if v.IsNil() {
				return append(b, "null"...), true
			}
			b = append(b, '[')
			for i := range v.Len() {
				if i > 0 {
					b = append(b, ',')
				}
				var ok bool
				if b, ok = element.write(b, v.Index(i)); !ok {
					return b, false
				}
			}
			return append(b, ']'), true
		},
		read: func(r *reader, v reflect.Value) {
			v.Set(reflect.MakeSlice(t, 0, 0))
			r.list(func() {
				n := v.Len()
				v.Grow(1)
				v.SetLen(n + 1)
				element.read(r, v.Index(n))
			})
		},
	}
}

// list reads a list, element by element.
func (r *reader) list(element func()) {
	r.skip("[")
	if r.take("]") {
		return
	}
	for r.ok {
		element()
		if r.take("]") {
			return
		}
		r.skip(",")
	}
}

func pointerShape(t reflect.Type, depth int) *shape {
	target := newShape(t.Elem(), depth+1)
	if target == nil {
		return nil
	}
	return &shape{
		write: func(b []byte, v reflect.Value) ([]byte, bool) {
			if v.IsNil() {
				return append(b, "null"...), true
			}
			return target.write(b, v.Elem())
		},
		read: func(r *reader, v reflect.Value) {
			v.Set(reflect.New(t.Elem()))
			target.read(r, v.Elem())
		},
	}
}

// fieldShape is a field of a struct.
type fieldShape struct {
	shape
	key      string // `,"name":`
	optional bool   // left out where it is empty
}

func structShape(t reflect.Type, depth int) *shape {
	var fields []fieldShape
	for i := range t.NumField() {
		f, ok := newField(t.Field(i), depth)
		if !ok || slices.ContainsFunc(fields, func(other fieldShape) bool { return other.key == f.key }) {
			return nil
		}
		fields = append(fields, f)
	}
	return &shape{
		write: func(b []byte, v reflect.Value) ([]byte, bool) {
			b = append(b, '{')
			skip := 1 // the comma before the first field
			for i := range fields {
				f, value := &fields[i], v.Field(i)
				if f.optional && empty(value) {
					continue
				}
				b = append(b, f.key[skip:]...)
				skip = 0
				var ok bool
				if b, ok = f.write(b, value); !ok {
					return b, false
				}
			}
			return append(b, '}'), true
		},
		read: func(r *reader, v reflect.Value) {
			r.skip("{")
			skip := 1
			for i := range fields {
				f, value := &fields[i], v.Field(i)
				if f.optional && !r.next(f.key[skip:]) {
					continue
				}
				r.skip(f.key[skip:])
				skip = 0
				if f.read(r, value); !r.ok {
					return
				}
				if f.optional && empty(value) {
					r.fail()
				}
			}
			r.skip("}")
		},
	}
}

func newField(f reflect.StructField, depth int) (fieldShape, bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	if f.Anonymous || !f.IsExported() || name == "" || name == "-" || !plainText(name) {
		return fieldShape{}, false
	}
	s := newShape(f.Type, depth+1)
	if s == nil {
		return fieldShape{}, false
	}
	if depth == 0 && f.Type == timeType {
		s = &shape{writeOwnTime, readTime}
	}
	switch options {
	case "":
	case "omitempty":
		switch f.Type.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint64, reflect.Slice, reflect.Pointer:
		default:
			return fieldShape{}, false
		}
	default:
		return fieldShape{}, false
	}
	return fieldShape{*s, `,"` + name + `":`, options != ""}, true
}

// empty is what encoding/json leaves out where it may.
func empty(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.String, reflect.Slice:
		return v.Len() == 0
	}
	return v.IsZero()
}
