package driver

import (
	"reflect"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Every kind of fact comes back from the store as it went in; a kind that is
// missing from kinds, or from kindOf, fails here.
func TestFactsComeBackAsTheyWere(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 5e6, time.UTC)
	d := statement.DigestOf([]byte("d"))
	facts := []fact{
		rostered{Number: 3, Envelope: d},
		enrolled{Token: d, Name: "North", Envelope: d, At: at},
		proposed{Protocol: d, Researcher: "Rita", Envelope: d, At: at},
		decided{Site: "North", Approved: true, Reason: "<b>&", Envelope: d, At: at},
		started{Sites: []string{"North"}, Envelope: d, At: at},
		roundEnded{Round: d, Envelope: d},
		missed{Question: d},
		told{Windows: 3},
		ended{State: Completed, Result: &d, Audit: &d, Release: &d, Offered: &d, At: at},
		ended{State: Completed, Result: &d, Audit: &d, Model: &d, At: at, Gate: &fairness.Decision{Outcome: fairness.Blocked, Reasons: []fairness.Reason{{Metric: "mae", Margin: 0.5}}}},
		overridden{Auditor: "Ada", Reason: "r", Time: at, Envelope: d, Release: d, Offered: d, At: at},
		carded{Format: "markdown", Card: d, Envelope: d, At: at},
		releaseDecided{Site: "North", Reason: "r", Envelope: d, At: at},
	}
	seen := map[string]bool{}
	for _, f := range facts {
		stored, err := encodeFact(membersStream, f)
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeFact(stored)
		if err != nil || !reflect.DeepEqual(back, f) {
			t.Errorf("%+v came back as %+v, %v", f, back, err)
		}
		seen[kindOf(f)] = true
	}
	for kind := range kinds {
		if !seen[kind] {
			t.Errorf("this test does not know the kind %s", kind)
		}
	}
	stored, err := encodeFact(roundStream(d), round.Declined{Site: "North", At: at})
	if err != nil {
		t.Fatal(err)
	}
	if back, err := decodeFact(stored); err != nil || !reflect.DeepEqual(back, round.Declined{Site: "North", At: at}) {
		t.Errorf("a round record came back as %+v, %v", back, err)
	}
}

func TestFactsThatAreNotUnderstoodAreRefused(t *testing.T) {
	for _, body := range []string{
		``, `{}`, `{"kind":"guessed","body":{}}`, `{"kind":"rostered","body":{"number":1,"more":2}}`,
		`{"kind":"rostered","body":[]}`, `{"kind":"rostered"}`,
	} {
		if f, err := decodeFact(store.Fact{Stream: membersStream, Body: []byte(body)}); err == nil {
			t.Errorf("%s was read as %+v", body, f)
		}
	}
	if _, err := encodeFact(membersStream, "a word"); err == nil {
		t.Error("a string was stored as a fact")
	}
}
