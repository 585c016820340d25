package statement

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAStatementHasOneSpelling(t *testing.T) {
	payload, err := Encode(approval)
	if err != nil {
		t.Fatal(err)
	}
	canonical := string(payload)
	study := approval.Study.String()
	if !strings.Contains(canonical, "<our> policy & more") {
		t.Errorf("HTML escapes in %s", canonical)
	}
	spellings := map[string]string{
		"space":                canonical[:1] + " " + canonical[1:],
		"newline at the end":   canonical + "\n",
		"trailing value":       canonical + "null",
		"trailing brace":       canonical + "}",
		"field order":          strings.Replace(strings.Replace(canonical, `"site":"north",`, "", 1), `{`, `{"site":"north",`, 1),
		"duplicate key":        strings.Replace(canonical, `"site":"north"`, `"site":"north","site":"north"`, 1),
		"duplicate other case": strings.Replace(canonical, `"site":"north"`, `"site":"south","SITE":"north"`, 1),
		"case of a key":        strings.Replace(canonical, `"site"`, `"Site"`, 1),
		"unknown field":        strings.Replace(canonical, `{`, `{"weight":1,`, 1),
		"missing field":        strings.Replace(canonical, `"site":"north",`, "", 1),
		"null for a field":     strings.Replace(canonical, `"site":"north"`, `"site":null`, 1),
		"empty optional field": strings.Replace(canonical, `fits <our> policy & more`, "", 1),
		"HTML escape":          strings.Replace(canonical, "<", `\u003c`, 1),
		"needless escape":      strings.Replace(canonical, "north", `n\u006frth`, 1),
		"upper-case digest":    strings.Replace(canonical, study, strings.ToUpper(study), 1),
		"short digest":         strings.Replace(canonical, study, study[2:], 1),
		"fraction of a second": strings.Replace(canonical, "10:00:00Z", "10:00:00.5Z", 1),
		"zero fraction":        strings.Replace(canonical, "10:00:00Z", "10:00:00.0Z", 1),
		"zone":                 strings.Replace(canonical, "10:00:00Z", "11:00:00+01:00", 1),
		"zero zone":            strings.Replace(canonical, "10:00:00Z", "10:00:00+00:00", 1),
		"invalid UTF-8":        strings.Replace(canonical, "north", "nor\xffth", 1),
		"array":                "[" + canonical + "]",
	}
	for name, spelling := range spellings {
		if spelling == canonical {
			t.Errorf("%s: the spelling is the canonical one, the test is broken", name)
		}
		got := Approval{Site: "untouched"}
		if err := Decode([]byte(spelling), &got); !errors.Is(err, ErrEncoding) {
			t.Errorf("%s: %v", name, err)
		} else if got.Site != "untouched" {
			t.Errorf("%s: refused, but the target changed", name)
		}
	}
	var got Approval
	if err := Decode(payload, &got); err != nil || got != approval {
		t.Errorf("canonical: %+v, %v", got, err)
	}
}

func TestTimesAreWholeSecondsInUTC(t *testing.T) {
	local := time.FixedZone("elsewhere", 3600)
	given := Approval{Time: time.Date(2026, 11, 22, 11, 0, 0, 999, local)}
	payload, err := Encode(&given)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(payload, []byte(`"time":"2026-11-22T10:00:00Z"`)) {
		t.Errorf("encoded %s", payload)
	}
	if given.Time.Nanosecond() != 999 {
		t.Error("Encode changed its argument")
	}
	byValue, _ := Encode(given)
	if !bytes.Equal(payload, byValue) {
		t.Error("a value and a pointer to it are encoded differently")
	}
}

// What the target held before must not leak into fields the input leaves out.
func TestDecodeStartsFromNothing(t *testing.T) {
	got := Approval{Reason: "left over"}
	plain := approval
	plain.Reason = ""
	payload, _ := Encode(plain)
	if err := Decode(payload, &got); err != nil || got.Reason != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDecodeNeedsAPointer(t *testing.T) {
	if err := Decode([]byte("{}"), Approval{}); err == nil {
		t.Error("decoded into a value")
	}
	if err := Decode([]byte("{}"), nil); err == nil {
		t.Error("decoded into nothing")
	}
}

// Reports of other packages travel as raw JSON; they too have one spelling.
func TestRawJSONIsCompact(t *testing.T) {
	var raw json.RawMessage
	if err := Decode([]byte(`{"b":[1,2],"a":"<"}`), &raw); err != nil {
		t.Error(err)
	}
	if err := Decode([]byte(`{"b": [1,2]}`), &raw); !errors.Is(err, ErrEncoding) {
		t.Errorf("space in raw JSON: %v", err)
	}
}

// An error must not repeat what was in the input.
func TestErrorsDoNotQuoteTheInput(t *testing.T) {
	const canary = "canary7731"
	for _, input := range []string{
		`{"` + canary + `":1}`,
		`{"site":` + canary + `}`,
		`{"study":"` + canary + `"}`,
		`{"approved":"` + canary + `"}`,
		`{"time":"` + canary + `"}`,
		canary,
	} {
		var got Approval
		err := Decode([]byte(input), &got)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", input, err)
		}
	}
}

func TestParseDigest(t *testing.T) {
	d := DigestOf([]byte("x"))
	if got, err := ParseDigest(d.String()); err != nil || got != d {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "00", strings.ToUpper(d.String()), d.String() + "0", strings.Repeat("g", 64), " " + d.String()[1:]} {
		if _, err := ParseDigest(bad); err == nil {
			t.Errorf("%q parses", bad)
		}
	}
	if d.IsZero() || !(Digest{}).IsZero() {
		t.Error("IsZero")
	}
}

func FuzzDecodePlan(f *testing.F) {
	payload, err := Encode(plan(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var p Plan
		if Decode(data, &p) != nil {
			return
		}
		again, err := Encode(&p)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("two spellings of one plan: %v", err)
		}
		_ = p.Validate() // must not panic on any plan
	})
}
