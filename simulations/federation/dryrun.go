package federation

import (
	"context"
	"fmt"
	"strings"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/crypto/statement"
	siteagent "github.com/consilium-fl/consilium/site-agent"
	"github.com/consilium-fl/consilium/study"
)

// dryRun is what a site's dry run of the study told the site, nil before there was
// one.
func (c *consortium) dryRun(site string) *siteagent.DryRun {
	reviews, err := siteagent.Studies(c.siteDir(site))
	if err != nil {
		return nil // being written
	}
	for _, review := range reviews {
		if review.Study == statement.Digest(c.protocol.Digest()) {
			return review.DryRun
		}
	}
	return nil
}

// decided waits for every site's decision about the study. A real site whose
// records cannot be read would wait for a person to mend them; here nobody would.
func (c *consortium) decided(ctx context.Context, what string) error {
	var unreadable error
	if err := c.follow(ctx, what, func(s *coordinator.StudyStatus) bool {
		unreadable = c.unreadable(s)
		return unreadable != nil || c.everySiteDecided(s)
	}); err != nil {
		return err
	}
	if unreadable != nil {
		return unreadable
	}
	return c.enoughRecords()
}

// unreadable says which of the sites that have not decided cannot read its records.
func (c *consortium) unreadable(s *coordinator.StudyStatus) error {
	for _, d := range s.Decisions {
		if d.Decision != "pending" {
			continue
		}
		if own := c.dryRun(d.Site); own != nil && own.Unreadable != "" {
			return fmt.Errorf("site %s: %s", d.Site, own.Unreadable)
		}
	}
	return nil
}

func (c *consortium) everySiteDecided(s *coordinator.StudyStatus) bool {
	approved, refused := tally(s.Decisions, "approved"), tally(s.Decisions, "refused")
	if approved+refused < len(c.spec.Sites) {
		return false
	}
	c.spec.Progress(fmt.Sprintf("study %.8s: %d sites approve, %d refuse", c.digest(), approved, refused))
	return true
}

// enoughRecords refuses a study that too few sites have records for, and says how
// many records it cannot use and why.
func (c *consortium) enoughRecords() error {
	able, rows, skipped := 0, 0, make(map[study.SkipReason]int)
	for _, site := range c.spec.Sites {
		own := c.dryRun(site.Name)
		if own == nil {
			continue
		}
		if own.Rows > 0 {
			able++
		}
		rows += own.Rows
		for reason, n := range own.Skipped {
			skipped[reason] += n
		}
	}
	line := leftOut(rows, skipped)
	if least := c.protocol.MinimumContributors(); able < least && c.protocol.Monitor == nil {
		return fmt.Errorf("%d of %d sites have records that the study can use, and it needs at least %d: %s", able, len(c.spec.Sites), least, line)
	}
	if line != "" {
		c.spec.Progress(line)
	}
	return nil
}

// leftOut says how many records the study cannot use, and why; empty if it can use
// all.
func leftOut(rows int, skipped map[study.SkipReason]int) string {
	total := rows
	var why []string
	for _, reason := range study.SkipReasons() {
		if n := skipped[reason]; n > 0 {
			total += n
			why = append(why, fmt.Sprintf("%d %s", n, strings.ReplaceAll(string(reason), "_", " ")))
		}
	}
	if len(why) == 0 {
		return ""
	}
	line := fmt.Sprintf("the study can use %d of %d records; skipped: %s", rows, total, strings.Join(why, ", "))
	if study.Misfit(rows, skipped) {
		line += "; " + study.MisfitAdvice
	}
	return line
}
