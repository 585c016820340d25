package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zapgrpc"
	"google.golang.org/grpc/grpclog"

	"github.com/consilium-fl/consilium/coordinator"
)

func commands() *cobra.Command {
	root := &cobra.Command{
		Use:   "coordinator",
		Short: "The server of a consortium",
		Long: `The coordinator carries studies over the hospitals of a consortium. Records stay
in the hospitals; what reaches the coordinator is encrypted, and only sums over
several hospitals are ever opened.

To set one up:
  1. on the computer that keeps the governance key:  consilium init --help
  2. coordinator config > coordinator.yaml, and edit it
  3. coordinator serve --config coordinator.yaml`,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	var path string
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Serve until interrupted",
		Long: `Serve answers hospitals, researchers and auditors until it gets SIGINT or SIGTERM.
It can be killed at any moment and resumes where it was. It logs JSON, one line
per event, to standard error.`,
		Example: "  coordinator serve --config /etc/consilium/coordinator.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := readConfig(path)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, cmd.ErrOrStderr())
		},
	}
	serve.Flags().StringVar(&path, "config", "coordinator.yaml", "configuration file")
	config := &cobra.Command{
		Use:     "config",
		Short:   "Print a complete, commented configuration file",
		Example: "  coordinator config > coordinator.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), coordinator.ExampleConfig)
			return err
		},
	}
	root.AddCommand(serve, config)
	return root
}

func serve(ctx context.Context, c config, stderr io.Writer) error {
	log := newLogger(c.logLevel, stderr)
	defer log.Sync()
	// What the RPC library has to say goes where everything goes.
	grpclog.SetLoggerV2(zapgrpc.NewLogger(log.WithOptions(zap.IncreaseLevel(zapcore.ErrorLevel))))
	listener, err := net.Listen("tcp", c.listen)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return &problem{what: "the coordinator cannot listen on " + c.listen, why: "the port is in use by another program", next: "stop that program, or change listen in the configuration"}
	case err != nil:
		return &problem{what: "the coordinator cannot listen on " + c.listen, why: err.Error(), next: "change listen in the configuration"}
	}
	server, err := coordinator.Open(coordinator.Options{Dir: c.dir, Listener: listener, Logger: log, CertificateTTL: c.certificateTTL})
	if err != nil {
		return errors.Join(openProblem(err, c.dir), listener.Close())
	}
	return server.Serve(ctx)
}

func openProblem(err error, dir string) error {
	p := &problem{what: "the coordinator cannot start", why: err.Error(), next: "check the folder " + dir + " and its backup; do not delete it"}
	switch {
	case errors.Is(err, coordinator.ErrNoIdentity):
		p.next = "consilium init   makes the identity; put it into " + filepath.Join(dir, "identity")
	case errors.Is(err, coordinator.ErrClock):
		p.next = "set the clock of this machine (timedatectl), then start again"
	case errors.Is(err, coordinator.ErrInUse):
		p.next = "stop the other coordinator, or give this one another dir"
	}
	return p
}

func newLogger(level zapcore.Level, w io.Writer) *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoder), zapcore.Lock(zapcore.AddSync(w)), level))
}

// problem is an error in three lines: what happened, why, and what to do next.
type problem struct{ what, why, next string }

func (p *problem) Error() string { return p.what + ": " + p.why }

// explain words an error for a person.
func explain(err error) string {
	if p, ok := errors.AsType[*problem](err); ok {
		return fmt.Sprintf("error: %s\nwhy:   %s\nnext:  %s", p.what, p.why, p.next)
	}
	what := strings.Join(strings.Fields(err.Error()), " ")
	return fmt.Sprintf("error: %s\nwhy:   the command line or the environment is not as expected\nnext:  coordinator --help", what)
}
