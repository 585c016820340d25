package blobs

import (
	"fmt"

	"github.com/consilium-fl/consilium/crypto/memo"
	"github.com/consilium-fl/consilium/crypto/statement"
)

// recent is a Store that has in memory what was stored or read last.
type recent struct {
	Store
	blobs *memo.Cache[[]byte]
}

// Recent returns a store that reads what was stored or read lately from memory:
// what a site has just sent is what its committee asks for next. It takes at most
// so many bytes, and a blob that would take a quarter of them is not kept. What
// it stores is stored before anybody can read it here. The bytes that it returns
// are others' as well and are not changed.
func Recent(store Store, bytes int) Store { return recent{store, memo.New[[]byte](bytes)} }

func (r recent) keep(b Blob) { r.blobs.Put(memo.Key(b.name), b.data, len(b.data)) }

func (r recent) Put(all ...Blob) error {
	if err := r.Store.Put(all...); err != nil {
		return err
	}
	for _, b := range all {
		r.keep(b)
	}
	return nil
}

func (r recent) Stage(b Blob) error {
	err := r.Store.Stage(b)
	if err == nil {
		r.keep(b)
	}
	return err
}

func (r recent) Get(name statement.Digest) ([]byte, error) {
	if data, known := r.blobs.Get(memo.Key(name)); known {
		return data, nil
	}
	data, err := r.Store.Get(name)
	if err == nil {
		r.keep(Blob{name, data})
	}
	return data, err
}

func (r recent) Section(into []byte, name statement.Digest, offset int64, length int) ([]byte, error) {
	data, known := r.blobs.Get(memo.Key(name))
	if !known {
		return r.Store.Section(into, name, offset, length)
	}
	if offset < 0 || length < 0 || offset > int64(len(data)) || int64(length) > int64(len(data))-offset {
		return nil, fmt.Errorf("%w: %s is too short", ErrDamaged, name)
	}
	return data[offset:][:length:length], nil
}

// In implements Store. What is in memory is there for every pack, under its digest.
func (r recent) In(pack statement.Digest) Store { return recent{r.Store.In(pack), r.blobs} }
