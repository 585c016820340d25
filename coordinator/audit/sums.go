package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// errNoCiphertext stops an opening after the key shares have been checked.
var errNoCiphertext = errors.New("the ciphertexts are not in the bundle")

// reopened is what the ciphertexts of a round open to.
type reopened struct {
	sum statement.Digest // of its canonical bytes: the sum itself is long
	err error            // that they open to nothing
}

// crypto is the cryptography that the round's plan fixes.
func (r *round) crypto() (_ *secagg.Round, err error) {
	if r.sealed == nil {
		r.sealed, err = secagg.NewRound(r.Plan().RoundSpec())
	}
	return r.sealed, err
}

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

// ciphertexts are the chunks of the contributions that were opened.
func (r *round) ciphertexts() (chunks []statement.Digest) {
	for _, site := range r.Request().Contributors {
		header, _ := r.header(site)
		chunks = append(chunks, header.Chunks...)
	}
	return chunks
}

// openAhead opens a published round again from its ciphertexts. It comes before
// the checks of the plan, of the contributors and of the shares that the opening
// rests on: a round that cannot be opened for want of these is left to them, and
// what one opens to is judged by checkShares and checkSums. The error is of a
// ciphertext that is not what its name says.
func (v *verifier) openAhead(r *round) error {
	if !r.published() || r.Request() == nil || r.Plan().Validate() != nil {
		return nil
	}
	sealed, err := r.crypto()
	if err != nil {
		return nil
	}
	for _, site := range r.Request().Contributors {
		if header, _ := r.header(site); header == nil || len(header.Chunks) != sealed.Chunks() {
			return nil
		}
	}
	openings, err := v.openings(r)
	if err != nil {
		return nil
	}
	chunks := r.ciphertexts()
	one := make([]byte, 0, sealed.ChunkBytes()+1) // and a byte to see that a file ends
	var damaged error
	sum, err := r.open(openings, func(contributor, chunk int) (data []byte, err error) {
		data, damaged = v.blobInto(one, chunks[contributor*sealed.Chunks()+chunk])
		return data, damaged
	})
	if damaged == nil {
		r.reopened = &reopened{sum, err}
	}
	return damaged
}

// open opens a round's sum.
func (r *round) open(openings map[int][]byte, read func(contributor, chunk int) ([]byte, error)) (sum statement.Digest, err error) {
	opened, err := r.sealed.Open(len(r.Request().Contributors), read, openings)
	if err != nil {
		return sum, err
	}
	hasher := sha256.New()
	_, err = opened.WriteTo(hasher)
	return statement.Digest(hasher.Sum(nil)), err
}

// checkShares checks that each round's opening shares lie on one polynomial
// whose value at zero is a sum of that many short keys. With the ciphertexts at
// hand this was part of opening them.
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

// checkOpening checks the shares of one round, and that its ciphertexts open.
// Without ciphertexts the opening ends in errNoCiphertext, AFTER the shares were
// found to lie on one polynomial and the key sum within its bound.
func (v *verifier) checkOpening(round *round) error {
	if round.reopened == nil {
		openings, err := v.openings(round)
		if err != nil || !round.published() {
			return err
		}
		_, err = round.open(openings, func(int, int) ([]byte, error) { return nil, errNoCiphertext })
		round.reopened = &reopened{err: err}
	}
	err := round.reopened.err
	if errors.Is(err, errNoCiphertext) && !v.ciphertexts {
		return nil
	}
	if err != nil {
		if member, ok := errors.AsType[*secagg.MemberError](err); ok {
			err = fmt.Errorf("%w (%s)", err, round.Plan().Committee[member.Member])
		}
		return fmt.Errorf("%s does not open: %w", round, err)
	}
	return nil
}

// checkSums reads every opened sum and, where the ciphertexts are at hand,
// compares it with what they open to.
func (v *verifier) checkSums() (string, error) {
	if err := inParallel(len(v.rounds), func(i int) error { return v.checkSum(v.rounds[i]) }); err != nil {
		return "", err
	}
	sums := 0
	for _, round := range v.rounds {
		if round.published() {
			sums++
		}
	}
	switch {
	case sums == 0:
		return "", notChecked("no round has been opened")
	case v.ciphertexts:
		return fmt.Sprintf("%d, each opened again from the ciphertexts, byte for byte", sums), nil
	}
	return "", notChecked(fmt.Sprintf("%d sums are taken as the coordinator signed them: fetch the bundle with --ciphertexts to open them again", sums))
}

// checkSum reads the sum of a round, if it was opened.
func (v *verifier) checkSum(round *round) error {
	if !round.published() {
		return nil
	}
	published := *round.End().Sum
	stated, err := v.blob(published)
	if err != nil {
		return err
	}
	sum, err := round.sealed.ParseSum(stated)
	if err != nil {
		return fmt.Errorf("the sum of %s: %w", round, err)
	}
	if n := len(round.End().Contributors); sum.Contributors() != n {
		return fmt.Errorf("the sum of %s is over %d contributors where %d were opened", round, sum.Contributors(), n)
	}
	if v.ciphertexts && round.reopened.sum != published {
		return fmt.Errorf("the sum of %s is not what its ciphertexts open to", round)
	}
	round.sum = sum
	return nil
}
