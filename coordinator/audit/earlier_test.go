package audit

import (
	"slices"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// Rule: what a report is compared with is what the ledger held when it was entered:
// ends of other studies, and of a study that watches a release its last report.
func TestEarlierIsWhatTheLedgerHeldByThen(t *testing.T) {
	ids := map[string]statement.Digest{}
	var leaves [][]byte
	add := func(study, kind string) {
		if _, known := ids[study]; !known {
			ids[study] = statement.DigestOf([]byte(study))
		}
		leaf, err := ledger.Entry{Time: time.Unix(int64(len(leaves)), 0).UTC(), Type: kind, Study: ids[study].String(), Subject: statement.DigestOf([]byte{byte(len(leaves))}), Actor: "coordinator"}.Leaf()
		must(t, err)
		leaves = append(leaves, leaf)
	}
	for _, e := range [][2]string{
		{"first", ledger.TypeResult},               // 0
		{"watch", ledger.TypeMonitorReport},        // 1
		{"second", ledger.TypeStudyEnd},            // 2
		{"watch", ledger.TypeMonitorReport},        // 3
		{"second watch", ledger.TypeMonitorReport}, // 4
		{"third", ledger.TypeResult},               // 5
		{"third", ledger.TypeAudit},                // 6
		{"watch", ledger.TypeStudyEnd},             // 7, with the report of 3
		{"fourth", ledger.TypeResult},              // 8
	} {
		add(e[0], e[1])
	}
	indices := func(ends []EarlierEnd, err error) (out []int) {
		must(t, err)
		for _, e := range ends {
			out = append(out, e.Index)
		}
		return out
	}
	for study, want := range map[string][]int{
		"first":        nil,
		"watch":        {0, 2, 4, 5}, // of all of its reports and its end
		"second":       {0, 1},
		"second watch": {0, 2, 3},
		"third":        {0, 2, 3, 4},
		"fourth":       {0, 2, 3, 4, 5},
	} {
		if got := indices(EarlierEnds(ids[study], leaves)); !slices.Equal(got, want) {
			t.Errorf("%s is compared with %v, not %v", study, got, want)
		}
	}
	if got := indices(EarlierThan(ids["watch"], leaves[:3])); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("the second report of the watch is compared with %v", got)
	}
}
