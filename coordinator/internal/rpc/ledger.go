package rpc

import (
	"context"

	"github.com/consilium-fl/consilium/coordinator/internal/driver"
	merkle "github.com/consilium-fl/consilium/crypto/ledger"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// piece is how much of a file one message of an evidence stream carries.
const piece = 1 << 20

type ledger struct {
	consiliumv1.UnimplementedLedgerServiceServer
	driver *driver.Driver
}

func (s *ledger) Checkpoint(_ context.Context, req *consiliumv1.CheckpointRequest) (*consiliumv1.CheckpointResponse, error) {
	checkpoint, consistency, cosigned, err := s.driver.Checkpoint(req.GetOldSize())
	return &consiliumv1.CheckpointResponse{Checkpoint: checkpoint, Consistency: merkle.FormatProof(consistency), Cosigned: cosigned}, err
}

func (s *ledger) Entries(_ context.Context, req *consiliumv1.EntriesRequest) (*consiliumv1.EntriesResponse, error) {
	entries, err := s.driver.Entries(req.GetStart(), req.GetEnd())
	return &consiliumv1.EntriesResponse{Entries: entries}, err
}

func (s *ledger) Inclusion(_ context.Context, req *consiliumv1.InclusionRequest) (*consiliumv1.InclusionResponse, error) {
	proof, err := s.driver.Inclusion(req.GetIndex(), req.GetSize())
	return &consiliumv1.InclusionResponse{Proof: merkle.FormatProof(proof)}, err
}

func (s *ledger) Evidence(req *consiliumv1.EvidenceRequest, stream consiliumv1.LedgerService_EvidenceServer) error {
	return s.driver.Evidence(req.GetStudy(), caller(stream.Context()), req.GetCiphertexts(), func(path string, data []byte) error {
		for first := true; first || len(data) > 0; first = false {
			n := min(piece, len(data))
			if err := stream.Send(&consiliumv1.EvidenceResponse{Path: path, Data: data[:n]}); err != nil {
				return err
			}
			data = data[n:]
		}
		return nil
	})
}
