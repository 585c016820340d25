package federation

import (
	"time"

	"github.com/consilium-fl/consilium/coordinator"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// hesitation is how long an agent's policy has to decide about a release.
const hesitation = 5 * time.Second

// byHand accepts the release at hospitals whose policy leaves it open, because
// they have too few patients to tell, or the policy has no measure for the
// outcome. Elsewhere a person decides; in a simulation nobody else would.
func (c *consortium) byHand() func(*coordinator.StudyStatus) {
	since := make(map[string]time.Time)
	asked := make(map[string]bool)
	return func(s *coordinator.StudyStatus) {
		for _, d := range s.ReleaseDecisions {
			if d.Decision != "pending" || asked[d.Site] {
				continue
			}
			reviews, err := siteagent.Releases(c.siteDir(d.Site))
			if err != nil {
				continue // being written
			}
			for _, r := range reviews {
				if r.Study != c.protocol.Digest() || r.State != siteagent.Waiting {
					continue
				}
				if since[d.Site].IsZero() {
					since[d.Site] = time.Now()
				}
				if time.Since(since[d.Site]) > hesitation {
					asked[d.Site] = true
					// If it cannot be written the simulation ends with the site's silence.
					_ = siteagent.Decide(c.siteDir(d.Site), siteagent.Decision{Kind: siteagent.DecideRelease, Digest: r.Release, Yes: true, Reason: "the policy cannot tell; accepted by hand"})
				}
			}
		}
	}
}
