// Package publicdata finds the public data sets that tests compare against. The
// project never contains them: they lie beside the checkout, or where
// CONSILIUM_DATA says.
package publicdata

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir returns the data folder. A missing folder fails the test in CI, where
// the comparison with published figures must not be lost silently, and skips
// it elsewhere.
func Dir(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv("CONSILIUM_DATA"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = parent
	}
	data := filepath.Join(filepath.Dir(dir), "shared", "data")
	if _, err := os.Stat(data); err != nil {
		const why = "the public data sets are not here: set CONSILIUM_DATA to their folder"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	return data
}
