package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

func (a *app) statusCommand() *cobra.Command {
	var longest time.Duration
	var acknowledge bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how the running agent does, for monitoring",
		Long: `Say how the agent does: its last news from the coordinator, what waits for a
person, security violations, its certificate, the disk. It reads the state
directory and nothing else, sends nothing, and changes nothing, so that a monitoring
system may call it every minute, also as root. doctor looks further, and is for people.

Exit code 1 if a person has to look: the news are older than --longest, a problem,
a security violation that nobody acknowledged, a decision that was not carried out,
an expired certificate, a disk that is nearly full. What waits for a decision is no
fault: read studies_waiting and releases_waiting with --json.`,
		Example: `  site-agent status
  site-agent status --longest 15m || mail -s "site agent" it@hospital.example < /dev/null
  site-agent status --acknowledge      the violations so far were seen by a person`,
		Args: console.Arguments(),
		RunE: func(*cobra.Command, []string) error {
			read := a.config
			if acknowledge {
				read = a.ownConfig
			}
			c, err := read()
			if err != nil {
				return err
			}
			if acknowledge {
				if _, err := siteagent.Acknowledge(c.dir); err != nil {
					return fail("nothing was acknowledged", err, "site-agent doctor")
				}
			}
			h, err := siteagent.HealthOf(c.dir, time.Now(), longest)
			if err != nil {
				return fail("nothing is known of the agent", err, "site-agent run, or site-agent doctor")
			}
			if a.JSON {
				if err := a.PrintJSON(h); err != nil {
					return err
				}
			} else {
				a.showHealth(h)
			}
			if len(h.Wrong) > 0 {
				return &console.Problem{What: "a person has to look", Why: strings.Join(h.Wrong, "; "), Next: "site-agent doctor"}
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&longest, "longest", 5*time.Minute, "how old the last news from the coordinator may be, a `TIME` such as 15m")
	cmd.Flags().BoolVar(&acknowledge, "acknowledge", false, "a person has seen all violations so far: they stay on record, and are no alarm any more")
	return cmd
}

func (a *app) showHealth(h *siteagent.Health) {
	a.Printf("%s, last word %s\n", h.Site, stamp(h.Time))
	a.Printf("  roster %d, ledger of %d entries, certificate until %s\n", h.Roster, h.LedgerSize, stamp(h.Certificate))
	a.Printf("  waiting for a decision: %d studies, %d releases\n", h.Studies, h.Releases)
	a.Printf("  security violations: %d, of which %d are acknowledged\n", len(h.Violations), h.Acknowledged)
	if h.Free > 0 {
		a.Printf("  disk: %s free\n", console.Size(int64(h.Free)))
	}
}
