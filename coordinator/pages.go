package coordinator

import (
	"context"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/coordinator/internal/web"
)

// servePages serves the auditor's pages, if there is a listener for them. failed
// receives why they ended before stop was called, and never anything else.
func (c *Coordinator) servePages(ctx context.Context) (failed <-chan error, stop func()) {
	if c.options.WebListener == nil {
		return nil, func() {}
	}
	pages := web.NewServer(ctx, c.driver, c.options.Logger, c.options.Now)
	ended, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		if err := pages.ServeTLS(c.options.WebListener, "", ""); err != http.ErrServerClosed {
			ended <- fmt.Errorf("the auditor's pages: %w", err)
		}
	}()
	c.options.Logger.Info("auditor's pages are served", zap.String("address", c.options.WebListener.Addr().String()))
	return ended, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if pages.Shutdown(ctx) != nil {
			pages.Close()
		}
		<-done
	}
}
