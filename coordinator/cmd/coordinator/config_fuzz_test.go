package main

import (
	"testing"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/internal/settings"
)

// A configuration file is read or refused; it never breaks the program, and what
// is read is usable.
func FuzzParseConfig(f *testing.F) {
	for _, seed := range []string{coordinator.ExampleConfig, "", "---\n", "dir: &a x\nlisten: *a\n", "? [a]\n: b\n", "- a\n", "dir: !!binary aGk=\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		c := defaults()
		err := settings.Parse(source, c.keys())
		if err == nil && (c.dir == "" || c.listen == "" || c.certificateTTL <= 0) {
			t.Errorf("read as %+v", c)
		}
	})
}
