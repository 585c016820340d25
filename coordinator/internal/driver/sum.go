package driver

import (
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/consilium-fl/consilium/compute"
	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
)

func (r *roundState) committeeIndex(member string) int {
	return slices.Index(r.Plan().Committee, member)
}

// summing is all that opening a round needs, taken under the lock so that the
// long work happens outside it.
type summing struct {
	crypto       *secagg.Round
	contributors []string
	committee    []string
	chunks       [][]statement.Digest // by contributor
	openings     map[int][]byte       // by committee index
}

func (d *Driver) prepareSum(r *roundState) (*summing, error) {
	crypto, err := r.crypto()
	if err != nil {
		return nil, err
	}
	s := &summing{crypto: crypto, contributors: r.Contributors(), committee: r.Plan().Committee, openings: map[int][]byte{}}
	for _, site := range s.contributors {
		h, err := d.header(r, site)
		if err != nil {
			return nil, err
		}
		s.chunks = append(s.chunks, h.Chunks)
	}
	for _, member := range r.Openers() {
		given, _ := r.Share(member)
		share, err := d.bulk(r).Get(given.Share)
		if err != nil {
			return nil, err
		}
		s.openings[r.committeeIndex(member)] = share
	}
	return s, nil
}

// open opens the sum, holding one chunk in memory at a time. A finding that the
// round cannot be trusted comes back as the input that says so.
func (s *summing) open(store blobs.Store) (sum *secagg.Sum, found *round.Violated, err error) {
	var unread error // an error of the store is no finding about the round
	opened, err := s.crypto.Open(len(s.contributors), func(contributor, chunk int) ([]byte, error) {
		data, err := store.Get(s.chunks[contributor][chunk])
		if err != nil {
			unread = err
		}
		return data, err
	}, s.openings)
	switch {
	case err == nil:
		return opened, nil, nil
	case errors.Is(unread, blobs.ErrDamaged), errors.Is(unread, blobs.ErrMissing):
		return nil, &round.Violated{Reason: "a contribution that was stored whole is damaged at the coordinator"}, nil
	case unread != nil:
		return nil, nil, unread
	}
	if off, ok := errors.AsType[*secagg.MemberError](err); ok && off.Member >= 0 && off.Member < len(s.committee) {
		return nil, &round.Violated{Shares: true, Reason: fmt.Sprintf("the opening share of %s does not fit those of the others", s.committee[off.Member])}, nil
	}
	if errors.Is(err, secagg.ErrIntegrity) {
		return nil, &round.Violated{Shares: true, Reason: "the opened sum is larger than its contributions can be: a contribution or an opening share is not what it claims"}, nil
	}
	return nil, nil, err
}

// sum does the Sum job. The caller does not hold the lock.
func (d *Driver) sum(r *roundState) error {
	d.mu.Lock()
	s, err := d.prepareSum(r)
	d.mu.Unlock()
	if err != nil {
		return err
	}
	opened, found, err := s.open(d.bulk(r))
	if err != nil {
		return err
	}
	var name statement.Digest
	if found == nil {
		// Its encoding is several times as long as itself. It becomes durable with the
		// signed account of the round that names it, before the round ends.
		name, err = d.bulk(r).Write(opened)
		if err := d.unstored(err); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if found != nil {
		d.Logger.Error("the sum of a round is not sound", zap.Stringer("round", r.ID()), zap.String("reason", found.Reason))
		return d.feed(r, *found)
	}
	r.sum = opened
	return d.feed(r, round.Opened{Sum: name})
}

// opening returns the opened sum of a published round as the computation sees it.
func (d *Driver) opening(r *roundState) (compute.Sum, error) {
	sum := r.sum
	r.sum = nil // the computation has it; whoever asks again reads what is stored
	if sum == nil {
		var err error
		if sum, err = d.readSum(r); err != nil {
			return compute.Sum{}, err
		}
	}
	layout := make([]compute.Field, len(r.Plan().Layout))
	for i, f := range r.Plan().Layout {
		layout[i] = compute.Field(f)
	}
	opened, err := compute.NewSum(sum.Contributors(), layout, sum.Values())
	opened.Sites, opened.Required = r.Contributors(), r.Plan().MinimumContributors
	return opened, err
}

func (d *Driver) readSum(r *roundState) (*secagg.Sum, error) {
	crypto, err := r.crypto()
	if err != nil {
		return nil, err
	}
	stored, err := d.bulk(r).Open(r.End().Sum)
	if err != nil {
		return nil, err
	}
	defer stored.Close()
	return crypto.ReadSum(stored)
}
