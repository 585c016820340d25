package federation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Fields of what the coordinator signs or enters that can be changed in a log which
// nobody else has seen, and why.
var saidOnly = map[string]string{
	"round-end.reason":    "why a round ended, in words",
	"round-end.missing[]": "who was waited for: silence leaves no evidence",
	"study-end.time":      "by the coordinator's clock",
	"study-end.reason":    "why a study failed, in words; that of a diagnosis follows from the sums",
	"release.time":        "by the coordinator's clock",
}

// Kinds of which the second verifier does not compute what they say. Where nobody
// else signs what rests on them, the coordinator can change them everywhere.
var computedOnly = []string{ledger.TypeAudit, ledger.TypeResult, ledger.TypeMonitorReport}

// Rule: no field of what the coordinator signs, or enters, in the log of any study
// can be changed, signed anew and put into everything that the coordinator writes
// without a verifier naming it, but for what is only said.
func TestNoFieldOfTheCoordinatorsCanBeChanged(t *testing.T) {
	long(t)
	c := tell(t)
	random, everything := tampering(t)
	var all []edit
	for _, e := range c.studies {
		for i, entry := range e.entries(t) {
			if entry.Study == e.study.String() && entry.Actor == c.name {
				all = append(all, edits(t, e, i, entry)...)
			}
		}
	}
	random.Shuffle(len(all), func(i, k int) { all[i], all[k] = all[k], all[i] })
	seen, figures := make(map[string]bool), make(map[string]int)
	tries := 0
	for _, edit := range all {
		what := edit.kind + "." + edit.path
		figure := slices.Contains(computedOnly, edit.kind)
		if figure {
			figures[edit.kind]++
		}
		if !everything && (seen[what] || figure && figures[edit.kind] > 8) {
			continue
		}
		seen[what] = true
		tries++
		entries, more := c.edited(t, edit)
		first, second := c.refusals(t, c.forge(t, edit.evidence, entries, more))
		_, only := saidOnly[what]
		if first == "" && !only {
			t.Errorf("%s: entry %d: %s is changed, and the first verifier holds the evidence", edit.evidence.name, edit.at, what)
		}
		if second == "" && !only && !figure {
			t.Errorf("%s: entry %d: %s is changed, and the second verifier holds the evidence: %s", edit.evidence.name, edit.at, what, first)
		}
	}
	t.Logf("%d of %d fields changed", tries, len(all))
}

// edit is a change of one field of what an entry names.
type edit struct {
	evidence   evidence
	at         int
	kind, path string // lists without their indices
	payload    []byte
}

// edits are the changes of every field of what an entry names.
func edits(t *testing.T, e evidence, at int, entry ledger.Entry) (all []edit) {
	t.Helper()
	data := e.bundle["blobs/"+entry.Subject.String()].Data
	if _, payload, err := statement.Payload(data); err == nil {
		data = payload
	}
	for path, changed := range changes(data) {
		all = append(all, edit{e, at, entry.Type, path, changed})
	}
	slices.SortFunc(all, func(a, b edit) int {
		return strings.Compare(a.path+string(a.payload), b.path+string(b.payload))
	})
	return all
}

// changes are JSON with one value changed each, by the value's path; of the values of
// a list the first one's.
func changes(data []byte) map[string][]byte {
	out := make(map[string][]byte)
	decoder := json.NewDecoder(bytes.NewReader(data))
	var at []string // keys, and [] for lists
	var lists []int // how many values have come, -1 for an object
	key := true
	for {
		begin := decoder.InputOffset()
		token, err := decoder.Token()
		if err != nil {
			return out
		}
		end := decoder.InputOffset()
		value := func() { // has come
			if n := len(lists); n > 0 {
				if lists[n-1] < 0 {
					at, key = at[:len(at)-1], true
				} else {
					lists[n-1]++
				}
			}
		}
		path := strings.ReplaceAll(strings.Join(at, "."), ".[]", "[]")
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{':
				lists, key = append(lists, -1), true
			case '[':
				lists, at = append(lists, 0), append(at, "[]")
			case '}':
				lists, key = lists[:len(lists)-1], false
				value()
			case ']':
				lists, at = lists[:len(lists)-1], at[:len(at)-1]
				value()
			}
			continue
		case string:
			if len(lists) > 0 && lists[len(lists)-1] < 0 && key {
				at, key = append(at, token), false
				continue
			}
		}
		if other := differently(token); other != nil && out[path] == nil {
			// What separates a value from the token before it comes with the token.
			text := data[begin:end]
			kept := bytes.IndexFunc(text, func(r rune) bool { return r != ':' && r != ',' && r != ' ' })
			out[path] = slices.Concat(data[:int(begin)+kept], other, data[end:])
		}
		value()
	}
}

// differently is another value of the same type.
func differently(token json.Token) []byte {
	switch v := token.(type) {
	case bool:
		return fmt.Append(nil, !v)
	case float64:
		return fmt.Append(nil, int64(v)+1)
	case string:
		if v == "" {
			return []byte(`"0"`)
		}
		last := byte('0')
		if v[len(v)-1] == '0' {
			last = '1'
		}
		other, err := json.Marshal(v[:len(v)-1] + string(last))
		if err != nil {
			return nil
		}
		return other
	}
	return nil
}

// edited enters what was changed in the place of what was there, and in everything
// that the coordinator writes and that names it: result, audit and release.
func (c *chronicle) edited(t *testing.T, edit edit) (entries []ledger.Entry, more map[string][]byte) {
	t.Helper()
	e := edit.evidence
	entries, more = e.entries(t), make(map[string][]byte)
	payloadOf := func(i int) []byte {
		data := e.bundle["blobs/"+entries[i].Subject.String()].Data
		if _, payload, err := statement.Payload(data); err == nil {
			return payload
		}
		return data
	}
	was := statement.DigestOf(payloadOf(edit.at))
	enter := func(i int, payload []byte) {
		if entries[i].Type != ledger.TypeResult && entries[i].Type != ledger.TypeMonitorReport {
			kind, _, err := statement.Payload(e.bundle["blobs/"+entries[i].Subject.String()].Data)
			ok(t, err)
			payload, err = statement.Sign(kind, json.RawMessage(payload), c.name, c.key)
			ok(t, err)
		}
		entries[i].Subject = statement.DigestOf(payload)
		more["blobs/"+entries[i].Subject.String()] = payload
	}
	payload := edit.payload
	if entries[edit.at].Type == ledger.TypePlan {
		entries[edit.at].Round = statement.DigestOf(payload).String()
	}
	before := payloadOf(edit.at)
	enter(edit.at, payload)
	for i, entry := range entries {
		if i == edit.at || entry.Study != e.study.String() {
			continue
		}
		text := payloadOf(i)
		switch {
		case edit.kind == ledger.TypeAudit && entry.Type == ledger.TypeRelease:
			enter(i, bytes.ReplaceAll(text, []byte(was.String()), []byte(statement.DigestOf(payload).String())))
		case edit.kind == ledger.TypeAudit && entry.Type == ledger.TypeResult:
			enter(i, bytes.Replace(text, before, payload, 1))
		}
	}
	return entries, more
}

// Rule: the chronicle's coordinator signs and enters statements of all these types.
func TestTheCoordinatorsStatementsAreAllTried(t *testing.T) {
	c := tell(t)
	seen := make(map[string]bool)
	for _, e := range c.studies {
		for _, entry := range e.entries(t) {
			if entry.Study == e.study.String() && entry.Actor == c.name {
				seen[entry.Type] = true
			}
		}
	}
	want := []string{ledger.TypeAudit, ledger.TypeMonitorReport, ledger.TypeOpeningRequest, ledger.TypePlan, ledger.TypeRelease, ledger.TypeResult, ledger.TypeRoundEnd, ledger.TypeStudyEnd}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
