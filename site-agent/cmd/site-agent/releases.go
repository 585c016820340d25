package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

func (a *app) releasesCommand() *cobra.Command {
	cmd := console.AsGroup(&cobra.Command{
		Use:   "releases",
		Short: "Offered models: list, compare with own patients, accept, roll back",
		Long: `A release is a model with its audit, signed by the coordinator. The agent has
checked its signature and that it is built on this hospital's contributions as
this hospital made them, and has tested it on this hospital's own patients. The
numbers of that test stay here.`,
		Example: `  site-agent releases list
  site-agent releases show 91c0aa27
  site-agent releases accept 91c0aa27
  site-agent releases refuse 91c0aa27 --reason "errors on our elderly patients"
  site-agent releases rollback warfarin-dose`,
	})
	cmd.AddCommand(a.releasesList(), a.releasesShow(), a.releasesDecide(true), a.releasesDecide(false), a.releasesRollback())
	return cmd
}

func (a *app) releases(read func() (config, error)) (config, []siteagent.ReleaseReview, error) {
	c, err := read()
	if err != nil {
		return c, nil, err
	}
	reviews, err := siteagent.Releases(c.dir)
	if err != nil {
		return c, nil, fail("the releases cannot be read", err, "site-agent doctor")
	}
	return c, reviews, nil
}

func findRelease(reviews []siteagent.ReleaseReview, prefix string) (siteagent.ReleaseReview, error) {
	return find(reviews, func(r siteagent.ReleaseReview) statement.Digest { return r.Release }, prefix, "release", "site-agent releases list")
}

func (a *app) releasesList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the releases offered to this hospital", Args: console.Arguments(),
		RunE: func(*cobra.Command, []string) error {
			_, reviews, err := a.releases(a.config)
			if err != nil {
				return err
			}
			if a.JSON {
				if reviews == nil {
					reviews = []siteagent.ReleaseReview{}
				}
				return a.PrintJSON(reviews)
			}
			if len(reviews) == 0 {
				a.Printf("No release was offered to this hospital yet.\n")
				return nil
			}
			rows := [][]string{{"release", "study", "released", "state", "criteria", "in use"}}
			for _, r := range reviews {
				inUse := ""
				if r.Installed {
					inUse = "yes"
				}
				rows = append(rows, []string{console.Short(r.Release.String()), fmt.Sprintf("%s v%d", r.Name, r.Version), stamp(r.Released), r.State, gateWord(r), inUse})
			}
			a.Table(rows)
			return nil
		},
	}
}

func (a *app) releasesShow() *cobra.Command {
	return &cobra.Command{
		Use: "show DIGEST", Short: "Show how a release does here, beside all hospitals together",
		Long: `Show a release's errors on this hospital's own patients beside those over all
hospitals, and where the page with the same numbers is. They were sent to nobody.`,
		Args: console.Arguments("the release's DIGEST"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, reviews, err := a.releases(a.config)
			if err != nil {
				return err
			}
			review, err := findRelease(reviews, args[0])
			if err != nil {
				return err
			}
			comparison, page, err := siteagent.LocalComparison(c.dir, review.Release)
			if err != nil {
				a.showGate(review)
				return fail("there are no local numbers for this release", err, "check the records with site-agent doctor")
			}
			if a.JSON {
				return a.PrintJSON(struct {
					siteagent.ReleaseReview
					Comparison *siteagent.Comparison `json:"comparison"`
					Page       string                `json:"page"`
				}{review, comparison, page})
			}
			a.Printf("Release %s of study %s, version %d: %s\n\n", console.Short(review.Release.String()), review.Name, review.Version, review.State)
			a.showGate(review)
			a.showComparison(comparison)
			a.Printf("\nThe page: %s\n", page)
			return nil
		},
	}
}

// gateWord says in a word what the study's criteria make of a release.
func gateWord(r siteagent.ReleaseReview) string {
	switch {
	case r.Override != nil:
		return "blocked, overridden"
	case r.Gate == fairness.OfferedWithWarning:
		return "warning"
	}
	return "-"
}

// showGate says what the study's criteria make of a release, before any figure.
func (a *app) showGate(r siteagent.ReleaseReview) {
	if a.JSON || len(r.Reasons) == 0 && r.Override == nil {
		return
	}
	switch {
	case r.Override != nil:
		a.Printf("UNDER AN OVERRIDE: the study's criteria block this release. %s had it offered all the same, on %s:\n  %q\n", r.Override.Auditor, stamp(r.Override.Time), r.Override.Reason)
	case r.Gate == fairness.OfferedWithWarning:
		a.Printf("WITH A WARNING, by the study's own criteria:\n")
	}
	for _, reason := range r.Reasons {
		a.Printf("  - %s\n", reason)
	}
	a.Printf("\n")
}

func (a *app) showComparison(c *siteagent.Comparison) {
	if len(c.Groups) == 0 {
		return
	}
	names := slices.Sorted(maps.Keys(c.Groups[0].Own))
	shown := slices.DeleteFunc([]string{"mae", "rmse", "bias", "within20", "brier", "tpr", "fpr", "ppv"}, func(name string) bool { return !slices.Contains(names, name) })
	heading := []string{"patients", "n here", "n in all"}
	for _, name := range shown {
		heading = append(heading, name+" here", "in all")
	}
	rows := [][]string{heading}
	figure := func(m map[string]float64, name string) string {
		if x, ok := m[name]; ok {
			return fmt.Sprintf("%.3g", x)
		}
		return "–"
	}
	for i, g := range c.Groups {
		row := []string{g.Attribute + ": " + g.Level, fmt.Sprint(g.OwnN), "–"}
		if i == 0 {
			row[0] = "all"
		}
		if g.WholeN != nil {
			row[2] = fmt.Sprint(*g.WholeN)
		}
		for _, name := range shown {
			row = append(row, figure(g.Own, name), figure(g.Whole, name))
		}
		rows = append(rows, row)
	}
	a.Table(rows)
}

func (a *app) releasesDecide(accept bool) *cobra.Command {
	var why string
	word, about := "accept", "Accept a release and predict with it from now on"
	if !accept {
		word, about = "refuse", "Refuse a release"
	}
	cmd := &cobra.Command{
		Use: word + " DIGEST", Short: about, Args: console.Arguments("the release's DIGEST"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, reviews, err := a.releases(a.ownConfig)
			if err != nil {
				return err
			}
			review, err := findRelease(reviews, args[0])
			if err != nil {
				return err
			}
			decision := siteagent.Decision{Kind: siteagent.DecideRelease, Digest: review.Release, Yes: accept, Reason: why}
			if err := siteagent.Decide(c.dir, decision); err != nil {
				return fail("the decision was not recorded", err, "")
			}
			if a.JSON {
				return a.PrintJSON(decision)
			}
			a.Printf("Release %s is to be %s; the running agent tells the coordinator.\n", console.Short(review.Release.String()), map[bool]string{true: "accepted", false: "refused"}[accept])
			return nil
		},
	}
	if !accept {
		cmd.Flags().StringVar(&why, "reason", "", "why, in one `SENTENCE` that is sent as typed: nothing of a patient")
	}
	return cmd
}

func (a *app) releasesRollback() *cobra.Command {
	return &cobra.Command{
		Use: "rollback STUDY", Short: "Predict with the release before the present one", Args: console.Arguments("the STUDY"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.ownConfig()
			if err != nil {
				return err
			}
			release, err := siteagent.Rollback(c.dir, args[0])
			if err != nil {
				return fail("nothing was changed", err, "site-agent releases list")
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"study": args[0], "release": release})
			}
			a.Printf("Study %s now predicts with release %s.\n", args[0], console.Short(release.String()))
			return nil
		},
	}
}
