package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/internal/console"
)

// story is how a study with an abandoned round looks from outside.
func story() []studyJSON {
	at := func(s string) *time.Time {
		t, _ := time.Parse(time.RFC3339, s)
		return &t
	}
	collecting := roundJSON{ID: "1", Step: "describe/counts", State: "collecting", Invited: []string{"Aare", "Birs", "Wiese"}, ChunksExpected: 6}
	half := collecting
	half.Contributors, half.ChunksStored = []string{"Aare"}, 3
	lost := half
	lost.State, lost.Reason, lost.Missing = "abandoned", "committee below threshold", []string{"Wiese"}
	lost.Declined = []decisionJSON{{Site: "Wiese", Decision: "declined", Reason: "policy"}}
	again := roundJSON{ID: "2", Step: "describe/counts", State: "opening", Invited: []string{"Aare", "Birs"}, Contributors: []string{"Aare", "Birs"}, Openers: []string{"Aare"}, ChunksExpected: 4, ChunksStored: 4}
	published := again
	published.State, published.BytesUp = "published", 123456
	published.Started, published.Ended = at("2026-01-01T10:00:00Z"), at("2026-01-01T10:00:02Z")
	base := studyJSON{Study: "ab", Name: "dose", Version: 1, State: "running", Decisions: []decisionJSON{{Site: "Aare", Decision: "approved"}, {Site: "Birs", Decision: "approved"}, {Site: "Wiese", Decision: "approved"}}}
	var out []studyJSON
	for _, rounds := range [][]roundJSON{{}, {collecting}, {half}, {half}, {lost}, {lost, again}, {lost, published}} {
		s := base
		s.Rounds = rounds
		out = append(out, s)
	}
	return out
}

func TestLinesSayWhatChangedAndNothingTwice(t *testing.T) {
	var out bytes.Buffer
	f := &lines{app: &app{Console: console.Console{Stdout: &out}}}
	for _, s := range story() {
		if err := f.update(s); err != nil {
			t.Fatal(err)
		}
	}
	f.close()
	want := `dose v1: running, approved by 3 of 3 hospitals
round 1 describe/counts collecting: 0 of 3 hospitals, 0 of 6 chunks
round 1 describe/counts collecting: 1 of 3 hospitals, 3 of 6 chunks
round 1 describe/counts abandoned: committee below threshold (missing: Wiese); declined: Wiese (policy)
round 2 describe/counts opening: 2 contributions, 1 opening shares
round 2 describe/counts published: sum over 2 hospitals, 123.5 kB up, 2s
`
	if out.String() != want {
		t.Errorf("it says\n%swant\n%s", &out, want)
	}
}

// The bars must come to an end whatever state the rounds were left in.
func TestBarsEnd(t *testing.T) {
	whole := story()
	for cut := range len(whole) + 1 {
		var out bytes.Buffer
		f := newBars(&out)
		for _, s := range whole[:cut] {
			if err := f.update(s); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan struct{})
		go func() { f.close(); close(done) }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("after %d updates the bars never end", cut)
		}
		if cut == len(whole) && !strings.Contains(out.String(), "describe/counts published") {
			t.Errorf("the last frame is %q", out.String())
		}
	}
}

// While a study waits, each decision of a hospital is a line, which says who is to
// begin it.
func TestLinesSayWhoHasDecided(t *testing.T) {
	var out bytes.Buffer
	f := &lines{app: &app{Console: console.Console{Stdout: &out}}}
	s := studyJSON{Study: "3f9a01c2", Name: "dose", Version: 1, State: "proposed"}
	for _, d := range [][2]string{{"pending", "pending"}, {"approved", "pending"}, {"approved", "pending"}, {"approved", "refused"}} {
		s.Decisions = []decisionJSON{{Site: "Aare", Decision: d[0]}, {Site: "Birs", Decision: d[1]}}
		if err := f.update(s); err != nil {
			t.Fatal(err)
		}
	}
	next := "; its researcher begins it: consilium study start 3f9a01c2\n"
	want := "dose v1: proposed, approved by 0 of 2 hospitals" + next +
		"dose v1: proposed, approved by 1 of 2 hospitals" + next +
		"dose v1: proposed, approved by 1 of 2 hospitals, refused by 1" + next
	if out.String() != want {
		t.Errorf("it says\n%swant\n%s", &out, want)
	}
}
