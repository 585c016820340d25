package statement

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// oddities has a field for every shape, where the statements have none.
type oddities struct {
	Time   time.Time   `json:"time"`
	Inner  inner       `json:"inner"`
	Inners []inner     `json:"inners"`
	Times  []time.Time `json:"times"`
	Float  float64     `json:"float"`
	Int    int64       `json:"int,omitempty"`
	Uint   uint64      `json:"uint"`
	Bytes  []byte      `json:"bytes"`
	Lists  [][]string  `json:"lists,omitempty"`
	Far    **inner     `json:"far,omitempty"`
	Kind   Kind        `json:"kind"`
}

type inner struct {
	Time  time.Time `json:"time"`
	Names []string  `json:"names"`
	Flag  bool      `json:"flag,omitempty"`
}

// shaped are the types that the two encoders are compared on.
var shaped = func() map[string]func() any {
	types := map[string]func() any{
		"oddities": func() any { return new(oddities) },
		"envelope": func() any { return new(envelope) },
		"raw":      func() any { return new(json.RawMessage) },
	}
	for kind, empty := range everyStatement {
		types[string(kind)] = empty
	}
	return types
}()

// agree holds that bytes which the plain reader takes are taken by encoding/json
// for the same value.
func agree(t *testing.T, name string, data []byte) {
	t.Helper()
	plain, canonical := reflect.ValueOf(shaped[name]()), reflect.ValueOf(shaped[name]())
	if !decodePlain(data, plain.Elem()) {
		return
	}
	if err := decodeAny(data, canonical); err != nil || !reflect.DeepEqual(plain.Interface(), canonical.Interface()) {
		t.Fatalf("%s: %q is read as %+v; canonically %+v, %v", name, data, plain.Elem(), canonical.Elem(), err)
	}
}

// sameBytes holds that both encoders write a value alike, and reports whether the
// plain one writes it.
func sameBytes(t *testing.T, v any) bool {
	t.Helper()
	plain, ok := encodePlain(v)
	canonical, err := encodeAny(v)
	if ok && (err != nil || !bytes.Equal(plain, canonical)) {
		t.Fatalf("%+v is written as %q; by encoding/json as %q, %v", v, plain, canonical, err)
	}
	return ok
}

// Every statement has a shape, or the plain path would be there for nothing.
func TestEveryStatementIsWrittenAndReadPlainly(t *testing.T) {
	for name, empty := range shaped {
		if name == "raw" || name == "oddities" {
			continue
		}
		v, n := empty(), 0
		fill(reflect.ValueOf(v).Elem(), &n)
		if !sameBytes(t, v) {
			t.Errorf("%s is not written plainly", name)
		}
		payload, err := encodeAny(v)
		if err != nil {
			t.Fatal(err)
		}
		if !decodePlain(payload, reflect.ValueOf(empty()).Elem()) {
			t.Errorf("%s is not read plainly", name)
		}
		agree(t, name, payload)
		sameBytes(t, empty()) // lists that are nil
		sameBytes(t, reflect.ValueOf(v).Elem().Interface())
	}
}

// One byte changed, put in or left out, at every place.
func TestThePlainReaderTakesNothingElse(t *testing.T) {
	for name, empty := range shaped {
		v, n := empty(), 0
		if name == "raw" {
			v = &json.RawMessage{}
			*v.(*json.RawMessage) = json.RawMessage(`{"a":["<",1.50,null,"é"],"b":{}}`)
		} else {
			fill(reflect.ValueOf(v).Elem(), &n)
		}
		payload, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		for i := range payload {
			for _, b := range []byte("\"\\\n =Aaf/+-_{}[],:.0129eEZ\x00\x7f\xff") {
				changed := bytes.Clone(payload)
				changed[i] = b
				agree(t, name, changed)
				agree(t, name, slices.Insert(bytes.Clone(payload), i, b))
			}
			agree(t, name, payload[:i])
			agree(t, name, slices.Delete(bytes.Clone(payload), i, i+1))
		}
		for _, more := range []string{" ", "\n", "null", "}", "{}", ",", string(payload)} {
			agree(t, name, append(bytes.Clone(payload), more...))
			agree(t, name, append([]byte(more), payload...))
		}
	}
}

// Values at the edges of what is plain, and beyond.
func TestBothEncodersWriteTheSame(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{"", "plain", "<our> policy & more", `quoted "`, `back\slash`, "é", "\x7f", "\xff", "line\nend", "\u2028", "~ !"}
	times := []time.Time{
		{}, time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 10, 0, 0, 999, time.UTC),
		time.Date(2026, 11, 22, 11, 0, 0, 0, time.FixedZone("elsewhere", 3600)), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("also UTC", 0)), time.Now(),
	}
	floats := []float64{0, math.Copysign(0, -1), 1, -1.5, 1e20, 1e21, 1e-6, 1e-7, 1.7976931348623157e308, 5e-324, 1 << 53, math.NaN(), math.Inf(1)}
	pick := func(n int) int { return random.IntN(n) }
	inside := func() (i inner) {
		i.Time = times[pick(len(times))]
		for range pick(3) {
			i.Names = append(i.Names, words[pick(len(words))])
		}
		i.Flag = pick(2) == 0
		return i
	}
	plain := 0
	for range 20000 {
		o := oddities{
			Time: times[pick(len(times))], Inner: inside(), Float: floats[pick(len(floats))],
			Int: []int64{0, 1, -1, math.MinInt64, math.MaxInt64}[pick(5)], Uint: []uint64{0, 1, math.MaxUint64}[pick(3)],
			Bytes: [][]byte{nil, {}, {1}, {1, 2}, {1, 2, 3}}[pick(5)], Kind: Kind(words[pick(len(words))]),
			Lists: [][][]string{nil, {}, {nil}, {{}}, {{"a"}, {"b", "c"}}}[pick(5)],
		}
		for range pick(3) {
			o.Inners, o.Times = append(o.Inners, inside()), append(o.Times, times[pick(len(times))])
		}
		if pick(2) == 0 {
			i := inside()
			p := &i
			if pick(3) == 0 {
				p = nil
			}
			o.Far = &p
		}
		if !sameBytes(t, &o) {
			continue
		}
		plain++
		if payload, err := encodeAny(o); err == nil {
			agree(t, "oddities", payload)
		}
	}
	if plain < 100 {
		t.Errorf("only %d of the values were plain", plain)
	}
}

// A type with its own way of writing, one that holds anything, and one that
// contains itself are encoding/json's.
func TestWhatHasNoShape(t *testing.T) {
	type itself struct {
		Next *itself `json:"next"`
	}
	type embedded struct{ Draw }
	number := func(name string) reflect.StructField {
		return reflect.StructField{Name: name, Type: reflect.TypeFor[int](), Tag: `json:"a"`}
	}
	twice := reflect.StructOf([]reflect.StructField{number("A"), number("B")}) // both are left out
	for _, v := range []any{
		itself{}, embedded{}, struct{ Untagged int }{},
		struct {
			M map[string]int `json:"m"`
		}{},
		struct {
			A any `json:"a"`
		}{},
		struct {
			R json.RawMessage `json:"r"`
		}{R: json.RawMessage(" 1")},
		struct {
			S int `json:"s,string"`
		}{},
		struct {
			hidden int
		}{1},
		map[string]int{}, nil, (*Draw)(nil), reflect.Zero(twice).Interface(),
	} {
		if _, ok := encodePlain(v); ok {
			t.Errorf("%T is written plainly", v)
		}
		if want, err := json.Marshal(v); err == nil {
			if got, err := Encode(v); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%T is written as %q, %v", v, got, err)
			}
		}
	}
}

// A payload says by whom it may be signed; that alone never suffices.
func TestAClaimIsNotASignature(t *testing.T) {
	env := signed(t)
	asked := ""
	byClaim := func(claimed *Approval, keyid string) (ed25519.PublicKey, error) {
		asked = claimed.Site
		return keyring("north", "south")(keyid)
	}
	got, payload, err := OpenClaiming(env, KindApproval, byClaim)
	if want, _ := Encode(approval); err != nil || *got != approval || !bytes.Equal(payload, want) || asked != "north" {
		t.Fatalf("%+v, %s, %v", got, payload, err)
	}
	forged := approval
	forged.Approved = false
	for name, data := range map[string][]byte{
		"another payload":      with(t, env, encoded(t, forged)),
		"another signer's key": mustSign(t, key("south")),
	} {
		if _, _, err := OpenClaiming(data, KindApproval, byClaim); !errors.Is(err, ErrSecurity) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := OpenClaiming[Approval](env, KindStart, byClaim); !errors.Is(err, ErrSecurity) {
		t.Errorf("another kind: %v", err)
	}
	renamed := bytes.Replace(env, []byte(`"keyid":"north"`), []byte(`"keyid":"south"`), 1)
	same := func(*Approval, string) (ed25519.PublicKey, error) { return keyring("north")("north") }
	if _, _, err := OpenClaiming(renamed, KindApproval, same); !errors.Is(err, ErrSecurity) {
		t.Errorf("in another member's name: %v", err)
	}
	nobody := func(*Approval, string) (ed25519.PublicKey, error) { return nil, fmt.Errorf("no such roster") }
	if _, _, err := OpenClaiming(env, KindApproval, nobody); err == nil {
		t.Error("opened without a key")
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	payload, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func mustSign(t *testing.T, with ed25519.PrivateKey) []byte {
	t.Helper()
	env, err := Sign(KindApproval, approval, "north", with)
	if err != nil {
		t.Fatal(err)
	}
	return env
}

func FuzzBothReadersAgree(f *testing.F) {
	names := slices.Sorted(maps.Keys(shaped))
	for i, name := range names {
		v, n := shaped[name](), 0
		if name != "raw" {
			fill(reflect.ValueOf(v).Elem(), &n)
		} else {
			*v.(*json.RawMessage) = json.RawMessage(`{"a":[1,"b"]}`)
		}
		payload, err := encodeAny(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(i), payload)
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		name := names[int(which)%len(names)]
		agree(t, name, data)
		v := shaped[name]()
		if err := decodeAny(data, reflect.ValueOf(v)); err == nil {
			sameBytes(t, v)
		}
	})
}

func BenchmarkDecodeHeader(b *testing.B) {
	h := ContributionHeader{Site: "site-01", Chunks: make([]Digest, 17), Shares: make([]Digest, 20)}
	payload, err := Encode(h)
	if err != nil {
		b.Fatal(err)
	}
	for name, decode := range map[string]func(v *ContributionHeader) error{
		"plain":         func(v *ContributionHeader) error { return Decode(payload, v) },
		"encoding/json": func(v *ContributionHeader) error { return decodeAny(payload, reflect.ValueOf(v)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(new(ContributionHeader)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
