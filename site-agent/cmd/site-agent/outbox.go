package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
	"github.com/consilium-fl/consilium/site-agent/outbox"
)

func (a *app) outboxCommand() *cobra.Command {
	var all bool
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "outbox",
		Short: "List every byte that left this hospital, and why",
		Long: `The outbox is this hospital's own record. A line is on the disk before the first
byte of a request leaves: when, for which study, step and round, which fields of
which length, how many bytes, the digest of what left, and how it ended. An
empty outcome means that the agent stopped before it knew.

Without --all, polls, reads of the public ledger and renewals of certificates,
which say nothing about records, are left out.`,
		Example: `  site-agent outbox
  site-agent outbox --all --since 24h
  site-agent outbox --json | jq '.[] | select(.kind == "contribution")'`,
		Args: console.Arguments(),
		RunE: func(*cobra.Command, []string) error {
			c, err := a.config()
			if err != nil {
				return err
			}
			entries, err := siteagent.Outbox(c.dir)
			if err != nil {
				return fail("the outbox cannot be read", err, "")
			}
			shown := []outbox.Entry{}
			var bytes int64
			for _, e := range entries {
				routine := e.Kind == outbox.Poll || e.Kind == outbox.Ledger || e.Kind == outbox.Membership
				if routine && !all || since > 0 && e.Time.Before(time.Now().Add(-since)) {
					continue
				}
				shown = append(shown, e)
				bytes += e.Bytes
			}
			if a.JSON {
				return a.PrintJSON(shown)
			}
			rows := [][]string{{"time", "what", "study", "step", "round", "bytes", "outcome", "fields"}}
			for _, e := range shown {
				var fields []string
				for _, f := range e.Fields {
					fields = append(fields, fmt.Sprintf("%s[%d]", f.Name, f.Length))
				}
				what := string(e.Kind)
				if e.Count > 0 {
					what = fmt.Sprintf("%s ×%d", e.Kind, e.Count)
				}
				rows = append(rows, []string{stamp(e.Time), what, console.Short(e.Study), e.Step, console.Short(e.Round), fmt.Sprint(e.Bytes), e.Outcome, strings.Join(fields, " ")})
			}
			a.Table(rows)
			a.Printf("%d lines, %s\n", len(shown), console.Size(bytes))
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also polls, reads of the ledger, and certificates")
	cmd.Flags().DurationVar(&since, "since", 0, "only the last `TIME`, such as 24h")
	return cmd
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
