package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

func (a *app) enrollCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "enroll [TOKEN]",
		Short: "Become a member of a consortium, with an invitation",
		Long: `Use an invitation. This hospital's keys are made here, in the state directory,
and never leave it; only their public halves go to the coordinator, whose key the
invitation pins. Then the command shows two fingerprints to compare by telephone
and waits until the consortium's governance has admitted this hospital.

Interrupted, it goes on where it was when it is run again, without the token.`,
		Example: `  site-agent enroll "$TOKEN"
  site-agent enroll "$TOKEN" --dir /var/lib/site-agent`,
		Args: console.Arguments("[TOKEN]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.ownConfig()
			if err != nil {
				return err
			}
			o := siteagent.EnrolOptions{Dir: c.dir, Address: c.coordinator, Proxy: c.proxy}
			if len(args) == 1 {
				o.Token = args[0]
			}
			if err := siteagent.PrepareEnrolment(o); err != nil {
				return fail("the keys were not made", err, "ask the consortium for a new invitation, or choose another --dir")
			}
			own, governance, err := siteagent.Fingerprints(c.dir)
			if err != nil {
				return fail("the enrolment cannot be read", err, "")
			}
			a.Notef("The fingerprint of this hospital's keys; read it to whoever admits you:\n\n  %s\n\n", own)
			a.Notef("The fingerprint of the consortium's governance key; it must be the published one:\n\n  %s\n\n", governance)
			a.Notef("Waiting to be admitted …\n")
			told := time.Duration(0)
			o.Waiting = func(since time.Duration) {
				if since-told >= time.Minute {
					told = since
					a.Notef("still waiting after %s\n", since.Round(time.Second))
				}
			}
			enrolled, err := siteagent.Enroll(cmd.Context(), o)
			if err != nil {
				return notYet(err)
			}
			if a.JSON {
				return a.PrintJSON(enrolled)
			}
			a.Printf("%s is a member of %s, on roster %d.\n", enrolled.Name, enrolled.Consortium, enrolled.Roster)
			a.Notef("Next: site-agent doctor, then site-agent run\n")
			return nil
		},
	}
}

// notYet is why an enrolment has not ended, and how it goes on: nobody keeps trying
// once the command has.
func notYet(err error) error {
	const again = "site-agent enroll   without the token; it goes on where it was"
	if errors.Is(err, context.Canceled) {
		err = errors.New("it was interrupted")
	}
	problem := fail("this hospital is not a member yet", err, again)
	if p, ok := errors.AsType[*console.Problem](problem); ok && p.Code == "unavailable" {
		p.Next = "site-agent doctor, for the way out; then " + again
	}
	return problem
}
