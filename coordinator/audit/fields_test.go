package audit

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// said are the fields that only say something to people. Nothing follows from
// them that a bundle could be held against.
var said = map[string]string{
	"Proposal.Time":            "by the researcher's clock",
	"Start.Time":               "by the researcher's clock",
	"Approval.Time":            "by the site's clock",
	"Approval.Reason":          "why, in words",
	"RoundEnd.Reason":          "why, in words",
	"RoundEnd.Missing":         "who was waited for: silence leaves no evidence",
	"Release.Time":             "by the coordinator's clock",
	"ReleaseDecision.Time":     "by the site's clock",
	"ReleaseDecision.Accepted": "the site's own word",
	"ReleaseDecision.Reason":   "why, in words",
}

// A statement that differs from the true one in any single field, and is signed
// by the right member all the same, makes the bundle fail, unless the field only
// says something to people.
func TestEveryFieldOfAStatementMatters(t *testing.T) {
	alone(t)
	c := newConsortium(t)
	trust := Trust{Governance: c.governance.Public()}
	used := make(map[string]bool)
	for _, example := range []any{
		statement.Proposal{}, statement.Start{}, statement.Approval{}, statement.Plan{}, statement.ContributionHeader{},
		statement.OpeningRequest{}, statement.OpeningShare{}, statement.RoundEnd{}, statement.Release{}, statement.ReleaseDecision{},
	} {
		kind := reflect.TypeOf(example)
		for i := range kind.NumField() {
			name := kind.Name() + "." + kind.Field(i).Name
			if slices.Contains([]string{"Researcher", "Site", "Member"}, kind.Field(i).Name) {
				continue // names the signer: no signature of another member opens it
			}
			t.Run(name, func(t *testing.T) {
				changed := false
				files := build(t, c, lies{forge: func(v any) any {
					if changed || reflect.TypeOf(v) != reflect.PointerTo(kind) {
						return v
					}
					changed = true
					other := reflect.New(kind)
					other.Elem().Set(reflect.ValueOf(v).Elem())
					alter(t, other.Elem().Field(i).Addr().Interface())
					return other.Interface()
				}})
				if !changed {
					t.Fatal("the bundle has no such statement")
				}
				f, err := Verify(files, trust)
				must(t, err)
				failed, bad := f.First(Failed)
				_, harmless := said[name]
				if harmless {
					used[name] = true
				}
				switch {
				case harmless && bad:
					t.Errorf("it says nothing that could fail, and %s fails: %s", failed.Check, failed.Detail)
				case !harmless && !bad:
					t.Error("it was changed and the bundle holds")
				}
			})
		}
	}
	for name, why := range said {
		if !used[name] {
			t.Errorf("%s (%s) is listed and was not tried", name, why)
		}
	}
}

// alter gives a field another value of its type.
func alter(t *testing.T, field any) {
	switch p := field.(type) {
	case *statement.Digest:
		p[0] ^= 1
	case **statement.Digest:
		other := statement.DigestOf([]byte("other"))
		*p = &other
	case *string:
		*p = flipLast(*p)
	case *int:
		*p++
	case *bool:
		*p = !*p
	case *time.Time:
		*p = p.Add(time.Second)
	case *[]byte:
		*p = append(slices.Clone(*p), ' ')
	case *[]string:
		if len(*p) == 0 {
			*p = []string{"Aare"}
		} else {
			*p = (*p)[1:]
		}
	case *[]statement.Digest:
		*p = (*p)[1:]
	case **statement.Draw:
		*p = &statement.Draw{Size: 1}
	case *[]secagg.Field:
		*p = (*p)[1:]
	case *[]statement.ReleasedRound:
		*p = (*p)[1:]
	default:
		t.Fatalf("no other value is known for a %T", field)
	}
}

// flipLast keeps a nonce a nonce.
func flipLast(s string) string {
	if s == "" {
		return "0"
	}
	last := byte('0')
	if s[len(s)-1] == '0' {
		last = '1'
	}
	return s[:len(s)-1] + string(last)
}
