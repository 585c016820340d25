package uplink

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/consilium-fl/consilium/crypto/statement"
	"github.com/consilium-fl/consilium/site-agent/outbox"
)

// ErrNotDescribed says that a request was about to leave without an outbox
// line, or with more bytes than its line says.
var ErrNotDescribed = errors.New("refused at the gate: a request may only leave as its outbox line describes it")

type describedKey struct{}

// describe gives a request its outbox line.
func describe(ctx context.Context, e outbox.Entry) context.Context {
	return context.WithValue(ctx, describedKey{}, e)
}

// gate is what every request passes.
type gate struct{ outbox *outbox.Outbox }

func (g gate) unary(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	e, ok := ctx.Value(describedKey{}).(outbox.Entry)
	message, isProto := request.(proto.Message)
	if !ok || !isProto {
		return ErrNotDescribed
	}
	e.Call = call(method)
	e.Bytes = int64(proto.Size(message))
	if e.Kind == outbox.Poll {
		if err := g.outbox.Polled(e.Call, e.Bytes); err != nil {
			return err
		}
		return invoke(ctx, method, request, answer, conn, opts...)
	}
	if e.Digest == "" {
		encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil {
			return err
		}
		e.Digest = statement.DigestOf(encoded).String()
	}
	id, err := g.outbox.Begin(e)
	if err != nil {
		return err
	}
	err = invoke(ctx, method, request, answer, conn, opts...)
	return errors.Join(err, g.outbox.End(id, outcome(err)))
}

// stream opens the gate for as many bytes as the description says.
func (g gate) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	e, ok := ctx.Value(describedKey{}).(outbox.Entry)
	if !ok {
		return nil, ErrNotDescribed
	}
	e.Call = call(method)
	id, err := g.outbox.Begin(e)
	if err != nil {
		return nil, err
	}
	inner, err := open(ctx, desc, conn, method, opts...)
	if err != nil {
		return nil, errors.Join(err, g.outbox.End(id, outcome(err)))
	}
	return &meteredStream{ClientStream: inner, left: e.Bytes, finish: func(err error) error { return g.outbox.End(id, outcome(err)) }}, nil
}

// meteredStream counts down the described bytes.
type meteredStream struct {
	grpc.ClientStream
	left   int64
	done   bool
	finish func(error) error
}

func (s *meteredStream) SendMsg(m any) error {
	message, ok := m.(proto.Message)
	if !ok {
		return ErrNotDescribed
	}
	if s.left -= int64(proto.Size(message)); s.left < 0 {
		return ErrNotDescribed
	}
	return s.ClientStream.SendMsg(m)
}

// RecvMsg gets the one answer of a client stream, which ends it.
func (s *meteredStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if s.done {
		return err
	}
	s.done = true
	return errors.Join(err, s.finish(err))
}

func call(method string) string {
	return strings.TrimPrefix(strings.TrimPrefix(method, "/"), "consilium.v1.")
}

// outcome is a fixed word for how a request ended.
func outcome(err error) string {
	if err == nil {
		return "acknowledged"
	}
	return fmt.Sprintf("failed: %s", status.Code(err))
}
