// Package store says what the coordinator needs from a database: an ordered
// list of facts that only grows, and beside it the leaves of the ledger.
//
// Everything the coordinator knows is rebuilt from the facts. A batch is
// appended whole or not at all, facts and leaves together, so that nothing is
// ever in the ledger without having happened, and nothing happens without being
// in the ledger. Append returns only when the batch would survive a power cut.
package store

import (
	"context"
	"errors"
	"iter"
)

// ErrConflict says that somebody else has appended meanwhile: the writer's view
// of the store is out of date and nothing was written.
var ErrConflict = errors.New("the store has grown under another writer")

// Fact is one record in the stream of the thing that it is about, such as
// "round/<id>". The store does not look inside.
type Fact struct {
	Stream string
	Body   []byte
}

// Batch is appended whole or not at all.
type Batch struct {
	Facts  []Fact
	Leaves [][]byte // of the ledger
}

// Store is an append-only list of facts and one of leaves.
type Store interface {
	// Append adds a batch after exactly facts facts and leaves leaves, and
	// fails with ErrConflict if the store does not hold as many.
	Append(ctx context.Context, facts, leaves uint64, b Batch) error
	// Facts yields every fact in the order in which they were appended.
	Facts(ctx context.Context) iter.Seq2[Fact, error]
	// Leaves returns the leaves with start <= index < end, all of which exist.
	Leaves(ctx context.Context, start, end uint64) ([][]byte, error)
	// Size returns how many facts and leaves there are.
	Size(ctx context.Context) (facts, leaves uint64, err error)
	Close() error
}
