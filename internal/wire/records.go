package wire

import (
	"context"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/experimental"
)

const (
	record   = 16 << 10   // what TLS encrypts at once
	gathered = 7 * record // what it is given at once at most; encrypted, it fits a buffer of 128 kB
)

// Server are the options of a server for what travels between members.
func Server() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.WriteBufferSize(gathered), experimental.BufferPool(pool)}
}

// Client are the options of a client for what travels between members.
func Client() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithWriteBufferSize(gathered), experimental.WithBufferPool(pool)}
}

// Credentials are TLS credentials whose connections write to the network at once
// what they are given at once. TLS by itself writes each record of 16 kB, and for
// every one the systems at both ends wake somebody.
func Credentials(secure credentials.TransportCredentials) credentials.TransportCredentials {
	return gathering{secure}
}

type gathering struct {
	credentials.TransportCredentials
}

func (g gathering) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	below := &records{Conn: conn}
	secured, info, err := g.TransportCredentials.ClientHandshake(ctx, authority, below)
	return above(secured, below, err), info, err
}

func (g gathering) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	below := &records{Conn: conn}
	secured, info, err := g.TransportCredentials.ServerHandshake(below)
	return above(secured, below, err), info, err
}

func (g gathering) Clone() credentials.TransportCredentials {
	return gathering{g.TransportCredentials.Clone()}
}

func above(secured net.Conn, below *records, err error) net.Conn {
	if err != nil {
		return secured // as it came: the handshake's owner closes what there is
	}
	return &whole{Conn: secured, below: below}
}

// whole is a connection above TLS.
type whole struct {
	net.Conn
	writing sync.Mutex
	below   *records
}

func (w *whole) Write(p []byte) (int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.below.hold(len(p) + 64*(len(p)/record+1))
	n, err := w.Conn.Write(p)
	if sent := w.below.release(); err == nil && sent != nil {
		return 0, sent
	}
	return n, err
}

// records is the connection below TLS. What TLS writes while it is held waits, in
// order, until it is released. Once something was not written, nothing more is:
// TLS counts as sent what waits here.
type records struct {
	net.Conn
	mu      sync.Mutex
	waiting *[]byte // nil unless held
	failed  error
}

func (r *records) Write(p []byte) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.failed != nil:
		return 0, r.failed
	case r.waiting != nil:
		*r.waiting = append(*r.waiting, p...)
		return len(p), nil
	}
	n, r.failed = r.Conn.Write(p)
	return n, r.failed
}

func (r *records) hold(length int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = pool.Get(length)
	*r.waiting = (*r.waiting)[:0]
}

func (r *records) release() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.waiting
	r.waiting = nil
	defer pool.Put(waiting)
	if r.failed == nil && len(*waiting) > 0 {
		_, r.failed = r.Conn.Write(*waiting)
	}
	return r.failed
}
