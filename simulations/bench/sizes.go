package main

import (
	"google.golang.org/protobuf/proto"

	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/secagg"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// maxCommittee is the most sites that hold key shares, as the coordinator has it.
const maxCommittee = 20

var (
	tableValues = []int{10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}
	tableSites  = []int{3, 8, 20, 100, 1000}
)

// size is what one site sends in a round, and how it comes about.
type size struct {
	Values int    `json:"values"`
	Sites  int    `json:"sites"`
	Suite  string `json:"suite"`
	Chunks int    `json:"chunks"`
	// Upload is the messages of a contribution: header, sealed key shares,
	// ciphertext, and the calls around them. Ciphertext and KeyShares are parts.
	Upload     int64 `json:"upload_bytes"`
	Ciphertext int64 `json:"ciphertext_bytes"`
	KeyShares  int64 `json:"key_share_bytes"`
	// Opening is what a member of the committee that is sent a key share receives
	// and answers on top.
	OpeningDown int64 `json:"opening_down_bytes"`
	OpeningUp   int64 `json:"opening_up_bytes"`
}

// member is a site whose signatures and seals have the length of everybody's.
type member struct {
	keys     *identity.Keys
	overhead int // of a sealed share
}

func newMember() (*member, error) {
	keys, err := identity.GenerateKeys(identity.RoleSite)
	if err != nil {
		return nil, err
	}
	return &member{keys, identity.SealingOverhead}, nil
}

const siteName = "hospital" // of middling length

// measure builds the messages of a round without the vectors in them and counts
// their bytes. HTTP/2 and TLS add well under one per cent.
func (m *member) measure(field secagg.Field, sites int) (s size, err error) {
	committee := min(sites, maxCommittee)
	layout := secagg.Layout{field}
	if s.Suite, err = secagg.SelectSuite(layout, sites, committee, secagg.Supermajority(committee)); err != nil {
		return s, err
	}
	r, err := secagg.NewRound(secagg.RoundSpec{
		Suite: s.Suite, Layout: layout, Invited: sites, Committee: committee, Threshold: secagg.Supermajority(committee),
	})
	if err != nil {
		return s, err
	}
	s.Values, s.Sites, s.Chunks = field.Length, sites, r.Chunks()
	header, err := m.sign(statement.KindContributionHeader, statement.ContributionHeader{
		Site: siteName, Chunks: make([]statement.Digest, r.Chunks()), Shares: make([]statement.Digest, committee),
	})
	if err != nil {
		return s, err
	}
	begin := &consiliumv1.BeginContributionRequest{Header: header}
	share := make([]byte, r.ShareBytes()+m.overhead)
	for j := range committee {
		sealed := share
		if j < r.Agreed() {
			sealed = make([]byte, identity.AgreementBytes)
		}
		begin.SealedShares = append(begin.SealedShares, sealed)
		s.KeyShares += int64(len(sealed))
	}
	round := statement.Digest{}.String()
	chunk := proto.Size(&consiliumv1.UploadChunksRequest{Round: round, Index: uint32(r.Chunks()), Chunk: make([]byte, r.ChunkBytes())})
	commit := proto.Size(&consiliumv1.CommitContributionRequest{Round: round})
	s.Ciphertext = int64(r.Chunks()) * int64(r.ChunkBytes())
	s.Upload = int64(proto.Size(begin)) + int64(r.Chunks())*int64(chunk) + int64(commit)

	opening, err := m.sign(statement.KindOpeningShare, statement.OpeningShare{Member: siteName})
	if err != nil {
		return s, err
	}
	s.OpeningDown = int64(sites) * int64(len(share)+len(header))
	s.OpeningUp = int64(proto.Size(&consiliumv1.SubmitOpeningShareRequest{Statement: opening, Share: make([]byte, r.ShareBytes())}))
	return s, nil
}

func (m *member) sign(kind statement.Kind, v any) ([]byte, error) {
	return statement.Sign(kind, v, siteName, m.keys.Signing())
}

// sizes are the published tables: an update of 16 bits to a value, and sums as
// a generalised linear model asks for them, of 60 bits behind the point.
func sizes() (update, model []size, err error) {
	m, err := newMember()
	if err != nil {
		return nil, nil, err
	}
	for _, values := range tableValues {
		for _, sites := range tableSites {
			s, err := m.measure(secagg.Field{Name: "v", Length: values, Bound: 1<<15 - 1}, sites)
			if err != nil {
				return nil, nil, err
			}
			update = append(update, s)
		}
	}
	for _, values := range []int{10, 50, 500, 5000} {
		for _, sites := range tableSites {
			s, err := m.measure(secagg.Field{Name: "v", Length: values, FracBits: 60, Bound: 1 << 24}, sites)
			if err != nil {
				return nil, nil, err
			}
			model = append(model, s)
		}
	}
	return update, model, nil
}

// upload is the size of one site's update of so many 16-bit values.
func upload(values, sites int) (size, error) {
	m, err := newMember()
	if err != nil {
		return size{}, err
	}
	return m.measure(secagg.Field{Name: "v", Length: values, Bound: 1<<15 - 1}, sites)
}
