package siteagent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute/pipeline"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/outbox"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

// Reasons for declining a round or refusing a study. They are fixed, so that
// nothing of a record can be in them.
const (
	noUsableRecords   = statement.NoUsableRecords
	recordsUnreadable = statement.RecordsUnreadable
	recordsChanged    = statement.RecordsChanged
	valueOutOfBound   = statement.ValueOutOfBound
	contributionLost  = statement.ContributionLost
	tooLittleNoise    = statement.TooLittleNoise
	noHospitalCounts  = "the study would count hospitals by a figure of their own patients, which this site does not take part in"
	refusedByPerson   = "refused by the site"
)

// contribute answers a plan with this site's contribution. Each call goes on
// where the last one ended: a contribution that was sealed is sent as it is,
// however often the agent was killed in between.
func (a *Agent) contribute(ctx context.Context, link *uplink.Link, w uplink.Contribute, head ledger.Checkpoint) error {
	logged, err := a.logged(ctx, link, w.LedgerIndex, w.Inclusion, head)
	if err != nil {
		return err
	}
	round, err := a.site.AcceptPlan(a.o.Now(), participant.PlanRequest{Envelope: w.Plan, Parameters: w.Parameters, Logged: logged})
	if err != nil {
		return a.declineRefused(ctx, link, w.Plan, err)
	}
	if a.o.SkipContribution != nil && a.o.SkipContribution(round.Plan.Step) {
		return nil
	}
	subject := subjectOf(round)
	if known, _ := a.vault.Round(round.ID); known.Receipt != nil || known.Declined {
		return nil
	}
	// From here on the question counts as asked, whatever becomes of the round.
	if err := a.vault.RememberPlan(vault.Plan{
		Round: round.ID, Question: round.Plan.Question, Study: round.Plan.Study, Step: round.Plan.Step, Epoch: round.Plan.Epoch,
		Committee: round.Plan.Committee, Threshold: round.Plan.Threshold, Checkpoint: a.witness.signed(),
	}); err != nil {
		return err
	}
	c, sealed, err := a.vault.Sealed(round.ID)
	if errors.Is(err, vault.ErrLost) {
		a.log.Error("a sealed contribution was lost", zap.String("round", subject.Round), zap.Error(err))
		return a.decline(ctx, link, round.ID, subject, contributionLost)
	}
	if err != nil {
		return err
	}
	if !sealed {
		values, reason, err := a.answer(round)
		if err == nil && reason == "" {
			c, reason, err = a.seal(round, values)
		}
		if err != nil {
			return err
		}
		if reason != "" {
			return a.decline(ctx, link, round.ID, subject, reason)
		}
	}
	defer c.Close()
	return a.send(ctx, link, round, subject, c)
}

// answer computes this site's vector. A reason says why there is none.
func (a *Agent) answer(round *participant.Round) (values []float64, reason string, err error) {
	site, rows, reason, err := a.watching(round)
	if err != nil || reason != "" {
		return nil, reason, err
	}
	if rows < a.o.Policy.MinimumRows {
		a.log.Warn("too few usable records to take part", zap.String("step", round.Plan.Step))
		return nil, noUsableRecords, nil
	}
	site.Random, site.Required = rand.Reader, round.Plan.MinimumContributors
	values, err = pipeline.Answer(round.Study, round.Plan.Step, round.Parameters, site)
	if err != nil {
		a.log.Error("the step cannot be computed", zap.String("step", round.Plan.Step), zap.Error(err))
		return nil, valueOutOfBound, nil
	}
	return values, "", nil
}

// seal encrypts a vector, which it overwrites, and keeps the result. Of the
// ciphertext one chunk at a time is in memory: it goes into the vault's spool as
// it is made. The vector itself, eight bytes to a value, is there as a whole,
// because a computation makes it as a whole. A reason says why the vector cannot
// be contributed.
func (a *Agent) seal(round *participant.Round, values []float64) (c *vault.Contribution, reason string, err error) {
	defer clear(values)
	// Kept BEFORE the first byte leaves.
	c, err = a.vault.Seal(round.ID, func(s *vault.Sealing) ([]byte, error) {
		agreements, seeds, err := a.agree(round)
		if err != nil {
			return nil, err
		}
		defer clear(seeds)
		shares, err := a.o.Seal(round.Secagg, values, func(_ int, ciphertext []byte) error { return s.Chunk(ciphertext) }, seeds...)
		if err != nil && !errors.Is(err, vault.ErrNotKept) {
			reason = valueOutOfBound
		}
		if err != nil {
			return nil, err
		}
		return a.signed(round, s, agreements, shares)
	})
	if reason != "" {
		a.log.Error("the vector cannot be encoded", zap.String("step", round.Plan.Step), zap.Error(err))
		return nil, reason, nil
	}
	return c, "", err
}

// agree makes what travels in place of the key shares of the committee's first
// members, whose shares follow from seeds.
func (a *Agent) agree(round *participant.Round) (agreements [][]byte, seeds [][secagg.SeedBytes]byte, err error) {
	for j := range round.Secagg.Agreed() {
		key, to := a.recipient(round, j)
		agreement, seed, err := a.sealer.Agree(key, to)
		if err != nil {
			return nil, nil, fmt.Errorf("agree on the key share of %q: %w", to.Recipient, err)
		}
		agreements, seeds = append(agreements, agreement), append(seeds, seed)
	}
	return agreements, seeds, nil
}

// recipient is where the key share of a committee's member goes.
func (a *Agent) recipient(round *participant.Round, member int) (key []byte, to identity.ShareAddress) {
	name := round.Plan.Committee[member]
	m, _ := round.Roster.Member(name)
	return m.SealingKey, identity.ShareAddress{Study: round.Plan.Study, Round: round.ID, Sender: a.node.Name(), Recipient: name}
}

// signed seals the key shares of the members that come after those who agreed on
// theirs, overwrites them, and signs the header over everything.
func (a *Agent) signed(round *participant.Round, s *vault.Sealing, agreements, shares [][]byte) (header []byte, err error) {
	defer func() {
		for _, share := range shares {
			clear(share)
		}
	}()
	for _, agreement := range agreements {
		if err := s.Share(agreement); err != nil {
			return nil, err
		}
	}
	for j, share := range shares {
		key, to := a.recipient(round, len(agreements)+j)
		sealed, err := a.sealer.Seal(key, to, share)
		if err != nil {
			return nil, fmt.Errorf("seal the key share for %q: %w", to.Recipient, err)
		}
		if err := s.Share(sealed); err != nil {
			return nil, err
		}
	}
	return a.sign(statement.KindContributionHeader, statement.ContributionHeader{
		Round: round.ID, Site: a.node.Name(), Chunks: s.Chunks, Shares: s.Shares,
	})
}

// send uploads what the coordinator lacks and keeps its receipt.
func (a *Agent) send(ctx context.Context, link *uplink.Link, round *participant.Round, subject uplink.Subject, c *vault.Contribution) error {
	receipt, err := a.upload(ctx, link, round, subject, c)
	if err != nil {
		return err
	}
	own, _ := a.vault.Header(round.ID)
	if err := a.site.AcceptReceipt(receipt, round.ID, own); err != nil {
		return err
	}
	if err := a.vault.RememberReceipt(round.ID, receipt); err != nil {
		return err
	}
	a.log.Info("contribution counted", zap.String("round", subject.Round), zap.String("step", subject.Step))
	c.Close() // before it is removed: some systems do not remove what is open
	return a.vault.Wipe(round.ID)
}

// wholeBytes is how much ciphertext goes in one message with its header. A
// longer contribution is uploaded in pieces, to be resumed where it was cut off.
const wholeBytes = 1 << 20

// upload sends what the coordinator lacks and returns its receipt.
func (a *Agent) upload(ctx context.Context, link *uplink.Link, round *participant.Round, subject uplink.Subject, c *vault.Contribution) (receipt []byte, err error) {
	chunkBytes := int64(round.Secagg.ChunkBytes())
	total := int64(c.Chunks()) * chunkBytes
	progress := func(sent int64) {
		if a.o.Progress != nil {
			a.o.Progress(Upload{Round: subject.Round, Step: subject.Step, Sent: sent, Total: total})
		}
	}
	var whole [][]byte
	if total <= wholeBytes {
		for i := range c.Chunks() {
			chunk, err := c.Chunk(i)
			if err != nil {
				return nil, fmt.Errorf("chunk %d of the sealed contribution cannot be read: %w", i, err)
			}
			whole = append(whole, chunk)
		}
	}
	missing, counted, receipt, err := link.BeginContribution(ctx, subject, c.Header, c.Shares, whole)
	if err != nil {
		return nil, err
	}
	if receipt != nil {
		progress(total)
		return receipt, nil
	}
	if !counted && len(missing) > 0 {
		total = int64(len(missing)) * chunkBytes
		if err := link.UploadChunks(ctx, subject, c.Header, c, missing, progress); err != nil {
			return nil, err
		}
	}
	return link.CommitContribution(ctx, subject)
}

// declineRefused tells the coordinator that a plan was refused, so that the
// round need not wait for this site. The refusal itself goes on to the caller.
func (a *Agent) declineRefused(ctx context.Context, link *uplink.Link, plan []byte, cause error) error {
	refusal, ok := errors.AsType[*participant.Refusal](cause)
	if !ok || refusal.Later || errors.Is(cause, participant.ErrRoundEnded) || errors.Is(cause, participant.ErrTooLate) {
		return cause // nobody waits for this site any more, or it still decides
	}
	_, payload, err := statement.Payload(plan)
	if err != nil {
		return cause
	}
	var p statement.Plan
	if statement.Decode(payload, &p) != nil {
		return cause
	}
	id := statement.DigestOf(payload)
	subject := uplink.Subject{Study: p.Study.String(), Step: p.Step, Round: id.String()}
	if err := a.decline(ctx, link, id, subject, refusal.Sentence); err != nil {
		a.log.Warn("the refusal could not be sent", zap.Error(err))
	}
	return cause
}

// decline says, signed, that this site does not contribute to a round.
func (a *Agent) decline(ctx context.Context, link *uplink.Link, round statement.Digest, subject uplink.Subject, reason string) error {
	signed, err := a.sign(statement.KindDecline, statement.Decline{Round: round, Site: a.node.Name(), Reason: reason})
	if err != nil {
		return err
	}
	if err := link.DeclineRound(ctx, subject, signed); err != nil {
		return err
	}
	a.log.Info("round declined", zap.String("round", subject.Round), zap.String("reason", reason))
	return a.vault.RememberDecline(round)
}

func subjectOf(round *participant.Round) uplink.Subject {
	s := uplink.Subject{
		Study: round.Plan.Study.String(), Step: round.Plan.Step, Question: round.Plan.Question.String(), Round: round.ID.String(),
	}
	for _, f := range round.Plan.Layout {
		s.Fields = append(s.Fields, outbox.Field{Name: f.Name, Length: f.Length})
	}
	return s
}
