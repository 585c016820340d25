// Package wiretest damages protobuf messages for tests: every field that a
// message's type declares, in every way that a line, a disk or a liar could. It
// works on the encoded bytes, so that it also makes what no encoder would.
package wiretest

import (
	"bytes"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Form is a message in a damaged form.
type Form struct {
	Damage string // which field, and what was done to it
	Bytes  []byte
}

// Long is the length of the longest field that Damaged makes: more than a signed
// statement may have, less than a message may.
const Long = 17 << 20

// many is how often a short element of a list is repeated. A list of numbers that
// comes in as many pieces costs the protobuf library the square of their number,
// in garbage: with ten times as many it works for a minute. That is left so: the
// one such list, of missing chunks, goes from the coordinator to a site, whom it
// can make wait in simpler ways.
const many = 5_000

// entry is one field on the wire.
type entry struct {
	number  protowire.Number
	kind    protowire.Type
	varint  uint64
	payload []byte
}

func (e entry) append(b []byte) []byte {
	b = protowire.AppendTag(b, e.number, e.kind)
	if e.kind == protowire.VarintType {
		return protowire.AppendVarint(b, e.varint)
	}
	return protowire.AppendBytes(b, e.payload)
}

func encode(entries []entry) (b []byte) {
	for _, e := range entries {
		b = e.append(b)
	}
	return b
}

// parse reads a message whose fields are numbers, strings, bytes and messages.
func parse(m proto.Message) ([]entry, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	var entries []entry
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = b[n:]
		e := entry{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			e.varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			e.payload, n = protowire.ConsumeBytes(b)
		default:
			return nil, fmt.Errorf("field %d is of a wire type that is not damaged yet", number)
		}
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		b = b[n:]
		entries = append(entries, e)
	}
	return entries, nil
}

// Damaged returns every damaged form of a message, and the names of the declared
// fields that it does not hold, which cannot be damaged; a number that it does not
// hold is 0. A field that is a
// message is damaged through and through.
func Damaged(m proto.Message) (forms []Form, absent []string, err error) {
	entries, err := parse(m)
	if err != nil {
		return nil, nil, err
	}
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		var at []int
		for k, e := range entries {
			if e.number == field.Number() {
				at = append(at, k)
			}
		}
		if len(at) == 0 && field.ContainingOneof() != nil {
			continue // another one is set
		}
		if len(at) == 0 && isNumber(field) {
			for _, v := range numbers(field, 0) { // which is how 0 is encoded
				number := entry{number: field.Number(), kind: protowire.VarintType, varint: v}
				forms = append(forms, Form{fmt.Sprintf("%s: %d for 0", field.FullName(), v), number.append(encode(entries))})
			}
			continue
		}
		if len(at) == 0 {
			absent = append(absent, string(field.FullName()))
			continue
		}
		whole := func(damage string, with ...entry) {
			changed := slices.Concat(entries[:at[0]], with, entries[at[len(at)-1]+1:])
			forms = append(forms, Form{fmt.Sprintf("%s: %s", field.FullName(), damage), encode(changed)})
		}
		whole("missing")
		whole("of another wire type", otherType(entries[at[0]]))
		if field.IsList() {
			first, last := entries[at[0]], entries[at[len(at)-1]]
			all := entries[at[0] : at[len(at)-1]+1]
			whole("the last gone", all[:len(all)-1]...)
			whole("the last twice", append(slices.Clone(all), last)...)
			whole("very many", slices.Repeat([]entry{first}, max(2, min(many, (1<<20)/(1+len(first.payload)))))...)
			if !bytes.Equal(first.append(nil), last.append(nil)) {
				swapped := slices.Clone(all)
				swapped[0], swapped[len(all)-1] = last, first
				whole("first and last exchanged", swapped...)
			}
		}
		for _, k := range slices.Compact([]int{at[0], at[len(at)-1]}) {
			inner, missing, err := damagedEntry(m, field, entries[k])
			if err != nil {
				return nil, nil, err
			}
			absent = append(absent, missing...)
			for _, d := range inner {
				changed := slices.Clone(entries)
				changed[k] = d.entry
				forms = append(forms, Form{fmt.Sprintf("%s: %s", field.FullName(), d.damage), encode(changed)})
			}
		}
	}
	return append(forms, framing(encode(entries))...), absent, nil
}

// otherType is a field under the same number as another, of another wire type.
func otherType(e entry) entry {
	if e.kind == protowire.VarintType {
		return entry{number: e.number, kind: protowire.BytesType, payload: []byte("123")}
	}
	return entry{number: e.number, kind: protowire.VarintType, varint: 1 << 40}
}

func isNumber(field protoreflect.FieldDescriptor) bool {
	switch field.Kind() {
	case protoreflect.BoolKind, protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Int64Kind:
		return !field.IsList()
	}
	return false
}

// numbers are those that may come in place of one and mean another: a decoder
// takes the low bits of a number that is too long for its field.
func numbers(field protoreflect.FieldDescriptor, v uint64) []uint64 {
	means := func(v uint64) uint64 {
		switch field.Kind() {
		case protoreflect.BoolKind:
			return min(v, 1)
		case protoreflect.Uint32Kind:
			return uint64(uint32(v))
		}
		return v
	}
	all := []uint64{0, v + 1, v - 1, v ^ 1<<7, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	return slices.DeleteFunc(all, func(other uint64) bool { return means(other) == means(v) })
}

type damagedForm struct {
	damage string
	entry  entry
}

func damagedEntry(m proto.Message, field protoreflect.FieldDescriptor, e entry) (forms []damagedForm, absent []string, err error) {
	if e.kind == protowire.VarintType {
		for _, v := range numbers(field, e.varint) {
			forms = append(forms, damagedForm{fmt.Sprintf("%d for %d", v, e.varint), entry{number: e.number, kind: e.kind, varint: v}})
		}
		return forms, nil, nil
	}
	add := func(damage string, payload []byte) {
		if !bytes.Equal(payload, e.payload) {
			forms = append(forms, damagedForm{damage, entry{number: e.number, kind: e.kind, payload: payload}})
		}
	}
	p := e.payload
	if field.Kind() == protoreflect.MessageKind {
		message := inner(m, field)
		if err := proto.Unmarshal(p, message); err != nil {
			return nil, nil, err
		}
		deep, missing, err := Damaged(message)
		if err != nil {
			return nil, nil, err
		}
		for _, d := range deep {
			add(d.Damage, d.Bytes)
		}
		return forms, missing, nil
	}
	for _, i := range slices.Compact([]int{0, len(p) / 3, len(p) / 2, len(p) - 2, len(p) - 1}) {
		if i < 0 || i >= len(p) {
			continue
		}
		for _, bit := range []byte{1, 1 << 5, 1 << 7} {
			flipped := bytes.Clone(p)
			flipped[i] ^= bit
			add(fmt.Sprintf("byte %d of %d with bit %#x flipped", i, len(p), bit), flipped)
		}
	}
	add("empty", nil)
	add("half", p[:len(p)/2])
	add("a byte short", p[:max(0, len(p)-1)])
	add("a byte long", append(bytes.Clone(p), 0))
	add("a space long", append(bytes.Clone(p), ' '))
	add("twice itself", append(bytes.Clone(p), p...))
	add("very long", append(bytes.Clone(p), make([]byte, Long)...))
	return forms, nil, nil
}

func inner(m proto.Message, field protoreflect.FieldDescriptor) proto.Message {
	if field.IsList() {
		return m.ProtoReflect().NewField(field).List().NewElement().Message().Interface()
	}
	return m.ProtoReflect().NewField(field).Message().Interface()
}

// framing damages a message without regard to its fields: cut short, and with
// lengths that claim more than there is.
func framing(whole []byte) []Form {
	var forms []Form
	for _, cut := range slices.Compact([]int{1, len(whole) / 2, len(whole) - 1}) {
		if cut > 0 && cut < len(whole) {
			forms = append(forms, Form{fmt.Sprintf("cut to %d bytes", cut), whole[:cut]})
		}
	}
	for _, length := range []uint64{1, 1 << 20, 1 << 31, 1 << 40, 1<<63 - 1, 1<<64 - 1} {
		lying := protowire.AppendTag(bytes.Clone(whole), 1, protowire.BytesType)
		forms = append(forms, Form{fmt.Sprintf("a field that claims %d bytes", length), protowire.AppendVarint(lying, length)})
	}
	return append(forms,
		Form{"a group that does not end", protowire.AppendTag(bytes.Clone(whole), 900, protowire.StartGroupType)},
		Form{"field number 0", append(bytes.Clone(whole), 0x02, 0x00)},
		Form{"a varint without an end", append(bytes.Clone(whole), bytes.Repeat([]byte{0xff}, 11)...)},
	)
}

// SameMeaning returns forms of a message that mean what it means: with a field
// that nobody knows, and with each single field given before in another form, of
// which the last counts.
func SameMeaning(m proto.Message) ([]Form, error) {
	entries, err := parse(m)
	if err != nil {
		return nil, err
	}
	whole := encode(entries)
	forms := []Form{
		{"itself again", whole},
		{"with an unknown field", entry{number: 999, kind: protowire.BytesType, payload: make([]byte, 100)}.append(bytes.Clone(whole))},
	}
	for _, e := range entries {
		field := m.ProtoReflect().Descriptor().Fields().ByNumber(e.number)
		if field.IsList() || field.Kind() == protoreflect.MessageKind {
			continue
		}
		other := entry{number: e.number, kind: e.kind, varint: e.varint ^ 1, payload: bytes.Repeat([]byte("x"), len(e.payload)+1)}
		forms = append(forms, Form{fmt.Sprintf("%s: given twice", field.FullName()), append(other.append(nil), whole...)})
	}
	return forms, nil
}
