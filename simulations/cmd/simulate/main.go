// Command simulate runs a whole consortium in one process: a governance key, a
// coordinator, one site agent for every hospital in a table, a researcher and
// an auditor. It is the same code that runs in production, over loopback TCP
// with mutual TLS, so that a study can be tried on data that one person holds
// before hospitals are asked to run it on data that nobody else may see.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
