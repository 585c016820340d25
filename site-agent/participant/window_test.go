package participant_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/study"
)

// Rule: a site does not answer about a window of time before it is over by its own
// clock, whatever the coordinator's says, and answers once it is.
func TestAWindowThatIsNotOverIsNotAnswered(t *testing.T) {
	c := newConsortium(t)
	day := 24 * time.Hour
	for _, w := range []struct {
		name string
		ends time.Time
		want error
	}{
		{"over", now.Add(-day), nil},
		{"not over", now.Add(2 * day), participant.ErrWindow},
	} {
		t.Run(w.name, func(t *testing.T) {
			src := strings.Replace(protocol, "study: dose", "study: watch", 1) + fmt.Sprintf(`monitor:
  release: "%064d"
  periods: {column: visit, type: date, cuts: [%s, %s, %s]}
  margin: 1
`, 0, w.ends.Add(-30*day).Format(time.DateOnly), w.ends.Format(time.DateOnly), w.ends.Add(30*day).Format(time.DateOnly))
			watch, err := study.Parse([]byte(src))
			check(t, err)
			c.study = watch
			c.memory.studies[statement.Digest(watch.Digest())] = watch
			_, err = c.site.AcceptPlan(now, c.request(c.plan()))
			if w.want == nil {
				check(t, err)
				return
			}
			wants(t, err, w.want)
			// The refusal is for now only: when the window is over the same plan holds.
			if refusal := participant.ErrWindow; !refusal.Later || refusal.Security {
				t.Error("a window that is not over yet is refused for good")
			}
		})
	}
}
