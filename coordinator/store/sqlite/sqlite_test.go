package sqlite_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/coordinator/store/storetest"
)

func TestStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder with spaces & signs #?%")
	storetest.Run(t, func(t *testing.T, name string) store.Store {
		t.Helper()
		return open(t, dir+name+".db")
	})
}

func open(t *testing.T, path string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestADatabaseThatCannotBeOpenedIsAnError(t *testing.T) {
	_, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "no", "such", "folder.db"))
	if err == nil || !strings.Contains(err.Error(), "cannot") {
		t.Errorf("error is %v", err)
	}
}
