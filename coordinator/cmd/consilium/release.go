package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/internal/console"
)

func (a *app) releaseCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "release",
		Short: "Look at released models and what hospitals decided about them",
		Long: `A release is a model with the study it came from, the rounds behind it and the
bias audit, signed by the coordinator and offered to the hospitals. Each hospital
tests it on its own patients and accepts or refuses it. What the study's own
criteria block is offered to nobody, unless an auditor overrides that.`,
		Example: "  consilium release list\n  consilium release show 9c41d0aa\n  consilium release override 3f9a01c2 --reason \"...\"",
	}
	group.AddCommand(a.releaseListCommand(), a.releaseShowCommand(), a.releaseCardCommand(), a.releaseOverrideCommand())
	return console.AsGroup(group)
}

func (a *app) releaseListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Show every release",
		Long:    "Show every release: its digest, its study, and what the study's criteria make of it, and how many hospitals accepted and refused it.",
		Example: "  consilium release list",
		Args:    console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			studies, err := c.studies(cmd.Context())
			if err != nil {
				return err
			}
			type releaseJSON struct {
				Release   string         `json:"release"`
				Study     string         `json:"study"`
				Name      string         `json:"name"`
				Version   uint32         `json:"version"`
				Decisions []decisionJSON `json:"decisions"`
				Gate      string         `json:"gate,omitempty"`
				Reasons   []string       `json:"gate_reasons,omitempty"`
				Override  *overrideJSON  `json:"override,omitempty"`
			}
			releases := []releaseJSON{}
			rows := [][]string{{"RELEASE", "STUDY", "CRITERIA", "ACCEPTED", "REFUSED", "UNDECIDED"}}
			for _, s := range studies {
				if s.Release == "" && s.Gate != fairness.Blocked {
					continue
				}
				releases = append(releases, releaseJSON{s.Release, s.Study, s.Name, s.Version, s.ReleaseDecisions, s.Gate, s.GateReasons, s.Override})
				votes := tally(s.ReleaseDecisions)
				name := "none"
				if s.Release != "" {
					name = console.Short(s.Release)
				}
				rows = append(rows, []string{name, fmt.Sprintf("%s v%d (%s)", s.Name, s.Version, console.Short(s.Study)), s.gateWord(),
					strconv.Itoa(votes["accepted"]), strconv.Itoa(votes["refused"]), strconv.Itoa(votes["pending"])})
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"releases": releases})
			}
			if len(releases) == 0 {
				a.Printf("Nothing has been released yet.\n")
				return nil
			}
			a.Table(rows)
			return nil
		},
	}
}

func (a *app) releaseShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show DIGEST",
		Short: "Show a release: model, rounds, decisions",
		Long: `Show a release after verifying the coordinator's signature: the model, the
rounds it rests on with their contributors, and every hospital's decision. DIGEST
is the release's or its study's.`,
		Example: `  consilium release show 9c41d0aa`,
		Args:    console.Arguments("the release's DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			studies, err := c.studies(cmd.Context())
			if err != nil {
				return err
			}
			var digests []string
			studyOf := make(map[string]string)
			for _, s := range studies {
				if s.Release != "" {
					digests = append(digests, s.Release, s.Study)
					studyOf[s.Release], studyOf[s.Study] = s.Study, s.Study
				} else if s.Gate == fairness.Blocked {
					digests = append(digests, s.Study)
					studyOf[s.Study] = s.Study
				}
			}
			named, err := console.FindDigest(args[0], digests, "release", "consilium release list")
			if err != nil {
				return err
			}
			o, err := c.outcome(cmd.Context(), studyOf[named])
			if err != nil {
				return err
			}
			if o.release == nil && o.status.Gate == fairness.Blocked {
				return a.showBlocked(o)
			}
			if o.release == nil {
				return &console.Problem{What: "there is no release " + console.Short(named), Why: "the coordinator lists it and does not hand it over", Next: "consilium release list"}
			}
			return a.showRelease(o)
		},
	}
}

// showBlocked says why nothing is released.
func (a *app) showBlocked(o *outcome) error {
	if a.JSON {
		return a.PrintJSON(map[string]any{"release": nil, "study": o.status.Study, "gate": o.status.Gate, "gate_reasons": o.status.GateReasons})
	}
	a.Printf("%s (%s v%d)\n", o.status.Title, o.status.Name, o.status.Version)
	a.showGate(o.status)
	return nil
}

func (a *app) showRelease(o *outcome) error {
	if a.JSON {
		return a.PrintJSON(map[string]any{"release": o.releaseDigest, "statement": o.release, "decisions": o.status.ReleaseDecisions,
			"gate": o.status.Gate, "gate_reasons": o.status.GateReasons, "override": o.status.Override})
	}
	r := o.release
	a.Printf("%s (%s v%d)\n", o.status.Title, o.status.Name, o.status.Version)
	a.showGate(o.status)
	a.Printf("\n  release  %s\n  study    %s\n  roster   %s\n  model    %s\n  audit    %s\n  signed   %s\n\n",
		o.releaseDigest, r.Study, r.Roster, r.Model, r.Audit, r.Time.UTC().Format("2006-01-02 15:04:05 UTC"))
	rows := [][]string{{"ROUND", "STEP", "HOSPITALS"}}
	for _, round := range r.Rounds {
		rows = append(rows, []string{console.Short(round.Round.String()), round.Step, fmt.Sprintf("%d: %s", len(round.Contributors), strings.Join(round.Contributors, ", "))})
	}
	a.Table(rows)
	if o.result != nil {
		a.showModel(o.result)
	}
	if len(o.status.ReleaseDecisions) > 0 {
		a.Printf("\n")
		rows = [][]string{{"HOSPITAL", "DECISION", "REASON"}}
		for _, d := range o.status.ReleaseDecisions {
			rows = append(rows, []string{d.Site, d.Decision, d.Reason})
		}
		a.Table(rows)
	}
	return nil
}
