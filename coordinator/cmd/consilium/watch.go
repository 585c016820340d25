package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/internal/console"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

func (a *app) studyWatchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch DIGEST",
		Short: "Follow a study's rounds until it ends",
		Long: `Follow a study until it ends. On a terminal every round is a bar that fills with
the encrypted chunks that have arrived from all hospitals together; elsewhere a
line is written whenever something changes. With --json every change is one
JSON object on a line, the same object as "study list --json" shows.

Interrupting does not stop the study. Exit code 1 says that the study ended
without a model, exit code 4 that the release which it watches has an alert.`,
		Example: `  consilium study watch 3f9a01c2
  consilium study watch 3f9a01c2 --json | jq .state`,
		Args: console.Arguments("the study's DIGEST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, digest, err := a.connectFor(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			defer c.Close()
			return a.watch(cmd.Context(), c, digest)
		},
	}
}

func (a *app) watch(ctx context.Context, c *connection, digest string) error {
	var show follower = &lines{app: a}
	switch {
	case a.JSON:
		show = &jsonLines{app: a}
	case console.OnTerminal(a.Stdout):
		show = newBars(a.Stdout)
	}
	var last studyJSON
	err := a.follow(ctx, c, digest, func(s studyJSON) (bool, error) {
		last = s
		return s.ended(), show.update(s)
	})
	show.close()
	if err != nil {
		return err
	}
	if err := a.ending(last); err != nil {
		return err
	}
	o, err := c.outcome(ctx, digest)
	if err != nil {
		return err
	}
	return alerted(o.result)
}

// reconnecting is how long a study is followed without news of the coordinator.
const reconnecting = 5 * time.Minute

// follow calls update with every status of a study until update says that it
// has seen enough. A coordinator that restarts meanwhile is waited for.
func (a *app) follow(ctx context.Context, c *connection, digest string, update func(studyJSON) (enough bool, err error)) error {
	var lost time.Time // when the coordinator was last heard of, while it is gone
	for {
		enough, err := c.statuses(ctx, digest, func(s studyJSON) (bool, error) {
			lost = time.Time{}
			return update(s)
		})
		switch {
		case enough:
			return err
		case ctx.Err() != nil:
			return &console.Problem{What: "stopped watching", Why: "the study itself goes on", Next: "consilium study watch " + console.Short(digest)}
		case err != nil && status.Code(err) != codes.Unavailable && status.Code(err) != codes.Canceled:
			return refusedCall("cannot follow the study", err)
		case lost.IsZero():
			lost = a.now()
			a.Notef("The coordinator is gone; the study goes on when it is back. Waiting.\n")
		case a.now().Sub(lost) > reconnecting:
			return refusedCall("the coordinator did not come back", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		// After a long time apart the certificate may be due; what is wrong with
		// it the next attempt says.
		_ = c.renew(ctx, a)
	}
}

// statuses reads one stream of statuses to its end, or until update has enough.
func (c *connection) statuses(ctx context.Context, digest string, update func(studyJSON) (bool, error)) (enough bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.study.Watch(ctx, &consiliumv1.WatchRequest{Study: digest})
	if err != nil {
		return false, err
	}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if enough, err := update(statusOf(message)); enough || err != nil {
			return true, err
		}
	}
}

// ending says how a watched study ended.
func (a *app) ending(s studyJSON) error {
	switch s.State {
	case "completed":
		a.Printf("Completed. Read it: consilium study result %s\n", console.Short(s.Study))
		a.showGate(s)
		return nil
	case "diagnosed":
		return &console.Problem{What: "the study ended without a model", Why: s.Reason, Next: "amend the protocol file and propose it again", Code: "diagnosed"}
	}
	return &console.Problem{What: "the study failed", Why: s.Reason, Next: "consilium study result " + console.Short(s.Study), Code: "failed"}
}

// follower shows a study as it goes.
type follower interface {
	update(studyJSON) error
	close()
}

// jsonLines writes each status as one line of JSON.
type jsonLines struct{ app *app }

func (f *jsonLines) update(s studyJSON) error { return f.app.PrintLine(s) }
func (f *jsonLines) close()                   {}

// lines writes a line for everything that changed.
type lines struct {
	app   *app
	study string            // what was last said of the study
	told  map[string]string // what was last said of a round
}

func (f *lines) update(s studyJSON) error {
	if f.told == nil {
		f.told = make(map[string]string)
	}
	if line := studyLine(s); line != f.study {
		f.study = line
		f.app.Printf("%s\n", line)
	}
	for i, r := range s.Rounds {
		if line := roundLine(r); line != f.told[r.ID] {
			f.told[r.ID] = line
			f.app.Printf("round %d %s\n", i+1, line)
		}
	}
	return nil
}

func (f *lines) close() {}

// studyLine says where a study stands, and of one that nobody has begun who is to.
func studyLine(s studyJSON) string {
	votes := tally(s.Decisions)
	line := fmt.Sprintf("%s v%d: %s, approved by %d of %d hospitals", s.Name, s.Version, s.State, votes["approved"], len(s.Decisions))
	if refused := votes["refused"]; refused > 0 {
		line += fmt.Sprintf(", refused by %d", refused)
	}
	if s.State == "proposed" {
		line += "; its researcher begins it: consilium study start " + console.Short(s.Study)
	}
	return line
}

// roundLine says where a round stands.
func roundLine(r roundJSON) string {
	line := fmt.Sprintf("%s %s", r.Step, r.State)
	switch r.State {
	case "collecting", "inviting":
		line += fmt.Sprintf(": %d of %d hospitals, %d of %d chunks", len(r.Contributors), len(r.Invited), r.ChunksStored, r.ChunksExpected)
	case "opening":
		line += fmt.Sprintf(": %d contributions, %d opening shares", len(r.Contributors), len(r.Openers))
	case "published":
		line += fmt.Sprintf(": sum over %d hospitals, %s up", len(r.Contributors), console.Size(r.BytesUp))
		if r.Started != nil && r.Ended != nil {
			line += ", " + r.Ended.Sub(*r.Started).Round(10*time.Millisecond).String()
		}
	default:
		if r.Reason != "" {
			line += ": " + r.Reason
		}
		if len(r.Missing) > 0 {
			line += " (missing: " + strings.Join(r.Missing, ", ") + ")"
		}
	}
	return line + declined(r)
}

// declined says which sites declined a round, and for which kind of reason.
func declined(r roundJSON) string {
	var names []string
	for _, d := range r.Declined {
		names = append(names, d.Site+" ("+d.Reason+")")
	}
	if names == nil {
		return ""
	}
	return "; declined: " + strings.Join(names, ", ")
}

// bars draws one bar for each round.
type bars struct {
	progress *mpb.Progress
	study    string // what was last said of the study
	rounds   map[string]*roundBar
}

func newBars(out io.Writer) *bars {
	return &bars{progress: mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh()), rounds: make(map[string]*roundBar)}
}

// roundBar is a bar with a line of text that changes as the round goes on.
type roundBar struct {
	bar  *mpb.Bar
	text atomic.Value // string; the bar draws itself from another goroutine
}

func (f *bars) update(s studyJSON) error {
	if line := studyLine(s); line != f.study {
		f.study = line
		fmt.Fprintln(f.progress, line) // above the bars
	}
	for i, r := range s.Rounds {
		total := int64(max(r.ChunksExpected, 1))
		b, ok := f.rounds[r.ID]
		if !ok {
			b = new(roundBar)
			b.text.Store("")
			b.bar = f.progress.AddBar(total, mpb.BarWidth(20),
				mpb.PrependDecorators(decor.Name(fmt.Sprintf("round %-2d ", i+1))),
				mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + b.text.Load().(string) })))
			f.rounds[r.ID] = b
		}
		b.text.Store(roundLine(r))
		switch r.State {
		case "published":
			b.bar.SetTotal(total, false)
			b.bar.SetCurrent(total)
			b.bar.SetTotal(-1, true)
		case "abandoned", "failed-integrity":
			b.bar.Abort(false)
		default:
			b.bar.SetTotal(total+1, false) // full only when the sum is published
			b.bar.SetCurrent(int64(r.ChunksStored))
		}
	}
	return nil
}

func (f *bars) close() {
	for _, b := range f.rounds {
		if !b.bar.Completed() {
			b.bar.Abort(false)
		}
	}
	f.progress.Wait()
}
