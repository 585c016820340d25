package statement

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// everyStatement lists the statements of this package by kind. Rosters are
// crypto/identity's and audits compute/fairness's; they travel in the same
// envelopes.
var everyStatement = map[Kind]func() any{
	KindEnrolment:          func() any { return new(Enrolment) },
	KindProposal:           func() any { return new(Proposal) },
	KindStart:              func() any { return new(Start) },
	KindApproval:           func() any { return new(Approval) },
	KindPlan:               func() any { return new(Plan) },
	KindDecline:            func() any { return new(Decline) },
	KindContributionHeader: func() any { return new(ContributionHeader) },
	KindReceipt:            func() any { return new(Receipt) },
	KindOpeningRequest:     func() any { return new(OpeningRequest) },
	KindOpeningShare:       func() any { return new(OpeningShare) },
	KindOpeningFault:       func() any { return new(OpeningFault) },
	KindRoundEnd:           func() any { return new(RoundEnd) },
	KindStudyEnd:           func() any { return new(StudyEnd) },
	KindRelease:            func() any { return new(Release) },
	KindReleaseOverride:    func() any { return new(ReleaseOverride) },
	KindReleaseDecision:    func() any { return new(ReleaseDecision) },
	KindCard:               func() any { return new(Card) },
}

// A kind that is added without a statement here would go untested.
func TestEveryKindIsInTheTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "statement.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Kind") {
			kinds++
		}
		return true
	})
	if kinds < 10 || len(everyStatement) != kinds-2 {
		t.Errorf("%d statements for %d kinds, of which two are other packages'", len(everyStatement), kinds)
	}
}

// fill sets every field below v to a value of its own, lists to two elements.
func fill(v reflect.Value, next *int) {
	*next++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(1000 + *next))
	case reflect.Uint64:
		v.SetUint(uint64(1000 + *next))
	case reflect.Float64:
		v.SetFloat(float64(*next) + 0.5)
	case reflect.String:
		v.SetString(fmt.Sprintf("text%d", *next))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.Array: // a digest
		d := DigestOf(fmt.Append(nil, *next))
		reflect.Copy(v, reflect.ValueOf(d))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(fmt.Appendf(nil, "bytes of %d", *next))
			return
		}
		for i := range v.Len() {
			fill(v.Index(i), next)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Date(2026, 11, 22, 10, 0, *next, 0, time.UTC)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	default:
		panic("no value for a " + v.Type().String())
	}
}

// leaves calls visit for every field, element and length below v.
func leaves(v reflect.Value, path string, visit func(path string, v reflect.Value)) {
	switch {
	case v.Kind() == reflect.Pointer:
		visit(path, v)
		leaves(v.Elem(), path, visit)
	case v.Kind() == reflect.Struct && v.Type() != timeType:
		for i := range v.NumField() {
			leaves(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
		}
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() != reflect.Uint8:
		visit(path, v)
		for i := range v.Len() {
			leaves(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	default:
		visit(path, v)
	}
}

// others are values that a field could be changed to.
func others(v reflect.Value) (values []reflect.Value) {
	add := func(change func(v reflect.Value)) {
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		change(c)
		values = append(values, c)
	}
	switch v.Kind() {
	case reflect.Bool:
		add(func(c reflect.Value) { c.SetBool(!c.Bool()) })
	case reflect.Int:
		add(func(c reflect.Value) { c.SetInt(c.Int() + 1) })
		add(func(c reflect.Value) { c.SetInt(-c.Int()) })
	case reflect.Uint64:
		add(func(c reflect.Value) { c.SetUint(c.Uint() + 1) })
		add(func(c reflect.Value) { c.SetUint(0) })
	case reflect.Float64:
		add(func(c reflect.Value) { c.SetFloat(2 * c.Float()) })
	case reflect.String:
		add(func(c reflect.Value) { c.SetString(c.String() + "x") })
		add(func(c reflect.Value) { c.SetString(c.String()[1:]) })
		add(func(c reflect.Value) { c.SetString("") })
	case reflect.Array:
		add(func(c reflect.Value) { c.Index(0).SetUint(c.Index(0).Uint() ^ 1) })
		add(func(c reflect.Value) { c.Index(c.Len() - 1).SetUint(c.Index(c.Len()-1).Uint() ^ 0x80) })
	case reflect.Pointer:
		add(func(c reflect.Value) { c.SetZero() })
	case reflect.Slice:
		add(func(c reflect.Value) { c.Set(c.Slice(0, c.Len()-1)) }) // cut short
		add(func(c reflect.Value) { c.Set(c.Slice(1, c.Len())) })
		add(func(c reflect.Value) { c.SetZero() })
		add(func(c reflect.Value) {
			twice := reflect.AppendSlice(reflect.MakeSlice(c.Type(), 0, 2*c.Len()), c)
			c.Set(reflect.AppendSlice(twice, c))
		})
	case reflect.Struct:
		add(func(c reflect.Value) { c.Set(reflect.ValueOf(c.Interface().(time.Time).Add(time.Second))) })
	}
	return values
}

// genuine is a filled statement of a kind in an envelope, and who signed it.
func genuine(t testing.TB, kind Kind) (v any, env, payload []byte, signer string) {
	t.Helper()
	v, signer = everyStatement[kind](), "coordinator"
	n := 0
	fill(reflect.ValueOf(v).Elem(), &n)
	if named, ok := v.(Named); ok {
		signer = named.Signer()
	}
	env, err := Sign(kind, v, signer, key("signer"))
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	if payload, err = Encode(v); err != nil {
		t.Fatal(err)
	}
	return v, env, payload, signer
}

// anyKey gives the signer's key for every name: what is refused is refused by
// the signature.
func anyKey(string) (ed25519.PublicKey, error) {
	return key("signer").Public().(ed25519.PublicKey), nil
}

// with is an envelope whose payload was exchanged under the old signature.
func with(t *testing.T, env, payload []byte) []byte {
	t.Helper()
	var e envelope
	if err := Decode(env, &e); err != nil {
		t.Fatal(err)
	}
	e.Payload = payload
	out, err := Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Every field of every statement is under the signature: changed to any other
// value, shortened, doubled or left out, it is refused. And every field is in
// the digest: no change of a field leaves the bytes as they were.
func TestEveryFieldOfEveryStatementIsSigned(t *testing.T) {
	for kind, empty := range everyStatement {
		v, env, payload, _ := genuine(t, kind)
		if _, err := Open(env, kind, empty(), anyKey); err != nil {
			t.Fatalf("%s: the genuine one: %v", kind, err)
		}
		fields := 0
		leaves(reflect.ValueOf(v).Elem(), reflect.TypeOf(v).Elem().Name(), func(path string, field reflect.Value) {
			fields++
			was := reflect.New(field.Type()).Elem()
			was.Set(field)
			defer field.Set(was)
			for _, other := range others(was) {
				field.Set(other)
				changed, err := Encode(v)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Equal(changed, payload) {
					t.Errorf("%s: a change is not in the bytes", path)
				}
				got := empty()
				if _, err := Open(with(t, env, changed), kind, got, anyKey); !errors.Is(err, ErrSecurity) {
					t.Errorf("%s: changed under its signature: %v", path, err)
				}
				if !reflect.ValueOf(got).Elem().IsZero() {
					t.Errorf("%s: a refused statement was filled in", path)
				}
			}
		})
		if fields < 3 {
			t.Errorf("%s: only %d fields were reached", kind, fields)
		}
	}
}

// A bit flipped or the rest cut off, at every byte of the payload of every kind,
// under the old signature: refused before anything is parsed.
func TestEveryByteOfEveryStatementIsSigned(t *testing.T) {
	for kind, empty := range everyStatement {
		_, env, payload, _ := genuine(t, kind)
		for i := range payload {
			flipped := bytes.Clone(payload)
			flipped[i] ^= 1 << (i % 8)
			if _, err := Open(with(t, env, flipped), kind, empty(), anyKey); !errors.Is(err, ErrSecurity) {
				t.Fatalf("%s: byte %d flipped: %v", kind, i, err)
			}
			if _, err := Open(with(t, env, payload[:i]), kind, empty(), anyKey); !errors.Is(err, ErrSecurity) {
				t.Fatalf("%s: cut at %d: %v", kind, i, err)
			}
		}
		for i := range env {
			if _, err := Open(env[:i], kind, empty(), anyKey); err == nil {
				t.Fatalf("%s: envelope cut at %d opens", kind, i)
			}
		}
	}
}

// The envelope's own fields: kind, key id, signature.
func TestEveryFieldOfTheEnvelopeMatters(t *testing.T) {
	for kind, empty := range everyStatement {
		v, env, _, signer := genuine(t, kind)
		for other := range everyStatement {
			if other == kind {
				continue
			}
			moved := bytes.Replace(env, []byte(kind), []byte(other), 1)
			if _, err := Open(moved, other, everyStatement[other](), anyKey); !errors.Is(err, ErrSecurity) {
				t.Errorf("%s as %s: %v", kind, other, err)
			}
		}
		var e envelope
		if err := Decode(env, &e); err != nil {
			t.Fatal(err)
		}
		for i := range e.Signatures[0].Sig {
			bad := e
			bad.Signatures = []signature{{signer, bytes.Clone(e.Signatures[0].Sig)}}
			bad.Signatures[0].Sig[i] ^= 1 << (i % 8)
			out, err := Encode(bad)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(out, kind, empty(), anyKey); !errors.Is(err, ErrSecurity) {
				t.Fatalf("%s: byte %d of the signature flipped: %v", kind, i, err)
			}
		}
		if _, named := v.(Named); named {
			renamed := bytes.Replace(env, []byte(`"keyid":"`+signer+`"`), []byte(`"keyid":"another"`), 1)
			if _, err := Open(renamed, kind, empty(), anyKey); !errors.Is(err, ErrSecurity) {
				t.Errorf("%s under another's name: %v", kind, err)
			}
		}
	}
}

// Without a signature to save it: whatever a bit flip or a cut makes of a
// payload is either refused by Decode or is another statement, whose one
// encoding it is.
func TestNoFlipGivesASecondEncoding(t *testing.T) {
	for kind, empty := range everyStatement {
		_, _, payload, _ := genuine(t, kind)
		for i := range payload {
			for bit := range 8 {
				flipped := bytes.Clone(payload)
				flipped[i] ^= 1 << bit
				checkOneEncoding(t, kind, empty, flipped)
			}
			checkOneEncoding(t, kind, empty, payload[:i])
		}
	}
}

// No elements are written [] or, where the field may be left out, not at all.
func TestAnAbsentListHasOneEncoding(t *testing.T) {
	lists := 0
	for kind, empty := range everyStatement {
		v, _, _, _ := genuine(t, kind)
		s := reflect.ValueOf(v).Elem()
		for i := range s.NumField() {
			field := s.Field(i)
			if field.Kind() != reflect.Slice {
				continue
			}
			lists++
			was := reflect.New(field.Type()).Elem()
			was.Set(field)
			accepted := 0
			for _, none := range []reflect.Value{reflect.Zero(field.Type()), reflect.MakeSlice(field.Type(), 0, 0)} {
				field.Set(none)
				payload, err := Encode(v)
				if err != nil {
					t.Fatal(err)
				}
				checkOneEncoding(t, kind, empty, payload)
				if Decode(payload, empty()) == nil && !bytes.Contains(payload, []byte("null")) {
					accepted++
				}
			}
			field.Set(was)
			optional := strings.Contains(s.Type().Field(i).Tag.Get("json"), "omitempty")
			if accepted == 0 || accepted == 2 && !optional {
				t.Errorf("%s.%s: %d spellings of no elements", kind, s.Type().Field(i).Name, accepted)
			}
		}
	}
	if lists < 10 {
		t.Errorf("only %d lists were reached", lists)
	}
}

func checkOneEncoding(t *testing.T, kind Kind, empty func() any, data []byte) {
	t.Helper()
	got := empty()
	if Decode(data, got) != nil {
		return
	}
	again, err := Encode(got)
	if err != nil || !bytes.Equal(again, data) {
		t.Fatalf("%s: two encodings of one statement:\n%s\n%s", kind, data, again)
	}
	// Nor may a reader that is less strict see one meaning in two spellings:
	// an absent list and an empty one are the same to it.
	var plain any
	if err := json.Unmarshal(data, &plain); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(fmt.Sprint(plain), "<nil>") {
		t.Fatalf("%s: null is read as a value:\n%s", kind, data)
	}
}

func FuzzNoTwoEncodings(f *testing.F) {
	kinds := slices.Sorted(maps.Keys(everyStatement))
	for i, kind := range kinds {
		_, _, payload, _ := genuine(f, kind)
		f.Add(byte(i), payload)
		f.Add(byte(i), []byte("{}"))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		kind := kinds[int(which)%len(kinds)]
		checkOneEncoding(t, kind, everyStatement[kind], data)
	})
}
