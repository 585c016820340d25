package main

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/internal/console"
)

func commands(c *console.Console) *cobra.Command {
	root := console.AsGroup(&cobra.Command{
		Use:   "coordinator",
		Short: "The server of a consortium",
		Long: `The coordinator carries studies over the hospitals of a consortium. Records stay
in the hospitals; what reaches the coordinator is encrypted, and only sums over
several hospitals are ever opened.

To set one up:
  1. on the computer that keeps the governance key:  consilium init --help
  2. coordinator config > coordinator.yaml, and edit it
  3. coordinator serve --config coordinator.yaml

Exit codes: 0 it worked; 1 it failed; 2 the command line is wrong.`,
	})
	var path string
	serve := &cobra.Command{
		Use:   "serve",
		Short: "Serve until interrupted",
		Long: `Serve answers hospitals, researchers and auditors until it gets SIGINT or SIGTERM.
It can be killed at any moment and resumes where it was. It logs JSON, one line
per event, to standard error.`,
		Example: "  coordinator serve --config /etc/consilium/coordinator.yaml",
		Args:    console.Arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := readConfig(path)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), config, c.Stderr)
		},
	}
	serve.Flags().StringVar(&path, "config", "coordinator.yaml", "configuration file")
	config := &cobra.Command{
		Use:     "config",
		Short:   "Print a complete, commented configuration file",
		Example: "  coordinator config > coordinator.yaml",
		Args:    console.Arguments(),
		RunE: func(*cobra.Command, []string) error {
			_, err := io.WriteString(c.Stdout, coordinator.ExampleConfig)
			return err
		},
	}
	root.AddCommand(serve, config)
	return root
}

func serve(ctx context.Context, c config, stderr io.Writer) error {
	log := newLogger(c.logLevel, stderr)
	defer log.Sync()
	options := coordinator.Options{Dir: c.dir, Logger: log, CertificateTTL: c.certificateTTL}
	var err error
	if options.Listener, err = listen("listen", c.listen); err != nil {
		return err
	}
	if c.webListen != "" {
		if options.WebListener, err = listen("web_listen", c.webListen); err != nil {
			return errors.Join(err, options.Listener.Close())
		}
	}
	server, err := coordinator.Open(options)
	if err != nil {
		problem := error(openProblem(err, c.dir))
		for _, l := range []net.Listener{options.Listener, options.WebListener} {
			if l != nil {
				problem = errors.Join(problem, l.Close())
			}
		}
		return problem
	}
	if err := server.Serve(ctx); err != nil {
		return console.Fail("the coordinator has stopped", err, "read the end of the log, then start it again; it resumes where it was")
	}
	return nil
}

// listen opens the address that a key of the configuration names.
func listen(key, address string) (net.Listener, error) {
	listener, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &console.Problem{What: "the coordinator cannot listen on " + address, Why: "the port is in use by another program", Next: "stop that program, or change " + key + " in the configuration"}
	case err != nil:
		return nil, &console.Problem{What: "the coordinator cannot listen on " + address, Why: console.Reason(err), Next: "change " + key + " in the configuration"}
	}
	return listener, nil
}

func openProblem(err error, dir string) *console.Problem {
	p := &console.Problem{What: "the coordinator cannot start", Why: err.Error(), Next: "check the folder " + dir + " and its backup; do not delete it"}
	switch {
	case errors.Is(err, coordinator.ErrNoIdentity):
		p.Next = "consilium init   makes the identity; put it into " + filepath.Join(dir, "identity")
	case errors.Is(err, coordinator.ErrClock):
		p.Next = "set the clock of this machine (timedatectl), then start again"
	case errors.Is(err, coordinator.ErrInUse):
		p.Next = "stop the other coordinator, or give this one another dir"
	}
	return p
}

func newLogger(level zapcore.Level, w io.Writer) *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoder), zapcore.Lock(zapcore.AddSync(w)), level))
}
