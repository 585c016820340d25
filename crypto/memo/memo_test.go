package memo

import "testing"

func key(n int) Key { return Key{byte(n), byte(n >> 8)} }

func TestWhatWasPutIsFoundAndNothingElse(t *testing.T) {
	c := New[string](100)
	c.Put(key(1), "one", 10)
	if v, ok := c.Get(key(1)); !ok || v != "one" {
		t.Errorf("got %q, %v", v, ok)
	}
	if v, ok := c.Get(key(2)); ok || v != "" {
		t.Errorf("got %q, %v for what was never put", v, ok)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	c := New[int](100)
	for n := range 1000 {
		c.Put(key(n), n, 10)
		held := 0
		for _, generation := range []map[Key]entry[int]{c.young, c.old} {
			for _, e := range generation {
				held += e.bytes
			}
		}
		if held > 100 {
			t.Fatalf("after %d values it holds %d bytes of 100", n+1, held)
		}
	}
	if _, ok := c.Get(key(0)); ok {
		t.Error("the first of a thousand values is still there")
	}
	if v, ok := c.Get(key(999)); !ok || v != 999 {
		t.Error("the last value is gone")
	}
}

func TestWhatIsAskedForStays(t *testing.T) {
	c := New[int](100)
	c.Put(key(0), 0, 10)
	for n := 1; n < 1000; n++ {
		c.Put(key(n), n, 10)
		if _, ok := c.Get(key(0)); !ok {
			t.Fatalf("forgotten after %d others though it is asked for all the time", n)
		}
	}
}

func TestOneLargeValueDoesNotPushOutTheRest(t *testing.T) {
	c := New[int](100)
	c.Put(key(1), 1, 10)
	c.Put(key(2), 2, 26)
	if _, ok := c.Get(key(2)); ok {
		t.Error("a value of a quarter of the cache was kept")
	}
	if _, ok := c.Get(key(1)); !ok {
		t.Error("the others are gone")
	}
}
