// Command site-agent is a hospital's way into a consortium. `site-agent enroll`
// makes the hospital a member, `site-agent run` does the work, and the other
// commands are for the people who decide: what is asked, what has left, how a
// model does on their own patients.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/consilium-fl/consilium/internal/console"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	a := &app{Console: console.Console{Stdin: stdin, Stdout: stdout, Stderr: stderr}, env: env}
	return a.Run(ctx, a.root(), args)
}
