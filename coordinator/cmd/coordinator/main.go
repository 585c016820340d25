// Command coordinator is the server of a consortium. It needs a folder in which
// `consilium init` has made its identity, and a configuration file, of which
// `coordinator config` prints a complete example.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zapgrpc"
	"google.golang.org/grpc/grpclog"

	"github.com/consilium-fl/consilium/internal/console"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// What the RPC library has to say goes where everything goes. Its logger
	// belongs to the whole process, and may only be set before it is used.
	grpclog.SetLoggerV2(zapgrpc.NewLogger(newLogger(zapcore.ErrorLevel, os.Stderr)))
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &console.Console{Stdout: stdout, Stderr: stderr}
	return c.Run(ctx, commands(c), args)
}
