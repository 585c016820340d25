package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

func (a *app) enrollCommand() *cobra.Command {
	var dir string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "enroll TOKEN --dir DIR",
		Short: "Become a researcher or auditor with an invitation",
		Long: `Use an invitation. Your keys are made here, in DIR, and never leave it; only
their public halves go to the coordinator, whose key the invitation pins. Then
the command shows your key's fingerprint and waits until the governance has
compared it with you and admitted you.

You may interrupt the waiting and run the same command again: it goes on where
it was. Hospitals use "site-agent enroll" instead.`,
		Example: `  consilium enroll "$TOKEN" --dir ~/.consilium
  export CONSILIUM_IDENTITY=~/.consilium`,
		Args: console.Arguments("the invitation TOKEN"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				dir = a.identity
			}
			if dir == "" {
				return console.Usage(cmd, "--dir is missing")
			}
			invitation, err := identity.ParseToken(args[0])
			if err != nil {
				return console.Fail("the invitation cannot be used", err, "ask the governance for a new one (consilium invite)")
			}
			if invitation.Role == identity.RoleSite {
				return &console.Problem{What: "this invitation is for a hospital", Why: "hospitals also need a sealing key and a vault, which the site agent makes",
					Next: "site-agent enroll TOKEN"}
			}
			enrolment, err := identity.NewEnrolment(args[0], dir)
			if err != nil {
				return console.Fail("the keys were not made", err, "choose another --dir, or ask for a new invitation")
			}
			return a.enroll(cmd.Context(), dir, args[0], invitation, enrolment, timeout)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`DIR` for your keys (default --identity)")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "give up waiting after this long (default: never)")
	return cmd
}

func (a *app) enroll(ctx context.Context, dir, token string, invitation *identity.Invitation, enrolment []byte, timeout time.Duration) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	conn, err := dial(invitation.Coordinator, identity.EnrolmentTLS(invitation))
	if err != nil {
		return err
	}
	defer conn.Close()
	client := consiliumv1.NewEnrollmentServiceClient(conn)
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := client.Enroll(call, &consiliumv1.EnrollRequest{Token: token, Enrolment: enrolment}); err != nil {
		return refusedCall("the enrolment was not taken", err)
	}
	e, err := identity.OpenEnrolment(enrolment)
	if err != nil {
		return console.Fail("the enrolment cannot be read", err, "choose another --dir and enrol again")
	}
	fingerprint := identity.EnrolledMember(e).Fingerprint()
	a.Notef("Asked to join %s as the %s %s.\n\n", invitation.Consortium, invitation.Role, invitation.Name)
	a.Notef("The fingerprint of your key; read it to whoever admits you:\n\n  %s\n\n", fingerprint)
	a.Notef("The fingerprint of the consortium's governance key; it must be the published one:\n\n  %s\n\n", identity.GovernanceFingerprint(invitation.Governance))
	a.Notef("Waiting to be admitted.\n")
	for {
		answer, err := client.Admission(ctx, &consiliumv1.AdmissionRequest{Enrolment: enrolment})
		if err != nil {
			if ctx.Err() != nil || status.Code(err) == codes.DeadlineExceeded {
				return &console.Problem{What: "not admitted yet", Why: "the governance has not published a roster with you on it", Next: "run the same command again; it goes on where it was", Code: "not-admitted"}
			}
			return refusedCall("not admitted yet", err)
		}
		if !answer.GetAdmitted() {
			// The coordinator holds the call for 20 seconds; do not lean on that.
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
			continue
		}
		if err := identity.FinishEnrolment(dir, invitation, answer.GetCertificate(), answer.GetRosters()); err != nil {
			return violation("the coordinator's answer was refused", err)
		}
		break
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{"name": invitation.Name, "role": invitation.Role, "fingerprint": fingerprint, "dir": dir})
	}
	a.Printf("Admitted: you are the %s %s.\n", invitation.Role, invitation.Name)
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	a.Printf("Next: export CONSILIUM_IDENTITY=%s\n", dir)
	return nil
}
