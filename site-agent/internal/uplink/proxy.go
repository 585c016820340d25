package uplink

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// connectThrough opens a tunnel to address with the CONNECT method (RFC 9110,
// section 9.3.6). TLS to the coordinator runs inside it, so a proxy that breaks
// TLS open is noticed and refused.
func connectThrough(ctx context.Context, proxy *url.URL, address string) (net.Conn, error) {
	host := proxy.Host
	if proxy.Port() == "" {
		host = net.JoinHostPort(proxy.Hostname(), map[string]string{"http": "80", "https": "443"}[proxy.Scheme])
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, fmt.Errorf("the proxy cannot be reached: %w", err)
	}
	if proxy.Scheme == "https" {
		secure := tls.Client(conn, &tls.Config{ServerName: proxy.Hostname(), MinVersion: tls.VersionTLS12})
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("the proxy's certificate is not accepted: %w", err)
		}
		conn = secure
	}
	tunnel, err := openTunnel(ctx, conn, proxy.User, address)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return tunnel, nil
}

func openTunnel(ctx context.Context, conn net.Conn, user *url.Userinfo, address string) (net.Conn, error) {
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetDeadline(deadline)
		defer conn.SetDeadline(time.Time{})
	}
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if user != nil {
		password, _ := user.Password()
		request += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return nil, fmt.Errorf("the proxy closed the connection: %w", err)
	}
	// A byte at a time, so that nothing of the tunnel is swallowed.
	reader := bufio.NewReaderSize(io.LimitReader(byteReader{conn}, 64<<10), 16)
	answer, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, fmt.Errorf("the proxy's answer is not HTTP: check the proxy setting")
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return conn, nil
	case http.StatusProxyAuthRequired:
		return nil, fmt.Errorf("the proxy wants a user name and password: put them into the proxy setting")
	default:
		return nil, fmt.Errorf("the proxy does not open a tunnel to %s (status %d): ask its administrator to allow it", address, answer.StatusCode)
	}
}

// byteReader reads one byte at a time.
type byteReader struct{ io.Reader }

func (r byteReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return r.Reader.Read(p[:1])
}
