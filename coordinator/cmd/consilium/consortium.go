package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/console"
)

func (a *app) initCommand() *cobra.Command {
	var consortium, coordinator, dir string
	cmd := &cobra.Command{
		Use:   "init --consortium NAME --coordinator HOST:PORT --dir DIR",
		Short: "Start a consortium: governance key, coordinator identity, first roster",
		Long: `Start a consortium. Two directories are made:

  DIR/governance    the governance key. It signs the roster, the list of who is
                    a member. Whoever holds it decides who takes part, so keep
                    the directory offline and with the consortium, not with the
                    people who run the coordinator.
  DIR/coordinator   the coordinator's own keys. Move it to the server, where it
                    becomes the folder "identity" in the state of
                    "coordinator serve".

HOST:PORT is where members will reach the coordinator. It becomes part of the
roster, so choose a name that every hospital can resolve.`,
		Example: `  consilium init --consortium warfarin-europe --coordinator coordinator.example.org:7443 --dir consortium`,
		Args:    console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := console.Require(cmd, "consortium", "coordinator", "dir"); err != nil {
				return err
			}
			governance, server := filepath.Join(dir, "governance"), filepath.Join(dir, "coordinator")
			for _, existing := range []string{governance, server} {
				if _, err := os.Lstat(existing); err == nil {
					return &console.Problem{What: "nothing was made", Why: existing + " exists, and keys are never overwritten",
						Next: "choose another --dir, or move the old directory away"}
				}
			}
			err := identity.InitConsortium(identity.InitSpec{
				Consortium: consortium, CoordinatorAddress: coordinator,
				GovernanceDir: governance, CoordinatorDir: server, Now: a.now(),
			})
			if err != nil {
				return console.Fail("the consortium was not started", err, "consilium init --help")
			}
			g, err := identity.OpenGovernance(governance)
			if err != nil {
				return console.Fail("the consortium was not started", err, "")
			}
			if a.JSON {
				return a.PrintJSON(map[string]any{
					"consortium": consortium, "coordinator": coordinator,
					"governance_dir": governance, "coordinator_dir": server,
					"governance": identity.GovernanceFingerprint(g.Public()),
				})
			}
			a.Printf("Consortium %s started, with roster 1.\n\n", consortium)
			a.Printf("  %s   the governance key: keep it offline, with a copy in a safe\n", governance)
			a.Printf("  %s  the coordinator's keys: move them to the server\n\n", server)
			a.Printf("Governance key fingerprint, for every member to compare:\n  %s\n\n", identity.GovernanceFingerprint(g.Public()))
			a.Printf("Next, on the server (coordinator config explains every setting):\n")
			a.Printf("  mkdir state && mv %s state/identity\n", server)
			a.Printf("  coordinator config > coordinator.yaml && coordinator serve\n")
			a.Printf("Then invite the members, for example:\n")
			a.Printf("  consilium invite --governance %s --role site --name \"St. Mary\"\n", governance)
			return nil
		},
	}
	cmd.Flags().StringVar(&consortium, "consortium", "", "`NAME` of the consortium: letters, digits, space, . _ -")
	cmd.Flags().StringVar(&coordinator, "coordinator", "", "`HOST:PORT` where members reach the coordinator")
	cmd.Flags().StringVar(&dir, "dir", "", "`DIR` to make the two directories in")
	return cmd
}

func (a *app) inviteCommand() *cobra.Command {
	var dir, role, name string
	var expires time.Duration
	cmd := &cobra.Command{
		Use:   "invite --governance DIR --role site|researcher|auditor --name NAME",
		Short: "Make a one-time invitation for a new member",
		Long: `Make a one-time token that lets one newcomer ask to be a member. The token
names the newcomer, the role and the coordinator's key, and is signed by the
governance key, so that the first contact is authenticated both ways. It works
once and until it expires.

Hand the token over by a channel that you trust. Using it does not make anybody
a member: "consilium admit" does, after you have compared key fingerprints.
A hospital uses it with "site-agent enroll", anyone else with "consilium enroll".`,
		Example: `  consilium invite --governance consortium/governance --role site --name "St. Mary"
  consilium invite --governance consortium/governance --role auditor --name ines --expires 24h`,
		Args: console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := console.Require(cmd, "governance", "role", "name"); err != nil {
				return err
			}
			switch identity.Role(role) {
			case identity.RoleSite, identity.RoleResearcher, identity.RoleAuditor:
			default:
				return console.Usage(cmd, fmt.Sprintf("there is no role %q to invite: it is site, researcher or auditor", role))
			}
			if err := identity.CheckName(name); err != nil {
				return console.Usage(cmd, err.Error())
			}
			if expires < time.Minute || expires > 30*24*time.Hour {
				return console.Usage(cmd, "an invitation expires after a minute at the least and 30 days at the most")
			}
			g, err := openGovernance(dir)
			if err != nil {
				return err
			}
			token, err := g.Invite(name, identity.Role(role), expires, a.now())
			if err != nil {
				return console.Fail("no invitation was made", err, "consilium roster show --governance "+dir)
			}
			until := a.now().Add(expires).UTC().Truncate(time.Second)
			if a.JSON {
				return a.PrintJSON(map[string]any{"name": name, "role": role, "expires": until, "token": token})
			}
			a.Notef("Invitation for the %s %s, good once and until %s.\n", role, name, until.Format(time.RFC3339))
			if identity.Role(role) == identity.RoleSite {
				a.Notef("The hospital runs: site-agent enroll TOKEN\n")
			} else {
				a.Notef("%s runs: consilium enroll TOKEN --dir DIR\n", name)
			}
			a.Notef("Then you run: consilium admit --governance %s\n\n", dir)
			a.Printf("%s\n", token)
			return nil
		},
	}
	governanceFlag(cmd, &dir)
	cmd.Flags().StringVar(&role, "role", "", "`ROLE` of the newcomer: site, researcher or auditor")
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the newcomer")
	cmd.Flags().DurationVar(&expires, "expires", 72*time.Hour, "how long the invitation is good")
	return cmd
}

func governanceFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "governance", "", "`DIR` with the governance key, made by consilium init")
}

func openGovernance(dir string) (*identity.Governance, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, console.Fail("there is no governance key in "+dir, err, "name the directory that consilium init made: --governance DIR/governance")
	}
	g, err := identity.OpenGovernance(dir)
	if err != nil {
		return nil, console.Fail("cannot open the governance key in "+dir, err, "name the directory that consilium init made: --governance DIR/governance")
	}
	return g, nil
}
