package siteagent

import (
	"strings"
	"testing"
)

// A hospital can keep out of studies that count hospitals by a figure of their own:
// they are refused, or wait for a person even where every study is approved.
func TestAPolicyDecidesAboutHospitalCounts(t *testing.T) {
	counting := strings.Replace(doseStudy, "fairness:\n", "fairness:\n  hospitals: [{metric: mae, edges: [1, 2]}]\n", 1)
	if counting == doseStudy || !countsUs(parseStudy(t, counting)) || countsUs(parseStudy(t, doseStudy)) {
		t.Fatal("the one study counts hospitals, the other does not")
	}
	for word, want := range map[string]string{"": Approved, Accept: Approved, Ask: Waiting, Refuse: Refused} {
		t.Run("hospital counts "+word, func(t *testing.T) {
			c := newCoordinator(t)
			dirs := c.enrol(sites...)
			w := &ward{coordinator: c, t: t, s: parseStudy(t, counting), dirs: dirs}
			o := w.options(0)
			o.Policy.Approve, o.Policy.HospitalCounts = Any, word
			start(t, o)
			c.propose([]byte(counting), c.researcher("rita"), sites...)
			waitFor(t, "alpha has looked at the study", func() bool {
				reviews, err := Studies(dirs[0])
				return err == nil && len(reviews) == 1 && reviews[0].State == want && (want == Refused) == (reviews[0].Reason == noHospitalCounts)
			})
		})
	}
	if (&Policy{HospitalCounts: "never"}).check() == nil {
		t.Error("a word that is none")
	}
}
