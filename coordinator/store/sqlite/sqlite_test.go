package sqlite_test

import (
	"context"
	"database/sql"
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

// What was answered for must survive a power cut: SQLite's own default in WAL
// mode would not promise that.
func TestEveryCommitIsSynced(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "facts.db"))
	defer db.Close()
	journal, synchronous, err := db.Durability(context.Background())
	if err != nil || journal != "wal" || synchronous != 2 {
		t.Errorf("journal %s, synchronous %d (2 is FULL), %v", journal, synchronous, err)
	}
}

func TestADatabaseOfANewerVersionIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "facts.db")
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("PRAGMA user_version = 7"); err != nil {
		t.Fatal(err)
	}
	raw.Close()
	if _, err := sqlite.Open(context.Background(), path); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("error is %v", err)
	}
}
