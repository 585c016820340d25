package participant

import (
	"bytes"

	"github.com/consilium-fl/consilium/crypto/statement"
)

// How a round can end.
const (
	Published       = "published"
	Abandoned       = "abandoned"
	FailedIntegrity = "failed-integrity"
)

// AcceptReceipt checks the coordinator's word that a contribution counts.
func (s *Site) AcceptReceipt(envelope []byte, round, header statement.Digest) error {
	var receipt statement.Receipt
	if _, err := statement.Open(envelope, statement.KindReceipt, &receipt, s.coordinator()); err != nil {
		return ErrReceipt.because("%v", err)
	}
	if receipt.Round != round || receipt.Site != s.Name || receipt.Header != header {
		return ErrReceipt.because("it is for another contribution")
	}
	return nil
}

// AcceptEnd checks the coordinator's account of how a round ended, which for
// ever decides whether its question may be asked again. The account of a
// round that was put to this site must agree with what the site knows of it.
func (s *Site) AcceptEnd(envelope []byte, round, question statement.Digest) (*statement.RoundEnd, error) {
	var end statement.RoundEnd
	payload, err := statement.Open(envelope, statement.KindRoundEnd, &end, s.coordinator())
	if err != nil {
		return nil, ErrEnd.because("%v", err)
	}
	if end.Round != round || end.Question != question {
		return nil, ErrEnd.because("it is for another round")
	}
	if (end.State != Published && end.State != Abandoned && end.State != FailedIntegrity) || (end.State == Published) != (end.Sum != nil) {
		return nil, ErrEnd.because("its state is not one a round ends in")
	}
	if known, ok := s.Memory.End(round); ok {
		before, err := statement.Encode(known)
		if err != nil || !bytes.Equal(before, payload) {
			return nil, ErrEndContradicted
		}
	}
	return &end, nil
}
