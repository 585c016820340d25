package ledger

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
)

func entry() Entry {
	d := statement.DigestOf([]byte("study"))
	return Entry{
		Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Type: TypePlan, Study: d.String(),
		Round: statement.DigestOf([]byte("round")).String(), Subject: d, Actor: "coordinator",
	}
}

func TestEntriesHaveOneSpelling(t *testing.T) {
	leaf, err := entry().Leaf()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseEntry(leaf)
	if err != nil || got != entry() {
		t.Errorf("%+v, %v", got, err)
	}
	text := string(leaf)
	for name, spelling := range map[string]string{
		"space":         " " + text,
		"newline":       text + "\n",
		"unknown field": strings.Replace(text, "{", `{"x":1,`, 1),
		"duplicate":     strings.Replace(text, `"type":"plan"`, `"type":"start","type":"plan"`, 1),
		"case":          strings.Replace(text, `"type"`, `"Type"`, 1),
		"too large":     strings.Replace(text, "coordinator", strings.Repeat("c", maxEntry), 1),
	} {
		if _, err := ParseEntry([]byte(spelling)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestEntriesThatSayNothingAreRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Entry){
		"unknown type":        func(e *Entry) { e.Type = "gossip" },
		"no type":             func(e *Entry) { e.Type = "" },
		"study not a digest":  func(e *Entry) { e.Study = "warfarin" },
		"round in upper case": func(e *Entry) { e.Round = strings.ToUpper(e.Round) },
		"no subject":          func(e *Entry) { e.Subject = statement.Digest{} },
		"no actor":            func(e *Entry) { e.Actor = "" },
		"long actor":          func(e *Entry) { e.Actor = strings.Repeat("a", 65) },
	} {
		e := entry()
		spoil(&e)
		if _, err := e.Leaf(); err == nil {
			t.Errorf("%s: encoded", name)
		}
		raw, _ := statement.Encode(e)
		if _, err := ParseEntry(raw); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

func FuzzParseEntry(f *testing.F) {
	leaf, err := entry().Leaf()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(leaf)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := ParseEntry(data)
		if err != nil {
			return
		}
		if again, err := e.Leaf(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("two spellings of an entry: %v", err)
		}
	})
}
