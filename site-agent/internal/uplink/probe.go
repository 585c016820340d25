package uplink

import (
	"context"
	"fmt"
	"net"
	"time"
)

// probeTimeout bounds each step of a probe.
const probeTimeout = 10 * time.Second

// Resolve looks the coordinator's name up, or the proxy's where there is one.
func Resolve(ctx context.Context, address, proxy string) (host string, err error) {
	if host, _, err = net.SplitHostPort(address); err != nil {
		return "", err
	}
	if proxy != "" {
		through, err := proxyURL(proxy)
		if err != nil {
			return "", err
		}
		host = through.Hostname()
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err = net.DefaultResolver.LookupHost(ctx, host)
	return host, err
}

// Reach opens and closes a connection to the coordinator, without a word of
// TLS: it tells a closed firewall from a wrong certificate.
func Reach(ctx context.Context, address, proxy string) error {
	dial, err := dialer(proxy)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := dial(ctx, address)
	if err != nil {
		return fmt.Errorf("no connection to %s: %w", address, err)
	}
	return conn.Close()
}
