package rpc

import (
	"context"
	"errors"

	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	"github.com/consilium-fl/consilium/crypto/identity"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

var codeOf = map[driver.Class]codes.Code{
	driver.Invalid:      codes.InvalidArgument,
	driver.NotFound:     codes.NotFound,
	driver.Denied:       codes.PermissionDenied,
	driver.Conflict:     codes.AlreadyExists,
	driver.Precondition: codes.FailedPrecondition,
	driver.Unavailable:  codes.Unavailable,
}

// answer turns an error into what crosses the wire.
func (g *gate) answer(method string, m identity.Member, err error) error {
	if problem, ok := errors.AsType[*driver.Problem](err); ok {
		if problem.Security {
			g.log.Warn("security violation", zap.String("method", method), zap.String("caller", m.Name), zap.String("code", problem.Code))
		}
		return withDetail(codeOf[problem.Class], &consiliumv1.Error{
			Code: problem.Code, What: problem.What, Why: problem.Why, Next: problem.Next, Security: problem.Security,
		})
	}
	if g.serving.Err() != nil {
		return withDetail(codes.Unavailable, &consiliumv1.Error{
			Code: "stopping", What: "the coordinator did not answer", Why: "it is being stopped", Next: "try again in a while",
		})
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(err).Err()
	}
	if _, ok := status.FromError(err); ok {
		return err // of the stream itself: the peer has gone
	}
	g.log.Error("call failed", zap.String("method", method), zap.String("caller", m.Name), zap.Error(err))
	return withDetail(codes.Internal, &consiliumv1.Error{
		Code: "internal", What: "the coordinator could not answer", Why: "something failed on its side; nothing was changed",
		Next: "try again; if it stays, ask the coordinator's operator to look at its log",
	})
}

func withDetail(code codes.Code, detail *consiliumv1.Error) error {
	plain := status.New(code, detail.What+": "+detail.Why)
	detailed, err := plain.WithDetails(detail)
	if err != nil {
		return plain.Err()
	}
	return detailed.Err()
}
