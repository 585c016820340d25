package main

import (
	"errors"
	"fmt"
	"sync"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/consilium-fl/consilium/internal/console"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

func (a *app) runCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "run",
		Short: "Do the agent's work until stopped",
		Long: `Poll the coordinator and do what this hospital has agreed to: contribute to the
rounds of approved studies, help to open sums, test offered models. Stop it with
an interrupt or SIGTERM at any time; it goes on where it was. The log goes to standard error,
as JSON unless that is a terminal.`,
		Example: "  site-agent run --config /etc/site-agent.yaml",
		Args:    console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.ownConfig()
			if err != nil {
				return err
			}
			if c.records == "" {
				return &console.Problem{What: "there are no records to compute with", Why: "the configuration has no key `records`", Next: "site-agent config   prints a complete example"}
			}
			uploads := newUploads(a)
			agent, err := siteagent.Open(siteagent.Options{
				Dir: c.dir, Source: c.source(), Policy: c.policy, Logger: a.logger(c.logLevel, uploads),
				Address: c.coordinator, Proxy: c.proxy, Progress: uploads.show,
			})
			if err != nil {
				return fail("the agent does not start", err, "site-agent doctor")
			}
			err = agent.Run(cmd.Context())
			uploads.end()
			if closed := agent.Close(); err == nil {
				err = closed
			}
			if errors.Is(err, siteagent.ErrStopped) {
				return stopped(err)
			}
			if err != nil {
				return fail("the agent has stopped", err, "site-agent doctor")
			}
			return nil
		},
	}
}

// exitStopped tells a service manager not to start the agent again.
const exitStopped = 3

// stopped is a coordinator that contradicted itself.
func stopped(err error) error {
	problem := fail("the agent has stopped", err, "call the other hospitals; do not delete the state; site-agent doctor")
	if p, ok := errors.AsType[*console.Problem](problem); ok {
		p.Exit = exitStopped
	}
	return problem
}

// logger writes sentences for a person on a terminal, above the bars, and JSON
// otherwise.
func (a *app) logger(level zapcore.Level, uploads *uploads) *zap.Logger {
	encoding := zap.NewProductionEncoderConfig()
	encoding.EncodeTime = zapcore.ISO8601TimeEncoder
	if uploads.bars == nil {
		return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoding), zapcore.Lock(zapcore.AddSync(a.Stderr)), level))
	}
	encoding.EncodeLevel = zapcore.CapitalLevelEncoder
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(encoding), zapcore.Lock(zapcore.AddSync(uploads.bars)), level))
}

// uploads shows how contributions go: bars on a terminal, and otherwise a line
// at every quarter of one that is large.
type uploads struct {
	app  *app
	bars *mpb.Progress // nil unless on a terminal

	mu    sync.Mutex
	bar   map[string]*mpb.Bar
	lines map[string]int64 // quarters told
}

// worthALine is how large an upload is whose progress is told without a terminal.
const worthALine = 10 << 20

func newUploads(a *app) *uploads {
	u := &uploads{app: a, bar: map[string]*mpb.Bar{}, lines: map[string]int64{}}
	if console.OnTerminal(a.Stderr) && !a.JSON {
		u.bars = mpb.New(mpb.WithOutput(a.Stderr), mpb.WithWidth(40))
	}
	return u
}

func (u *uploads) show(up siteagent.Upload) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.bars == nil {
		quarter := 4 * up.Sent / up.Total
		if up.Total >= worthALine && quarter > u.lines[up.Round] {
			u.lines[up.Round] = quarter
			fmt.Fprintf(u.app.Stderr, "uploading %s: %d %% of %s\n", up.Step, 25*quarter, console.Size(up.Total))
		}
		return
	}
	bar := u.bar[up.Round]
	if bar == nil {
		bar = u.bars.AddBar(up.Total, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(up.Step+" ", decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKiloByte("% .1f / % .1f"), decor.AverageSpeed(decor.SizeB1000(0), " % .1f")))
		u.bar[up.Round] = bar
	}
	bar.SetCurrent(up.Sent)
	if up.Sent >= up.Total {
		delete(u.bar, up.Round)
	}
}

// end removes the bars of uploads that were cut off.
func (u *uploads) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, bar := range u.bar {
		bar.Abort(true)
	}
	if u.bars != nil {
		u.bars.Wait()
	}
}
