// Package memo keeps the outcomes of checks that are functions of bytes alone,
// such as whether a signature verifies, under the digest of those bytes.
//
// It keeps nothing that depends on who asks, on a clock or on a roster, so that
// an answer from memory is the answer that the check would give. What has not been
// asked for the longest is forgotten, and what is remembered is bounded: nobody
// can fill the memory of a process that checks what they send.
package memo

import (
	"crypto/sha256"
	"sync"
)

// Key is the digest of the bytes that were checked.
type Key = [sha256.Size]byte

// Cache is two generations of outcomes: when the young one is full the old one
// is forgotten and the young one grows old. It is safe for concurrent use.
type Cache[V any] struct {
	limit int

	mu         sync.Mutex
	young, old map[Key]entry[V]
	bytes      int // of the young generation
}

type entry[V any] struct {
	value V
	bytes int
}

// New returns a cache that holds at most so many bytes, by the count of those
// who put them there.
func New[V any](limit int) *Cache[V] {
	return &Cache[V]{limit: limit, young: make(map[Key]entry[V])}
}

// Get returns what was put under a key, if it is still there.
func (c *Cache[V]) Get(key Key) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.young[key]
	if ok {
		return e.value, true
	}
	if e, ok = c.old[key]; ok {
		c.put(key, e)
	}
	return e.value, ok
}

// Put remembers a value that takes so many bytes. One that would take a quarter
// of the cache for itself is not remembered.
func (c *Cache[V]) Put(key Key, value V, bytes int) {
	if bytes > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, entry[V]{value, bytes})
}

func (c *Cache[V]) put(key Key, e entry[V]) {
	if _, known := c.young[key]; known {
		return
	}
	if c.bytes+e.bytes > c.limit/2 {
		c.old, c.young, c.bytes = c.young, make(map[Key]entry[V]), 0
	}
	c.young[key] = e
	c.bytes += e.bytes
}
