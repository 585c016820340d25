package siteagent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/internal/uplink"
	"github.com/consilium-fl/consilium/site-agent/participant"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

var (
	errNoSource = errors.New("no source of records is configured")
	// ErrStopped says that the agent stops working with a coordinator that
	// showed a roster or a ledger that contradicts what it showed before.
	ErrStopped = errors.New("the agent has stopped working with this coordinator")
)

// The codes by which a coordinator admits that its ledger is not the one that
// this site knows: it does not reach as far, or it is another one as far as that.
// Its data was restored from an old backup.
const (
	ledgerShrunk       = "ledger-shrunk"
	cosignatureRefused = "cosignature-refused"
)

// Run polls and works until the context ends, which is not an error, until the
// coordinator contradicts itself, which is ErrStopped, or until the vault cannot
// be written. Everything else it tries again for as long as it takes.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer a.tasks.wait()
	defer cancel()
	a.tasks.group.Go(func() { a.watchDecisions(ctx) })
	a.log.Info("agent started", zap.String("site", a.node.Name()))
	var b backoff
	for ctx.Err() == nil {
		err := a.poll(ctx)
		switch {
		case err == nil:
			b = backoff{}
		case ctx.Err() != nil:
		case errors.Is(err, ErrStopped), a.vault.Failed() != nil:
			a.writeStatus(err)
			return err
		default:
			if ofThisMachine(err) {
				a.log.Error("the state directory cannot be used, so nothing is done until it can", zap.Error(err))
			} else {
				a.log.Warn("the coordinator was not reached", zap.Error(err))
			}
			a.writeStatus(err)
			if b.wait(ctx) != nil {
				break
			}
			if link := a.currentLink(); link != nil {
				link.Reconnect()
			}
		}
	}
	a.log.Info("agent stopped", zap.String("site", a.node.Name()))
	return nil
}

// ofThisMachine says whether an error is about a file here and not about the way to
// the coordinator, so that nobody looks for a full disk at the firewall.
func ofThisMachine(err error) bool {
	if remote, ok := errors.AsType[*uplink.Error](err); ok {
		return remote.Code == uplink.Local // the outbox
	}
	_, file := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	return file || link
}

// poll asks for news once and starts what they call for.
func (a *Agent) poll(ctx context.Context) error {
	a.cohorts.expire(a.o.Now())
	if err := a.vault.Failed(); err != nil {
		return err
	}
	link, err := a.connect(ctx)
	if err != nil {
		return err
	}
	if a.node.NeedsRenewal(a.o.Now()) {
		if err := a.renew(ctx, link); err != nil {
			return err
		}
	}
	head, cosignature, err := a.witness.cosign(a.node.Keys().Signing(), a.o.Now())
	if err != nil {
		return err
	}
	news, err := link.Poll(ctx, uplink.Seen{
		Revision: a.revision, LedgerSize: head.Size, Roster: a.node.Rosters().Latest().Number, EntriesRead: a.witness.entriesRead(), Cosignature: cosignature,
	})
	if remote, ok := errors.AsType[*uplink.Error](err); ok && (remote.Code == ledgerShrunk || remote.Code == cosignatureRefused) {
		return fmt.Errorf("%w: %w", ErrStopped, a.noteRemote(err))
	}
	if err != nil {
		return a.noteRemote(err)
	}
	for _, envelope := range news.Rosters {
		if err := a.node.AppendRoster(envelope); err != nil {
			return a.stopIfSecurity("roster-forked", "the coordinator showed a roster that does not follow the last one", err)
		}
	}
	if len(news.Checkpoint) > 0 {
		if err := a.witness.advance(news.Checkpoint, news.Consistency); err != nil {
			return a.stopIfSecurity("ledger-forked", "the coordinator's ledger does not extend the one it showed before", err)
		}
	}
	if !a.newWork(news) { // else the vault keeps the checkpoint with what is done
		if err := a.witness.keep(); err != nil {
			return err
		}
	}
	if err := a.assign(ctx, link, news); err != nil {
		return err
	}
	a.revision = news.Revision
	a.writeStatus(nil)
	return nil
}

// newWork reports whether news ask for a part in a round that the last did not
// ask for.
func (a *Agent) newWork(news *uplink.News) bool {
	before := a.asked
	a.asked = make(map[string]bool, len(before))
	for _, w := range news.Contribute {
		a.asked[string(w.Plan)] = true
	}
	for _, w := range news.Open {
		a.asked[string(w.Request)] = true
	}
	for w := range a.asked {
		if !before[w] {
			return true
		}
	}
	return false
}

// assign notes how rounds ended, which decides what may be asked, and then
// starts one task for each piece of work.
func (a *Agent) assign(ctx context.Context, link *uplink.Link, news *uplink.News) error {
	for _, ended := range news.Ended {
		err := a.roundEnded(ended)
		if refusal, ok := errors.AsType[*participant.Refusal](err); ok {
			a.refused("round-ended", refusal)
		} else if err != nil {
			return err
		}
	}
	if err := a.readLedger(ctx, link, news); err != nil {
		return err
	}
	head := a.witness.latest()
	start := func(name string, work func(context.Context, *uplink.Link) error) {
		attempt := func(ctx context.Context) error {
			link, err := a.connect(ctx)
			if err != nil {
				return err
			}
			return work(ctx, link)
		}
		a.tasks.start(ctx, name, attempt, temporary, func(err error) { a.refused(name, err) })
	}
	for _, w := range news.Open {
		start("open "+key(w.Plan), func(ctx context.Context, link *uplink.Link) error { return a.open(ctx, link, w, head) })
	}
	for _, w := range news.Contribute {
		start("contribute "+key(w.Plan), func(ctx context.Context, link *uplink.Link) error { return a.contribute(ctx, link, w, head) })
	}
	for _, w := range news.Studies {
		start("study "+key(w.Protocol), func(ctx context.Context, link *uplink.Link) error { return a.reviewStudy(ctx, link, w) })
	}
	for _, w := range news.Releases {
		start("release "+key(w.Release), func(ctx context.Context, link *uplink.Link) error { return a.reviewRelease(ctx, link, w) })
	}
	return nil
}

// key names a piece of work by the bytes that ask for it.
func key(b []byte) string { return statement.DigestOf(b).String() }

// temporary says whether waiting may mend an error.
func temporary(err error) bool {
	if remote, ok := errors.AsType[*uplink.Error](err); ok {
		return remote.Temporary
	}
	if refusal, ok := errors.AsType[*participant.Refusal](err); ok {
		return refusal.Later
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// refused reports work that was not done, and records a security violation for
// people to see.
func (a *Agent) refused(work string, err error) {
	refusal, isRefusal := errors.AsType[*participant.Refusal](err)
	remote, isRemote := errors.AsType[*uplink.Error](err)
	switch {
	case isRefusal && refusal.Security:
		a.violation(refusal.Code, refusal.Error(), err)
	case isRemote && remote.Security:
		a.violation(remote.Code, "the coordinator reported: "+remote.Error(), err)
	case temporary(err):
		a.log.Warn("work waits and is tried again", zap.String("work", work), zap.Error(err))
	case isRefusal:
		a.log.Warn("refused", zap.String("code", refusal.Code), zap.Error(err))
	default:
		a.log.Error("work was not done", zap.String("work", work), zap.Error(err))
	}
}

func (a *Agent) violation(code, sentence string, cause error) {
	a.log.Error("security violation", zap.String("code", code), zap.String("sentence", sentence), zap.Error(cause))
	if err := a.vault.RecordViolation(vault.Violation{Time: a.o.Now().UTC(), Code: code, Sentence: sentence}, acknowledged(a.o.Dir)); err != nil {
		a.log.Error("the violation could not be recorded", zap.Error(err))
	}
}

func (a *Agent) stopIfSecurity(code, sentence string, err error) error {
	if !errors.Is(err, statement.ErrSecurity) {
		return err
	}
	a.violation(code, sentence, err)
	return fmt.Errorf("%w: %s; tell the consortium, and do not delete this state: %w", ErrStopped, sentence, err)
}

// noteRemote records a security violation that the connection itself shows.
func (a *Agent) noteRemote(err error) error {
	if errors.Is(err, identity.ErrSecurity) {
		a.violation("coordinator-identity", "the server at the coordinator's address is not the coordinator", err)
	}
	if remote, ok := errors.AsType[*uplink.Error](err); ok && remote.Security {
		a.violation(remote.Code, "the coordinator reported: "+remote.Error(), err)
	}
	return err
}

// roundEnded remembers how a round ended in which this site took part.
func (a *Agent) roundEnded(ended uplink.RoundEnded) error {
	id, err := statement.ParseDigest(ended.Round)
	if err != nil {
		return participant.ErrEnd
	}
	known, ok := a.vault.Round(id)
	if !ok || known.Plan == nil {
		return nil // never put to this site, so nothing depends on its end
	}
	end, err := a.site.AcceptEnd(ended.End, id, known.Plan.Question)
	if err != nil {
		return err
	}
	if known.End != nil {
		return nil
	}
	if err := a.vault.RememberEnd(*end); err != nil {
		return err
	}
	a.log.Info("round ended", zap.String("round", ended.Round), zap.String("step", known.Plan.Step), zap.String("state", end.State))
	if known.Header == nil || known.Receipt != nil {
		return nil // nothing was sealed, or it was removed when it counted
	}
	return a.vault.Wipe(id)
}

// maxEntries is how many ledger entries are asked for at a time.
const maxEntries = 1000

// readLedger reads the entries since the last time, when there is something to
// do for the first time in a round. Where they show this site in a round of
// which its vault holds less, the vault was restored from an older copy, and
// the round is left alone.
func (a *Agent) readLedger(ctx context.Context, link *uplink.Link, news *uplink.News) error {
	if len(news.Contribute) == 0 && len(news.Open) == 0 {
		return nil
	}
	err := a.witness.readOn(
		func(start, end uint64) ([][]byte, error) {
			if given := news.Entries; len(given) > 0 { // those after the last that was read
				news.Entries = nil
				return given[:min(uint64(len(given)), end-start)], nil
			}
			return link.Entries(ctx, start, min(end, start+maxEntries))
		},
		func(e ledger.Entry) error {
			if e.Actor != a.node.Name() || e.Round == "" {
				return nil
			}
			id, err := statement.ParseDigest(e.Round)
			if err != nil {
				return err
			}
			known, _ := a.vault.Round(id)
			forgotten := e.Type == ledger.TypeContribution && known.Header == nil ||
				e.Type == ledger.TypeOpeningShare && known.Answer == nil
			if !forgotten || known.Forgotten {
				return nil
			}
			a.log.Warn("this site's state is older than the ledger", zap.String("round", e.Round))
			return a.vault.Forget(id)
		})
	if err != nil {
		return a.stopIfSecurity("ledger-entries", "the coordinator's ledger entries are not those of its checkpoint", err)
	}
	return nil
}

// logged fetches the entry that proves a plan or a request to be in the ledger.
func (a *Agent) logged(ctx context.Context, link *uplink.Link, index uint64, proof [][32]byte, head ledger.Checkpoint) (participant.Logged, error) {
	l := participant.Logged{Index: index, Proof: proof, Size: head.Size, Root: head.Root}
	if index >= head.Size {
		return l, nil // the check will say so
	}
	if leaf, ok := a.witness.leaf(index); ok {
		l.Leaf = leaf
		return l, nil
	}
	leaves, err := link.Entries(ctx, index, index+1)
	if err != nil {
		return l, err
	}
	if len(leaves) == 1 {
		l.Leaf = leaves[0]
	}
	return l, nil
}
