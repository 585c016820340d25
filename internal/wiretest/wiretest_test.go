package wiretest_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/consilium-fl/consilium/internal/wiretest"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

var sample = &consiliumv1.PollResponse{
	Revision: "revision", Rosters: [][]byte{[]byte("one"), []byte("two")},
	Assignments: []*consiliumv1.Assignment{{Work: &consiliumv1.Assignment_Contribute{Contribute: &consiliumv1.Contribute{Plan: []byte("plan"), LedgerIndex: 7}}}},
}

func TestEveryFieldIsDamagedAndWhatIsAbsentIsNamed(t *testing.T) {
	forms, absent, err := wiretest.Damaged(sample)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := proto.MarshalOptions{Deterministic: true}.Marshal(sample)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string]int{}
	for _, f := range forms {
		if bytes.Equal(f.Bytes, whole) {
			t.Errorf("%s: nothing is damaged", f.Damage)
		}
		words := strings.Split(f.Damage, ": ") // outer fields come before inner ones
		for _, word := range words[:len(words)-1] {
			damaged[word]++
		}
	}
	for _, field := range []string{"PollResponse.revision", "PollResponse.rosters", "PollResponse.assignments", "Assignment.contribute", "Contribute.plan", "Contribute.ledger_index"} {
		if damaged["consilium.v1."+field] < 5 {
			t.Errorf("%s is damaged in %d ways", field, damaged["consilium.v1."+field])
		}
	}
	slices.Sort(absent)
	want := []string{"consilium.v1.Contribute.inclusion", "consilium.v1.Contribute.parameters", "consilium.v1.PollResponse.checkpoint", "consilium.v1.PollResponse.consistency", "consilium.v1.PollResponse.entries"}
	if absent = slices.Compact(absent); !slices.Equal(absent, want) {
		t.Errorf("absent are %q", absent)
	}
}

func TestFormsOfTheSameMeaningMeanTheSame(t *testing.T) {
	forms, err := wiretest.SameMeaning(sample)
	if err != nil || len(forms) < 3 {
		t.Fatal(len(forms), err)
	}
	for _, f := range forms {
		got := new(consiliumv1.PollResponse)
		if err := proto.Unmarshal(f.Bytes, got); err != nil {
			t.Fatalf("%s: %v", f.Damage, err)
		}
		got.ProtoReflect().SetUnknown(nil)
		if !proto.Equal(got, sample) {
			t.Errorf("%s: means %v", f.Damage, got)
		}
	}
}
