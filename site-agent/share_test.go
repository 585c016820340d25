package siteagent

import (
	"testing"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/records"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/study"
)

// A hospital whose records mostly do not fit what a study declares is kept out of
// it by a policy that says so, however many of them do fit.
func TestAHospitalWhoseRecordsDoNotFitStaysOut(t *testing.T) {
	c := newCoordinator(t)
	dirs := c.enrol(sites...)
	var agents []*Agent
	for i, fitting := range []int{60, 40, 40} {
		own := patients(uint64(i), 60)
		for _, record := range own[fitting:] {
			for k := range record {
				record[k] = "out of every range"
			}
		}
		policy := Policy{Approve: Any, MinimumShare: 0.9}
		if i == 2 {
			policy.MinimumShare = 0.6
		}
		a, _ := start(t, Options{Dir: dirs[i], Source: records.Memory(patientColumns, own), Policy: policy})
		agents = append(agents, a)
	}
	c.propose([]byte(doseStudy), c.researcher("rita"), sites...)
	c.eventually("all decide by policy", func() bool { return len(c.approvals) == 3 })
	for i, want := range []string{Approved, Refused, Approved} {
		list, err := Studies(dirs[i])
		if err != nil || len(list) != 1 || list[0].State != want {
			t.Errorf("%s: %v, %v; want it %s", sites[i], list, err, want)
		}
	}
	// Nor does it answer, had a person approved all the same.
	if _, reason, _ := agents[1].answer(&participant.Round{Study: parseStudy(t, doseStudy), Plan: new(statement.Plan)}); reason != noUsableRecords {
		t.Errorf("it declines with %q", reason)
	}
}

// What a study excludes by its cohort is not a misfit; every other reason is.
func TestTheShareOfUsableRecords(t *testing.T) {
	for _, reason := range study.SkipReasons() {
		p := Policy{MinimumShare: 0.75}
		if err := p.check(); err != nil {
			t.Fatal(err)
		}
		counts := reason != study.Excluded && reason != study.OutsidePeriods
		for skipped, enough := range map[int]bool{10: true, 11: !counts} {
			if p.enough(30, map[study.SkipReason]int{reason: skipped}) != enough {
				t.Errorf("30 usable, %d %s: enough is not %v", skipped, reason, enough)
			}
		}
	}
	if p := (Policy{MinimumRows: 1}); p.enough(0, nil) || !p.enough(1, map[study.SkipReason]int{study.OutOfRange: 1000}) {
		t.Error("without a minimum share one record is enough, and none is not")
	}
}
