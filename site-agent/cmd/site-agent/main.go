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
)

// Exit codes. They are part of the interface.
const (
	exitOK     = 0
	exitFailed = 1 // it was asked properly and did not work
	exitUsage  = 2 // it was not asked properly
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run executes one command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, env: env}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return a.report(root.ExecuteContext(ctx))
}
