package main

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
	"github.com/consilium-fl/consilium/study"
)

func (a *app) approveCommand() *cobra.Command {
	var refuse bool
	var why string
	cmd := &cobra.Command{
		Use:   "approve [DIGEST]",
		Short: "See which studies wait, and decide about one",
		Long: `Without a digest: every study that this hospital was asked about, and for those
that wait a dry run on the hospital's own records: how many are usable, why others
are not, and exactly which numbers would leave in which step. The dry run stays
here.

With a digest (its first 8 digits will do): approve the study, or refuse it. The
running agent carries the decision out; if none runs, it does so when it starts.
The reason of a refusal is sent as you type it: put nothing of a patient into it.`,
		Example: `  site-agent approve
  site-agent approve 3f9a01c2
  site-agent approve 3f9a01c2 --refuse --reason "not covered by our ethics vote"`,
		Args: console.Arguments("[DIGEST]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			read := a.config
			if len(args) > 0 {
				read = a.ownConfig // a decision is a file that the agent reads
			}
			c, err := read()
			if err != nil {
				return err
			}
			reviews, err := siteagent.Studies(c.dir)
			if err != nil {
				return fail("the studies cannot be read", err, "site-agent doctor")
			}
			if len(args) == 0 {
				if refuse || why != "" {
					return console.Usage(cmd, "--refuse and --reason need the DIGEST of a study")
				}
				return a.showStudies(c, reviews)
			}
			if why != "" && !refuse {
				return console.Usage(cmd, "--reason goes with --refuse")
			}
			review, err := findStudy(reviews, args[0])
			if err != nil {
				return err
			}
			decision := siteagent.Decision{Kind: siteagent.DecideStudy, Digest: review.Study, Yes: !refuse, Reason: why}
			if err := siteagent.Decide(c.dir, decision); err != nil {
				return fail("the decision was not recorded", err, "")
			}
			if a.JSON {
				return a.PrintJSON(decision)
			}
			a.Printf("Study %s %s is to be %s; the running agent tells the coordinator.\n", review.DryRun.Name, console.Short(review.Study.String()), map[bool]string{true: "refused", false: "approved"}[refuse])
			return nil
		},
	}
	cmd.Flags().BoolVar(&refuse, "refuse", false, "refuse the study")
	cmd.Flags().StringVar(&why, "reason", "", "why, in one `SENTENCE` that is sent as typed")
	return cmd
}

// find returns the review whose digest a person means by its first digits.
func find[R any](reviews []R, digest func(R) statement.Digest, prefix, what, list string) (found R, err error) {
	var digests []string
	for _, r := range reviews {
		digests = append(digests, digest(r).String())
	}
	meant, err := console.FindDigest(prefix, digests, what, list)
	if err != nil {
		return found, err
	}
	return reviews[slices.Index(digests, meant)], nil
}

func findStudy(reviews []siteagent.StudyReview, prefix string) (siteagent.StudyReview, error) {
	return find(reviews, func(r siteagent.StudyReview) statement.Digest { return r.Study }, prefix, "study", "site-agent approve")
}

func (a *app) showStudies(c config, reviews []siteagent.StudyReview) error {
	// The records may have changed since the study came.
	for i, r := range reviews {
		if r.State != siteagent.Waiting || c.records == "" {
			continue
		}
		protocol, err := siteagent.StudyProtocol(c.dir, r.Study)
		if err != nil {
			return fail("a study cannot be read", err, "")
		}
		parsed, err := study.Parse(protocol)
		if err != nil {
			return fail("a study cannot be read", err, "update the agent")
		}
		reviews[i].DryRun = siteagent.DryRunAt(c.dir, parsed, c.source())
	}
	if a.JSON {
		return a.PrintJSON(append([]siteagent.StudyReview{}, reviews...))
	}
	if len(reviews) == 0 {
		a.Printf("No study was proposed to this hospital yet.\n")
		return nil
	}
	for _, r := range reviews {
		a.Printf("%s  %s version %d, by %s: %s\n", console.Short(r.Study.String()), r.DryRun.Name, r.DryRun.Version, r.Researcher, stateOf(r))
		if r.DryRun.Title != "" {
			a.Printf("  %s\n", r.DryRun.Title)
		}
		if r.State == siteagent.Waiting {
			a.showDryRun(r.DryRun)
			a.Printf("  To decide: site-agent approve %s   or   site-agent approve %s --refuse --reason \"…\"\n", console.Short(r.Study.String()), console.Short(r.Study.String()))
		}
		a.Printf("\n")
	}
	return nil
}

func stateOf(r siteagent.StudyReview) string {
	if r.Reason != "" {
		return r.State + " (" + r.Reason + ")"
	}
	return r.State
}

func (a *app) showDryRun(d *siteagent.DryRun) {
	if d.Unreadable != "" {
		a.Printf("  The records cannot be used: %s\n", d.Unreadable)
	} else {
		skipped := 0
		var reasons []string
		for reason, n := range d.Skipped {
			skipped += n
			reasons = append(reasons, fmt.Sprintf("%s %d", reason, n))
		}
		sort.Strings(reasons)
		a.Printf("  Usable records: %d. Skipped: %d", d.Rows, skipped)
		if skipped > 0 {
			a.Printf(" (%s)", strings.Join(reasons, ", "))
		}
		a.Printf(".\n")
		if study.Misfit(d.Rows, d.Skipped) {
			a.Printf("  Attention: %s.\n", study.MisfitAdvice)
		}
	}
	a.Printf("  What would leave, encrypted, and be opened only as a sum over hospitals:\n")
	for _, step := range d.Steps {
		a.Printf("    %s, at most %d time(s): %d numbers, about %s each time\n", step.Step, step.Rounds, step.Numbers, console.Size(step.Bytes))
		var fields []string
		for _, f := range step.Fields {
			fields = append(fields, fmt.Sprintf("%s[%d]", f.Name, f.Length))
		}
		a.Printf("      %s\n      %s\n", step.Purpose, strings.Join(fields, " "))
	}
	if d.Waits != "" { // a dry run by an earlier version has none
		a.Printf("  A round waits for this hospital: %s.\n", d.Waits)
	}
	for i, note := range d.Shown {
		if i == 0 {
			a.Printf("  What the opened sums show beside the model:\n")
		}
		a.Printf("    %s\n", note)
	}
	for i, criterion := range d.Criteria {
		if i == 0 {
			a.Printf("  What becomes of the release, by the study's own criteria:\n")
		}
		a.Printf("    %s\n", criterion)
	}
}
