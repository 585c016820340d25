package audit

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/crypto/statement"
)

var (
	fraction = regexp.MustCompile(`([\[:,])(-?[0-9]+\.[0-9]+(?:e[-+]?[0-9]+)?)`)
	encoded  = regexp.MustCompile(`"model":"([^"]*)"`)
)

// nudge changes every fraction in JSON by a part of it, as a machine does that
// rounds differently, in an encoded model, too.
func nudge(text []byte, part float64) []byte {
	text = fraction.ReplaceAllFunc(text, func(match []byte) []byte {
		x, err := strconv.ParseFloat(string(match[1:]), 64)
		if err != nil {
			return match
		}
		return strconv.AppendFloat(match[:1:1], x*(1+part), 'g', -1, 64)
	})
	return encoded.ReplaceAllFunc(text, func(match []byte) []byte {
		model, err := base64.StdEncoding.DecodeString(string(match[9 : len(match)-1]))
		if err != nil || !json.Valid(model) {
			return match
		}
		return []byte(`"model":"` + base64.StdEncoding.EncodeToString(nudge(model, part)) + `"`)
	})
}

// A bundle of a machine whose arithmetic differs in the last digits holds, and the
// findings say by how much it differs; one that differs by more than digits does not.
func TestAnotherKindOfMachineRoundsDifferently(t *testing.T) {
	c := newConsortium(t)
	made := func(part float64) lies {
		return lies{
			question: func(q *compute.Question) {
				q.Parameters = nudge(q.Parameters, part)
				for i := range q.Layout {
					q.Layout[i].Bound *= 1 + part/1000 // bounds are short computations
				}
			},
			change: func(v any) {
				switch v := v.(type) {
				case *rawAudit:
					*v = nudge(*v, part)
				case *statement.Release:
					v.Body = nudge(v.Body, part)
					v.Model = statement.DigestOf(v.Body)
				}
			},
		}
	}
	bundle := build(t, c, made(1e-13))
	trust := Trust{Governance: c.governance.Public()}
	findings, err := Verify(bundle, trust)
	must(t, err)
	if !findings.Holds() {
		t.Fatalf("%+v", findings.Checks)
	}
	for _, name := range []string{"replay", "bias audit", "release"} {
		detail := ""
		for _, f := range findings.Checks {
			if f.Check == name {
				detail = f.Detail
			}
		}
		if !strings.Contains(detail, "up to rounding: ") || !strings.Contains(detail, "by 1e-13 of their size at most") {
			t.Errorf("%s: %s", name, detail)
		}
	}
	replayed, _, err := Replay(bundle, trust)
	must(t, err)
	if !replayed.Equal || replayed.Rounding.Numbers == 0 {
		t.Errorf("replayed: equal %t, %v, %s", replayed.Equal, replayed.Rounding, replayed.Difference)
	}

	findings, err = Verify(build(t, c, made(1e-7)), trust)
	must(t, err)
	if failed, bad := findings.First(Failed); !bad || failed.Check != "plans" && failed.Check != "replay" {
		t.Errorf("numbers that differ by 1e-7 of their size: %+v", failed)
	}
}

func TestAgreeAllowsRoundingAndNothingElse(t *testing.T) {
	inner := func(text string) string {
		return `{"model":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}`
	}
	for _, test := range []struct {
		derived, stated string
		numbers         int // that differ, -1 for too much
	}{
		{`{"a":1.25}`, `{"a":1.25}`, 0},
		{`{"a":1.25,"b":3}`, `{"a":1.2500000000001,"b":3}`, 1},
		{`{"a":1.25}`, `{"a":1.2500001}`, -1},
		{`{"n":100000000}`, `{"n":100000002}`, -1},
		{`{"a":1e-300}`, `{"a":-1e-300}`, -1}, // alone, it has a sign
		{`[12,1e-16]`, `[12,-3e-16]`, 1},      // what is left of a difference
		{`[12,1e-10]`, `[12,2e-10]`, -1},
		{`{"a":[12],"b":1e-16}`, `{"a":[12],"b":2e-16}`, -1}, // not beside it
		{`{"a":0}`, `{"a":1e-30}`, -1},
		{`{"a":"1.25"}`, `{"a":"1.2500000000001"}`, -1},
		{`{"a":1.25}`, `{"a":"1.25"}`, -1},
		{`{"a":true,"b":1.25}`, `{"a":false,"b":1.2500000000001}`, -1},
		{inner(`{"w":[0.5,2]}`), inner(`{"w":[0.5000000000001,2]}`), 1},
		{inner(`{"w":[0.5,2]}`), inner(`{"w":[0.6,2]}`), -1},
		{inner(`{"w":[0.5,2]}`), inner(`[`), -1},
		{`{"a":"QUJD"}`, `{"a":"QUJE"}`, -1}, // base64 of no JSON
	} {
		rounding, err := agree("it", []byte(test.derived), []byte(test.stated))
		if (err != nil) != (test.numbers < 0) || err == nil && rounding.Numbers != test.numbers {
			t.Errorf("%s, %s: %v, %v", test.derived, test.stated, rounding, err)
		}
	}
}
