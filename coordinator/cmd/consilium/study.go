package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

func (a *app) studyCommand() *cobra.Command {
	group := &cobra.Command{
		Use:   "study",
		Short: "Check, propose, start and follow studies",
		Long: `A study is one YAML file: who is in the cohort, which columns the model sees,
what it predicts, which groups the bias audit compares, and how many hospitals a
sum must hold at the least. The file's SHA-256 is the study's name. Hospitals
approve exactly those bytes; a changed file is another study.`,
		Example: `  consilium study check warfarin.yaml --data my-patients.csv
  consilium study propose warfarin.yaml
  consilium study start 3f9a01c2 --wait-approvals all`,
	}
	group.AddCommand(a.studyCheckCommand(), a.studyProposeCommand(), a.studyListCommand(), a.studyStartCommand(), a.studyWatchCommand(), a.studyResultCommand(), a.studyCompareCommand())
	return console.AsGroup(group)
}

func (a *app) studyProposeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "propose FILE",
		Short: "Ask the hospitals to approve a study",
		Long: `Check the protocol file, sign it as its researcher and hand it to the
coordinator, who shows it to every hospital. Each one sees, before it decides,
how many of its records are usable and exactly what would leave. Nothing is
computed until you start the study.

Proposing the same file again changes nothing.`,
		Example: `  consilium study propose warfarin.yaml`,
		Args:    console.Arguments("the protocol FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := readStudy(args[0])
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			proposal, err := statement.Sign(statement.KindProposal, statement.Proposal{
				Study: s.Digest(), Researcher: c.node.Name(), Time: a.now(),
			}, c.node.Name(), c.node.Keys().Signing())
			if err != nil {
				return console.Fail("the study was not proposed", err, "")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), callTimeout)
			defer cancel()
			answer, err := c.study.Propose(ctx, &consiliumv1.ProposeRequest{Protocol: s.Source(), Proposal: proposal})
			if err != nil {
				return refusedCall("the study was not proposed", err)
			}
			if want := statement.Digest(s.Digest()).String(); answer.GetStudy() != want {
				return violation("the coordinator registered another study than the one proposed", fmt.Errorf("it answers %s for %s", console.Short(answer.GetStudy()), console.Short(want)))
			}
			sites := len(c.node.Rosters().Latest().Sites())
			if a.JSON {
				return a.PrintJSON(map[string]any{"study": answer.GetStudy(), "name": s.Name, "version": s.Version, "sites": sites})
			}
			a.Printf("Proposed %s version %d to %s.\n  %s\n\n", s.Name, s.Version, console.Count(sites, "hospital"), answer.GetStudy())
			a.Printf("Hospitals decide with: site-agent approve %s\n", console.Short(answer.GetStudy()))
			a.Printf("You go on with:        consilium study start %s --wait-approvals all\n", console.Short(answer.GetStudy()))
			return nil
		},
	}
}

func (a *app) studyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Show every study and its state",
		Long:    "Show every study the coordinator knows: its digest, state, how many hospitals have approved it, and how many rounds were opened.",
		Example: "  consilium study list\n  consilium study list --json",
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
			if a.JSON {
				return a.PrintJSON(map[string]any{"studies": studies})
			}
			if len(studies) == 0 {
				a.Printf("There are no studies yet. Propose one: consilium study propose FILE\n")
				return nil
			}
			rows := [][]string{{"DIGEST", "STUDY", "STATE", "APPROVED", "ROUNDS", "RESEARCHER"}}
			for _, s := range studies {
				published := 0
				for _, r := range s.Rounds {
					if r.State == "published" {
						published++
					}
				}
				votes := tally(s.Decisions)
				approved := fmt.Sprintf("%d of %d", votes["approved"], len(s.Decisions))
				if votes["refused"] > 0 {
					approved += fmt.Sprintf(", %d refused", votes["refused"])
				}
				rows = append(rows, []string{console.Short(s.Study), fmt.Sprintf("%s v%d", s.Name, s.Version), s.State, approved, strconv.Itoa(published), s.Researcher})
			}
			a.Table(rows)
			return nil
		},
	}
}

// studies lists every study.
func (c *connection) studies(ctx context.Context) ([]studyJSON, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.study.List(ctx, &consiliumv1.ListRequest{})
	if err != nil {
		return nil, refusedCall("cannot list the studies", err)
	}
	out := []studyJSON{}
	for _, s := range answer.GetStudies() {
		out = append(out, statusOf(s))
	}
	return out, nil
}

// connectFor opens a connection and finds the study that a person means by the
// first digits of its digest.
func (a *app) connectFor(ctx context.Context, prefix string) (*connection, string, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, "", err
	}
	s, err := c.findStudy(ctx, prefix)
	if err != nil {
		c.Close()
		return nil, "", err
	}
	return c, s.Study, nil
}

// findStudy finds the study that a person means.
func (c *connection) findStudy(ctx context.Context, prefix string) (studyJSON, error) {
	studies, err := c.studies(ctx)
	if err != nil {
		return studyJSON{}, err
	}
	var digests []string
	for _, s := range studies {
		digests = append(digests, s.Study)
	}
	digest, err := console.FindDigest(prefix, digests, "study", "consilium study list")
	if err != nil {
		return studyJSON{}, err
	}
	return studies[slices.Index(digests, digest)], nil
}

func (a *app) studyStartCommand() *cobra.Command {
	var approvals string
	cmd := &cobra.Command{
		Use:   "start DIGEST",
		Short: "Begin the rounds with the hospitals that have approved",
		Long: `Begin the study. The hospitals that have approved by now take part in its
rounds; one that approves later does not. With --wait-approvals the command
first waits until so many have approved, or until all on the roster have.

A started study runs by itself: you may close this terminal.`,
		Example: `  consilium study start 3f9a01c2
  consilium study start 3f9a01c2 --wait-approvals 5
  consilium study start 3f9a01c2 --wait-approvals all`,
		Args: console.Arguments("the study's DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted, err := parseApprovals(cmd, approvals)
			if err != nil {
				return err
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			found, err := c.findStudy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			digest := found.Study
			if found.State != "proposed" {
				if a.JSON {
					return a.PrintJSON(map[string]any{"study": digest, "started": false, "state": found.State})
				}
				a.Printf("Nothing to do: %s was started before and is %s.\n", console.Short(digest), found.State)
				return nil
			}
			if wanted != 0 {
				if err := a.waitForApprovals(cmd.Context(), c, digest, wanted); err != nil {
					return err
				}
			}
			study, err := statement.ParseDigest(digest)
			if err != nil {
				return console.Fail("the study was not started", err, "")
			}
			start, err := statement.Sign(statement.KindStart, statement.Start{
				Study: study, Researcher: c.node.Name(), Time: a.now(),
			}, c.node.Name(), c.node.Keys().Signing())
			if err != nil {
				return console.Fail("the study was not started", err, "")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), callTimeout)
			defer cancel()
			if _, err := c.study.Start(ctx, &consiliumv1.StartRequest{Study: digest, Start: start}); err != nil {
				return refusedCall("the study was not started", err)
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{"study": digest, "started": true, "state": "running"})
			}
			a.Printf("Started %s. Follow it: consilium study watch %s\n", console.Short(digest), console.Short(digest))
			return nil
		},
	}
	cmd.Flags().StringVar(&approvals, "wait-approvals", "", "wait until this `NUMBER` of hospitals have approved, or all")
	return cmd
}

// allSites asks to wait for every hospital on the roster.
const allSites = -1

func parseApprovals(cmd *cobra.Command, s string) (int, error) {
	switch s {
	case "":
		return 0, nil
	case "all":
		return allSites, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, console.Usage(cmd, fmt.Sprintf("--wait-approvals is a number or all, not %q", s))
	}
	return n, nil
}

// waitForApprovals returns once enough hospitals have approved, or an error
// once enough have refused to make that impossible.
func (a *app) waitForApprovals(ctx context.Context, c *connection, digest string, wanted int) error {
	told := ""
	return a.follow(ctx, c, digest, func(s studyJSON) (bool, error) {
		votes := tally(s.Decisions)
		need := wanted
		if wanted == allSites {
			need = len(s.Decisions)
		}
		if s.State != "proposed" || need > 0 && votes["approved"] >= need {
			return true, nil // what is to be said of a study that has started, Start says
		}
		if votes["refused"] > 0 && votes["approved"]+votes["pending"] < need {
			return true, &console.Problem{What: "the study was not started", Why: "refused by " + strings.Join(refusals(s.Decisions), "; "),
				Next: "consilium study start " + console.Short(digest) + " starts it with those who approved"}
		}
		if line := fmt.Sprintf("%d of %d approvals", votes["approved"], need); line != told {
			told = line
			a.Notef("%s; waiting\n", line)
		}
		return false, nil
	})
}

func refusals(decisions []decisionJSON) []string {
	var out []string
	for _, d := range decisions {
		if d.Decision == "refused" {
			out = append(out, fmt.Sprintf("%s (%s)", d.Site, d.Reason))
		}
	}
	return out
}

// makeDirectory makes a directory that does not exist or is empty.
func makeDirectory(dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		return &console.Problem{What: "nothing was written", Why: dir + " exists and is not empty", Next: "choose another --out"}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return console.Fail("nothing was written", err, "choose another --out")
	}
	return nil
}
