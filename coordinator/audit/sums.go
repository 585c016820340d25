package audit

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// errNoCiphertext stops an opening after the key shares have been checked.
var errNoCiphertext = errors.New("the ciphertexts are not in the bundle")

// openings reads a round's opening shares by committee index.
func (v *verifier) openings(r *round) (map[int][]byte, error) {
	openings := make(map[int][]byte)
	for _, s := range r.shares {
		share := s.fact.(*statement.OpeningShare)
		data, err := v.blob(share.Share)
		if err != nil {
			return nil, fmt.Errorf("%w: %s names it", err, s)
		}
		if err := r.sealed.CheckShare(data); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
		openings[slices.Index(r.Plan().Committee, share.Member)] = data
	}
	return openings, nil
}

// open opens a published round again. Without ciphertexts it ends in
// errNoCiphertext, AFTER the shares were found to lie on one polynomial and
// the key sum within its bound.
func (v *verifier) open(r *round) (*secagg.Sum, error) {
	openings, err := v.openings(r)
	if err != nil {
		return nil, err
	}
	contributors := r.Request().Contributors
	read := func(contributor, chunk int) ([]byte, error) {
		if !v.ciphertexts {
			return nil, errNoCiphertext
		}
		header, _ := r.header(contributors[contributor])
		return v.blob(header.Chunks[chunk])
	}
	return r.sealed.Open(len(contributors), read, openings)
}

// checkShares checks that each round's opening shares lie on one polynomial
// whose value at zero is a sum of that many short keys. With the ciphertexts at
// hand this is part of opening them, which checkSums does.
func (v *verifier) checkShares() (string, error) {
	if err := inParallel(len(v.rounds), func(i int) error { return v.checkOpening(v.rounds[i]) }); err != nil {
		return "", err
	}
	shares, rounds := 0, 0
	for _, round := range v.rounds {
		if round.published() {
			shares += len(round.shares)
			rounds++
		}
	}
	if rounds == 0 {
		return "", notChecked("no round has been opened")
	}
	return fmt.Sprintf("%d opening shares of %d rounds, on one polynomial each, key sums within bounds", shares, rounds), nil
}

// checkOpening checks the shares of one round, and keeps what its ciphertexts
// open to.
func (v *verifier) checkOpening(round *round) error {
	if !round.published() {
		_, err := v.openings(round)
		return err
	}
	sum, err := v.open(round)
	if errors.Is(err, errNoCiphertext) {
		return nil
	}
	if err != nil {
		if member, ok := errors.AsType[*secagg.MemberError](err); ok {
			err = fmt.Errorf("%w (%s)", err, round.Plan().Committee[member.Member])
		}
		return fmt.Errorf("%s does not open: %w", round, err)
	}
	round.recomputed = sum
	return nil
}

// checkSums reads every opened sum and, where the ciphertexts are at hand,
// compares it with what they open to.
func (v *verifier) checkSums() (string, error) {
	sums := 0
	for _, round := range v.rounds {
		if !round.published() {
			continue
		}
		stated, err := v.blob(*round.End().Sum)
		if err != nil {
			return "", err
		}
		sum, err := round.sealed.ParseSum(stated)
		if err != nil {
			return "", fmt.Errorf("the sum of %s: %w", round, err)
		}
		if n := len(round.End().Contributors); sum.Contributors() != n {
			return "", fmt.Errorf("the sum of %s is over %d contributors where %d were opened", round, sum.Contributors(), n)
		}
		if round.recomputed != nil && !bytes.Equal(round.recomputed.Bytes(), stated) {
			return "", fmt.Errorf("the sum of %s is not what its ciphertexts open to", round)
		}
		round.sum, round.recomputed = sum, nil // long, and compared
		sums++
	}
	switch {
	case sums == 0:
		return "", notChecked("no round has been opened")
	case v.ciphertexts:
		return fmt.Sprintf("%d, each opened again from the ciphertexts, byte for byte", sums), nil
	}
	return "", notChecked(fmt.Sprintf("%d sums are taken as the coordinator signed them: fetch the bundle with --ciphertexts to open them again", sums))
}
