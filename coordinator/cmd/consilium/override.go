package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/compute/fairness"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

const notOverridden = "the release was not overridden"

func (a *app) releaseOverrideCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "override STUDY --reason TEXT",
		Short: "Have a release offered that the study's criteria block",
		Long: `Have a release offered to the hospitals although the study's own criteria block it.
Only an auditor of the consortium can: the researcher wants the model used, the
coordinator's operator makes the offer, and neither may also be who decides that
its disparities are acceptable.

The override is a statement signed with your key. It says who you are, when, why,
and which decision of which bias audit it overrides; it enters the ledger before
the release does, and every hospital, page, card and bundle shows it. It cannot be
taken back. Read the bias audit first: consilium audit report STUDY.`,
		Example: `  consilium release override 3f9a01c2 --reason "Used for men only until the second study, ethics vote 2026-118"`,
		Args:    console.Arguments("the STUDY's digest"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := console.Require(cmd, "reason"); err != nil {
				return err
			}
			if strings.TrimSpace(reason) == "" {
				return console.Usage(cmd, "--reason is empty: say why the hospitals should be offered this model all the same")
			}
			c, digest, err := a.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer c.Close()
			if me, listed := c.node.Rosters().Latest().Member(c.node.Name()); listed && me.Role != identity.RoleAuditor {
				return &console.Problem{What: notOverridden, Why: fmt.Sprintf("%s is a %s of the consortium, and only an auditor overrides a study's criteria", me.Name, me.Role),
					Next: "ask an auditor: consilium roster show", Code: "not-an-auditor"}
			}
			return a.override(cmd.Context(), c, digest, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, in a `SENTENCE` that everybody will read")
	return cmd
}

// override signs over the decision that this program itself made of the signed
// audit: nobody overrides what the coordinator merely claims.
func (a *app) override(ctx context.Context, c *connection, digest, reason string) error {
	o, err := c.outcome(ctx, digest)
	if err != nil {
		return err
	}
	s := o.status
	switch {
	case s.Override != nil:
		return &console.Problem{What: notOverridden, Why: fmt.Sprintf("%s overrode it before, on %s", s.Override.Auditor, s.Override.Time.Format("2006-01-02")),
			Next: "consilium release show " + console.Short(digest), Code: "overridden-already"}
	case s.Gate == "":
		return &console.Problem{What: notOverridden, Why: "the study is " + s.State + " and has no model to release", Next: "consilium study watch " + console.Short(digest), Code: "not-blocked"}
	case s.Gate != fairness.Blocked:
		return &console.Problem{What: notOverridden, Why: "the release is " + s.Gate + ": nothing blocks it", Next: "consilium release show " + console.Short(digest), Code: "not-blocked"}
	}
	id, err := statement.ParseDigest(digest)
	if err != nil {
		return console.Fail(notOverridden, err, "")
	}
	signed, err := statement.Sign(statement.KindReleaseOverride, statement.ReleaseOverride{
		Study: id, Audit: statement.DigestOf(o.audit), Gate: s.Gate, Auditor: c.node.Name(), Reason: reason, Time: a.now(),
	}, c.node.Name(), c.node.Keys().Signing())
	if err != nil {
		return console.Fail(notOverridden, err, "")
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.study.OverrideRelease(ctx, &consiliumv1.OverrideReleaseRequest{Study: digest, Override: signed})
	if err != nil {
		return refusedCall(notOverridden, err)
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{"study": digest, "release": answer.GetRelease(), "overrides": s.Gate, "reasons": s.GateReasons, "auditor": c.node.Name(), "reason": reason})
	}
	a.Printf("The hospitals are offered release %s under your override, which is in the ledger.\nOverridden, by your signature:\n", console.Short(answer.GetRelease()))
	for _, r := range s.GateReasons {
		a.Printf("  - %s\n", r)
	}
	return nil
}
