// Package storetest holds the tests that every store.Store must pass.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/store"
)

// Run tests a kind of store. Open opens the store under a name, and opens the
// same one again when called with the same name.
func Run(t *testing.T, open func(t *testing.T, name string) store.Store) {
	ctx := context.Background()
	t.Run("what is appended comes back in order after a reopening", func(t *testing.T) {
		s := open(t, "order")
		for i := range uint64(5) {
			batch := store.Batch{
				Facts:  []store.Fact{{Stream: fmt.Sprint("s", i%2), Body: []byte{byte(i)}}, {Stream: "both", Body: []byte{}}},
				Leaves: [][]byte{fmt.Append(nil, "leaf ", i)},
			}
			if err := s.Append(ctx, 2*i, i, batch); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, "order")
		defer s.Close()
		var n int
		for f, err := range s.Facts(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if n%2 == 0 && (f.Stream != fmt.Sprint("s", n/2%2) || !bytes.Equal(f.Body, []byte{byte(n / 2)})) {
				t.Errorf("fact %d is %+v", n, f)
			}
			n++
		}
		if n != 10 {
			t.Errorf("%d facts came back, 10 were appended", n)
		}
		leaves, err := s.Leaves(ctx, 1, 4)
		if err != nil || len(leaves) != 3 || string(leaves[0]) != "leaf 1" || string(leaves[2]) != "leaf 3" {
			t.Errorf("leaves 1 to 4 are %q, %v", leaves, err)
		}
		if _, err := s.Leaves(ctx, 3, 6); err == nil {
			t.Error("a leaf that does not exist was returned")
		}
	})
	t.Run("a writer with an old view appends nothing", func(t *testing.T) {
		s := open(t, "conflict")
		defer s.Close()
		one := store.Batch{Facts: []store.Fact{{Stream: "a", Body: []byte("1")}}, Leaves: [][]byte{[]byte("l")}}
		if err := s.Append(ctx, 0, 0, one); err != nil {
			t.Fatal(err)
		}
		for _, stale := range [][2]uint64{{0, 0}, {0, 1}, {1, 0}, {2, 1}} {
			if err := s.Append(ctx, stale[0], stale[1], one); !errors.Is(err, store.ErrConflict) {
				t.Errorf("append at %v: %v, want ErrConflict", stale, err)
			}
		}
		facts, leaves, err := s.Size(ctx)
		if facts != 1 || leaves != 1 || err != nil {
			t.Errorf("size is %d, %d, %v", facts, leaves, err)
		}
	})
	t.Run("a batch is whole or absent", func(t *testing.T) {
		s := open(t, "whole")
		defer s.Close()
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		batch := store.Batch{Facts: []store.Fact{{Stream: "a", Body: []byte("1")}}, Leaves: [][]byte{[]byte("l")}}
		if err := s.Append(canceled, 0, 0, batch); err == nil {
			t.Error("an append that was called off succeeded")
		}
		if facts, leaves, err := s.Size(ctx); facts != 0 || leaves != 0 || err != nil {
			t.Errorf("size is %d, %d, %v", facts, leaves, err)
		}
	})
}
