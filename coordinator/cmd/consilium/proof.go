package main

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"github.com/consilium-fl/consilium/crypto/ledger"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// proofExtension is how C2SP names a proof beside the file that it proves.
const proofExtension = ".tlog-proof"

// leavesAtOnce is how many entries are asked for in one call.
const leavesAtOnce = 1000

// proof gets, and verifies, the proof that the ledger holds a file that the
// coordinator gave: under the checkpoint that most hospitals cosigned, if it
// reaches that far.
func (c *connection) proof(ctx context.Context, file []byte) ([]byte, error) {
	const what = "the proof that the ledger holds it was refused"
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := c.ledger.Checkpoint(ctx, &consiliumv1.CheckpointRequest{})
	if err != nil {
		return nil, refusedCall("there is no proof", err)
	}
	roster := c.node.Rosters().Latest()
	origin, key := ledger.Origin(roster.Consortium), ed25519.PublicKey(roster.CoordinatorMember().SigningKey)
	note := answer.GetCheckpoint()
	head, err := ledger.VerifyCheckpoint(note, origin, key)
	if err != nil {
		return nil, violation(what, err)
	}
	leaf, index, err := c.find(ctx, statement.DigestOf(file), head.Size)
	if err != nil {
		return nil, err
	}
	if cosigned := answer.GetCosigned(); len(cosigned) > 0 {
		sites := make(map[string]ed25519.PublicKey)
		for _, site := range roster.Sites() {
			sites[site.Name] = site.SigningKey
		}
		seen, _, err := ledger.VerifyCosigned(cosigned, origin, key, sites)
		if err != nil {
			return nil, violation(what, err)
		}
		if seen.Size > index {
			note, head = cosigned, seen
		}
	}
	proven, err := c.ledger.Inclusion(ctx, &consiliumv1.InclusionRequest{Index: index, Size: head.Size})
	if err != nil {
		return nil, refusedCall("there is no proof", err)
	}
	hashes, err := ledger.ParseProof(proven.GetProof())
	if err == nil {
		err = ledger.CheckInclusion(leaf, index, head.Size, head.Root, hashes)
	}
	if err != nil {
		return nil, violation(what, err)
	}
	return ledger.FormatProofFile(leaf, index, hashes, note), nil
}

// find looks for the entry that names a file, the latest entries first.
func (c *connection) find(ctx context.Context, name statement.Digest, size uint64) (leaf []byte, index uint64, err error) {
	for end := size; end > 0; {
		start := end - min(end, leavesAtOnce)
		answer, err := c.ledger.Entries(ctx, &consiliumv1.EntriesRequest{Start: start, End: end})
		if err != nil {
			return nil, 0, refusedCall("there is no proof", err)
		}
		for i, leaf := range answer.GetEntries() {
			if e, err := ledger.ParseEntry(leaf); err == nil && e.Subject == name {
				return leaf, start + uint64(i), nil
			}
		}
		end = start
	}
	return nil, 0, violation("the ledger does not hold it", fmt.Errorf("none of its %d entries names %.12s", size, name))
}
