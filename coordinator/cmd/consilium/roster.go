package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// newcomer is someone who enrolled and is not on a roster yet.
type newcomer struct {
	Name        string `json:"name"`
	Role        string `json:"role"`
	Fingerprint string `json:"fingerprint"` // what two people compare
	enrolment   []byte
}

func (a *app) admitCommand() *cobra.Command {
	var dir, address string
	var names []string
	var all bool
	var wait int
	cmd := &cobra.Command{
		Use:   "admit --governance DIR [--all | --name NAME ...]",
		Short: "Show who asks to be a member; sign and publish the next roster",
		Long: `Show everyone who used an invitation and waits to be admitted, with the
fingerprint of the key each one made. With --name or --all, sign the next roster
with them on it and publish it: from then on they are members.

Compare each fingerprint with the one the newcomer's own screen shows, by
telephone for example, before you admit. This is the moment in which an impostor
would be noticed.

The governance key is needed for this one command only. It connects to the
coordinator on the roster, or to --coordinator.`,
		Example: `  consilium admit --governance consortium/governance                    show who waits
  consilium admit --governance consortium/governance --name ines
  consilium admit --governance consortium/governance --all --wait 5     wait for five, then admit them`,
		Args: console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := console.Require(cmd, "governance"); err != nil {
				return err
			}
			if all && len(names) > 0 {
				return console.Usage(cmd, "--all and --name exclude each other")
			}
			if wait > 0 && !all && len(names) == 0 {
				return console.Usage(cmd, "--wait needs --all or --name: whom should it admit")
			}
			return a.admit(cmd.Context(), dir, address, func(n newcomer) bool { return all || slices.Contains(names, n.Name) }, names, wait)
		},
	}
	governanceFlag(cmd, &dir)
	coordinatorFlag(cmd, &address)
	cmd.Flags().StringArrayVar(&names, "name", nil, "`NAME` of a newcomer to admit; may be repeated")
	cmd.Flags().BoolVar(&all, "all", false, "admit everyone who waits")
	cmd.Flags().IntVar(&wait, "wait", 0, "wait until this `NUMBER` of chosen newcomers are there")
	return cmd
}

func coordinatorFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "coordinator", "", "`HOST:PORT` of the coordinator, if it differs from the roster's")
}

func (a *app) admit(ctx context.Context, dir, address string, chosen func(newcomer) bool, names []string, wait int) error {
	g, client, closeConn, err := a.governanceClient(ctx, dir, address)
	if err != nil {
		return err
	}
	defer closeConn()
	waiting, err := pending(ctx, client)
	for told := -1; err == nil && wait > 0; waiting, err = pending(ctx, client) {
		here := slices.DeleteFunc(slices.Clone(waiting), func(n newcomer) bool { return !chosen(n) })
		if len(here) >= wait {
			break
		}
		if len(here) != told {
			told = len(here)
			a.Notef("%d of %d have enrolled; waiting\n", told, wait)
		}
		select {
		case <-ctx.Done():
			return console.Fail("nobody was admitted", ctx.Err(), "repeat this command")
		case <-time.After(time.Second):
		}
	}
	if err != nil {
		return err
	}
	var enrolments [][]byte
	var admitted []string
	rows := [][]string{{"NAME", "ROLE", "FINGERPRINT"}}
	for _, n := range waiting {
		rows = append(rows, []string{n.Name, n.Role, n.Fingerprint})
		if chosen(n) {
			enrolments = append(enrolments, n.enrolment)
			admitted = append(admitted, n.Name)
		}
	}
	for _, name := range names {
		if !slices.Contains(admitted, name) {
			return &console.Problem{What: "nobody was admitted", Why: fmt.Sprintf("%q has not enrolled, or is a member already", name),
				Next: "consilium admit --governance " + dir + " shows who waits"}
		}
	}
	if len(enrolments) == 0 {
		if a.JSON {
			return a.PrintJSON(map[string]any{"waiting": orEmpty(waiting), "admitted": []string{}, "roster": g.Rosters().Latest().Number})
		}
		if len(waiting) == 0 {
			a.Printf("Nobody waits to be admitted.\n")
			return nil
		}
		a.Table(rows)
		a.Printf("\nCompare the fingerprints with the newcomers' screens, then: consilium admit --governance %s --name NAME\n", dir)
		return nil
	}
	envelope, err := g.Admit(enrolments, a.now())
	if err != nil {
		return console.Fail("nobody was admitted", err, "")
	}
	if err := publish(ctx, client, envelope); err != nil {
		return err
	}
	latest := g.Rosters().Latest()
	if a.JSON {
		return a.PrintJSON(map[string]any{"waiting": orEmpty(waiting), "admitted": admitted, "roster": latest.Number})
	}
	a.Table(rows)
	a.Printf("\nRoster %d published: %s admitted, %s now.\n", latest.Number, strings.Join(admitted, ", "), console.Count(len(latest.Members), "member"))
	return nil
}

func orEmpty(in []newcomer) []newcomer {
	if in == nil {
		return []newcomer{}
	}
	return in
}

// pending reads who waits. That they were invited is checked by Admit.
func pending(ctx context.Context, client consiliumv1.MembershipServiceClient) ([]newcomer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := client.PendingEnrolments(ctx, &consiliumv1.PendingEnrolmentsRequest{})
	if err != nil {
		return nil, refusedCall("cannot see who waits", err)
	}
	var out []newcomer
	for _, envelope := range answer.GetEnrolments() {
		e, err := identity.OpenEnrolment(envelope)
		if err != nil {
			return nil, violation("an enrolment that the coordinator shows was refused", err)
		}
		out = append(out, newcomer{Name: e.Name, Role: e.Role, Fingerprint: identity.EnrolledMember(e).Fingerprint(), enrolment: envelope})
	}
	slices.SortFunc(out, func(x, y newcomer) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}

// governanceClient logs in with the governance key and brings the coordinator
// up to date with rosters that were signed and, after an interruption, not
// published.
func (a *app) governanceClient(ctx context.Context, dir, address string) (*identity.Governance, consiliumv1.MembershipServiceClient, func(), error) {
	g, err := openGovernance(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	if address == "" {
		address = g.Rosters().Latest().Coordinator
	}
	conn, err := dial(address, g.ClientTLS(a.now))
	if err != nil {
		return nil, nil, nil, err
	}
	client := consiliumv1.NewMembershipServiceClient(conn)
	closeConn := func() { conn.Close() }
	if err := publishMissing(ctx, client, g.Rosters()); err != nil {
		closeConn()
		return nil, nil, nil, err
	}
	return g, client, closeConn, nil
}

func publishMissing(ctx context.Context, client consiliumv1.MembershipServiceClient, chain *identity.Chain) error {
	ask, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := client.Rosters(ask, &consiliumv1.RostersRequest{})
	if err != nil {
		return refusedCall("cannot read the rosters in force", err)
	}
	signed := chain.Envelopes()
	if known := len(answer.GetRosters()); known < len(signed) {
		for _, envelope := range signed[known:] {
			if err := publish(ctx, client, envelope); err != nil {
				return err
			}
		}
	}
	return nil
}

func publish(ctx context.Context, client consiliumv1.MembershipServiceClient, envelope []byte) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := client.PublishRoster(ctx, &consiliumv1.PublishRosterRequest{Roster: envelope})
	return refusedCall("the roster was signed and not published", err)
}

func (a *app) removeCommand() *cobra.Command {
	var dir, address string
	cmd := &cobra.Command{
		Use:   "remove NAME --governance DIR",
		Short: "Take a member off the roster",
		Long: `Sign and publish the next roster without the member. From that moment the
coordinator and every other member refuse the member's certificate, statements
and contributions. What the member signed before stays in the ledger and stays
valid, and a release that it contributed to stays a release.

A removed member may be invited again under the same name, with new keys.`,
		Example: `  consilium remove ines --governance consortium/governance`,
		Args:    console.Arguments("the member's NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := console.Require(cmd, "governance"); err != nil {
				return err
			}
			g, client, closeConn, err := a.governanceClient(cmd.Context(), dir, address)
			if err != nil {
				return err
			}
			defer closeConn()
			envelope, err := g.Remove(args[0], a.now())
			if err != nil {
				return console.Fail(args[0]+" was not removed", err, "consilium roster show --governance "+dir)
			}
			if err := publish(cmd.Context(), client, envelope); err != nil {
				return err
			}
			latest := g.Rosters().Latest()
			if a.JSON {
				return a.PrintJSON(map[string]any{"removed": args[0], "roster": latest.Number})
			}
			a.Printf("Roster %d published: %s removed, %s now.\n", latest.Number, args[0], console.Count(len(latest.Members), "member"))
			return nil
		},
	}
	governanceFlag(cmd, &dir)
	coordinatorFlag(cmd, &address)
	return cmd
}

func (a *app) rosterCommand() *cobra.Command {
	var dir string
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the members on the latest roster",
		Long: `Show the latest roster: the consortium, the coordinator's address and the
members with the fingerprints of their keys. With --governance it is the latest
roster that was signed; with an identity it is the latest one in force, asked
from the coordinator and verified against the chain this identity keeps.`,
		Example: `  consilium roster show
  consilium roster show --governance consortium/governance`,
		Args: console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir != "" {
				g, err := openGovernance(dir)
				if err != nil {
					return err
				}
				return a.showRoster(g.Rosters().Latest(), g.Public())
			}
			c, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer c.Close()
			return a.showRoster(c.node.Rosters().Latest(), c.node.Governance())
		},
	}
	governanceFlag(show, &dir)
	group := &cobra.Command{
		Use:     "roster",
		Short:   "Look at the signed list of members",
		Long:    "The roster is the signed, numbered and chained list of members. Only the governance key makes a new one.",
		Example: "  consilium roster show",
	}
	group.AddCommand(show)
	return console.AsGroup(group)
}

func (a *app) showRoster(roster *identity.Roster, governance ed25519.PublicKey) error {
	type memberJSON struct {
		Name        string `json:"name"`
		Role        string `json:"role"`
		Fingerprint string `json:"fingerprint"`
	}
	members := []memberJSON{}
	rows := [][]string{{"NAME", "ROLE", "FINGERPRINT"}}
	for _, m := range roster.Members {
		members = append(members, memberJSON{m.Name, string(m.Role), m.Fingerprint()})
		rows = append(rows, []string{m.Name, string(m.Role), m.Fingerprint()})
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{
			"consortium": roster.Consortium, "number": roster.Number, "digest": roster.Digest().String(), "issued": roster.Issued,
			"coordinator": roster.Coordinator, "governance": identity.GovernanceFingerprint(governance), "members": members,
		})
	}
	a.Printf("%s, roster %d of %s, coordinator at %s\n", roster.Consortium, roster.Number, roster.Issued.UTC().Format(time.RFC3339), roster.Coordinator)
	a.Printf("governance key %s\n\n", identity.GovernanceFingerprint(governance))
	a.Table(rows)
	return nil
}
