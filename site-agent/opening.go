package siteagent

import (
	"context"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

// open answers an opening request as a member of the committee. The answer to a
// request is computed once, kept, and given again until the round has ended.
func (a *Agent) open(ctx context.Context, link *uplink.Link, w uplink.Open, head ledger.Checkpoint) error {
	logged, err := a.logged(ctx, link, w.LedgerIndex, w.Inclusion, head)
	if err != nil {
		return err
	}
	opening, err := a.site.AcceptOpening(a.o.Now(), participant.OpeningRequest{
		Plan: w.Plan, Request: w.Request, Headers: w.Headers, SealedShares: w.SealedShares, Logged: logged,
	})
	if err != nil {
		return err
	}
	round := opening.Round
	if a.o.SkipOpening != nil && a.o.SkipOpening(round.Plan.Step) {
		return nil
	}
	subject := subjectOf(round)
	known, _ := a.vault.Round(round.ID)
	switch {
	case opening.Replay && known.End != nil:
		return participant.ErrRoundEnded // meanwhile
	case opening.Replay && known.Answer != nil:
		return link.SubmitOpeningShare(ctx, subject, known.Answer.Statement, known.Answer.Share)
	case opening.Replay:
		return link.ReportOpeningFault(ctx, subject, known.Fault.Statement)
	}
	// A member that had nothing to contribute still remembers the question.
	if err := a.vault.RememberPlan(vault.Plan{
		Round: round.ID, Question: round.Plan.Question, Study: round.Plan.Study, Step: round.Plan.Step, Epoch: round.Plan.Epoch,
		Committee: round.Plan.Committee, Threshold: round.Plan.Threshold, Checkpoint: a.witness.signed(),
	}); err != nil {
		return err
	}
	shares, faulty := a.unseal(opening)
	if len(faulty) > 0 {
		return a.reportFault(ctx, link, subject, opening, faulty)
	}
	share, err := round.Secagg.AddShares(shares)
	for _, s := range shares {
		clear(s)
	}
	if err != nil {
		return err
	}
	signed, err := a.sign(statement.KindOpeningShare, statement.OpeningShare{
		Round: round.ID, Member: a.node.Name(), Request: opening.Request, Share: statement.DigestOf(share),
	})
	if err != nil {
		return err
	}
	// Durable BEFORE it leaves: after this line no other set is answered.
	if err := a.vault.RememberAnswer(vault.Answer{Round: round.ID, Request: opening.Request, Statement: signed, Share: share, Checkpoint: a.witness.signed()}); err != nil {
		return err
	}
	if err := link.SubmitOpeningShare(ctx, subject, signed, share); err != nil {
		return err
	}
	a.log.Info("opening share given", zap.String("round", subject.Round), zap.String("step", subject.Step), zap.Int("contributors", len(opening.Contributors)))
	return nil
}

// unseal opens the key shares that were sealed to this member, or follow from what
// the sender agreed on with it, and names the senders whose share is not one.
func (a *Agent) unseal(opening *participant.Opening) (shares [][]byte, faulty []string) {
	for i, sender := range opening.Contributors {
		at := identity.ShareAddress{Study: opening.Round.Plan.Study, Round: opening.Round.ID, Sender: sender, Recipient: a.node.Name()}
		share, err := a.share(opening.Round, at, opening.SealedShares[i])
		if err != nil {
			faulty = append(faulty, sender)
			continue
		}
		shares = append(shares, share)
	}
	return shares, faulty
}

func (a *Agent) share(round *participant.Round, at identity.ShareAddress, sealed []byte) ([]byte, error) {
	seed, agreed, err := a.unsealer.Agreed(at, sealed)
	if err != nil {
		return nil, err
	}
	if agreed {
		return round.Secagg.AgreedShare(seed), nil
	}
	share, err := a.unsealer.Unseal(at, sealed)
	if err != nil {
		return nil, err
	}
	return share, round.Secagg.CheckShare(share)
}

func (a *Agent) reportFault(ctx context.Context, link *uplink.Link, subject uplink.Subject, opening *participant.Opening, senders []string) error {
	signed, err := a.sign(statement.KindOpeningFault, statement.OpeningFault{
		Round: opening.Round.ID, Member: a.node.Name(), Request: opening.Request, Senders: senders,
	})
	if err != nil {
		return err
	}
	if err := a.vault.RememberFault(vault.Fault{Round: opening.Round.ID, Request: opening.Request, Senders: senders, Statement: signed, Checkpoint: a.witness.signed()}); err != nil {
		return err
	}
	a.log.Warn("sealed shares do not open", zap.String("round", subject.Round), zap.Strings("senders", senders))
	return link.ReportOpeningFault(ctx, subject, signed)
}
