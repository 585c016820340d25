// Package sqlite keeps the coordinator's facts in one SQLite file: write-ahead
// log, synchronous=FULL, one connection. It needs no server and no operator,
// and a copy of the file made with sqlite3's .backup is a backup.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/consilium-fl/consilium/coordinator/store"
)

// schema is version 1. Sequence numbers start at 0 and have no gaps.
const schema = `
CREATE TABLE IF NOT EXISTS facts  (seq BIGINT PRIMARY KEY, stream TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS leaves (seq BIGINT PRIMARY KEY, leaf BLOB NOT NULL);
`

const version = 1

// DB is a store.Store.
type DB struct {
	db *sql.DB
	// Of every append, and so prepared once.
	sizes, putFact, putLeaf *sql.Stmt
}

var _ store.Store = (*DB)(nil)

// Open opens the database file, and creates it if there is none.
func Open(ctx context.Context, path string) (*DB, error) {
	source := "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(5000)&_txlock=immediate"
	db, err := sql.Open("sqlite", source)
	if err != nil {
		return nil, fmt.Errorf("cannot open the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	d := &DB{db: db}
	err = prepare(ctx, db)
	if err == nil {
		err = d.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return d, nil
}

func (d *DB) prepare(ctx context.Context) error {
	for text, statement := range map[string]**sql.Stmt{
		sizeQuery: &d.sizes,
		"INSERT INTO facts (seq, stream, body) VALUES ($1, $2, $3)": &d.putFact,
		"INSERT INTO leaves (seq, leaf) VALUES ($1, $2)":            &d.putLeaf,
	} {
		prepared, err := d.db.PrepareContext(ctx, text)
		if err != nil {
			return fmt.Errorf("cannot prepare the database: %w", err)
		}
		*statement = prepared
	}
	return nil
}

func prepare(ctx context.Context, db *sql.DB) error {
	var found int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&found); err != nil {
		return fmt.Errorf("cannot read the database: %w", err)
	}
	if found > version {
		return fmt.Errorf("the database has schema %d, written by a newer version: this one knows schema %d", found, version)
	}
	if _, err := db.ExecContext(ctx, schema+fmt.Sprintf("PRAGMA user_version = %d;", version)); err != nil {
		return fmt.Errorf("cannot prepare the database: %w", err)
	}
	return nil
}

// Append implements store.Store.
func (d *DB) Append(ctx context.Context, facts, leaves uint64, b store.Batch) error {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("cannot append: %w", err)
	}
	defer tx.Rollback() // of no effect once committed
	nf, nl, err := size(ctx, tx.StmtContext(ctx, d.sizes))
	if err != nil {
		return err
	}
	if nf != facts || nl != leaves {
		return fmt.Errorf("%w: expected %d facts and %d leaves, there are %d and %d", store.ErrConflict, facts, leaves, nf, nl)
	}
	putFact, putLeaf := tx.StmtContext(ctx, d.putFact), tx.StmtContext(ctx, d.putLeaf)
	for i, f := range b.Facts {
		if _, err := putFact.ExecContext(ctx, int64(facts)+int64(i), f.Stream, f.Body); err != nil {
			return fmt.Errorf("cannot append a fact: %w", err)
		}
	}
	for i, leaf := range b.Leaves {
		if _, err := putLeaf.ExecContext(ctx, int64(leaves)+int64(i), leaf); err != nil {
			return fmt.Errorf("cannot append a leaf: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("cannot append: %w", err)
	}
	return nil
}

// Facts implements store.Store.
func (d *DB) Facts(ctx context.Context) iter.Seq2[store.Fact, error] {
	return func(yield func(store.Fact, error) bool) {
		rows, err := d.db.QueryContext(ctx, "SELECT stream, body FROM facts ORDER BY seq")
		if err != nil {
			yield(store.Fact{}, fmt.Errorf("cannot read facts: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var f store.Fact
			if err := rows.Scan(&f.Stream, &f.Body); err != nil {
				yield(store.Fact{}, fmt.Errorf("cannot read a fact: %w", err))
				return
			}
			if !yield(f, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(store.Fact{}, fmt.Errorf("cannot read facts: %w", err))
		}
	}
}

// Leaves implements store.Store.
func (d *DB) Leaves(ctx context.Context, start, end uint64) ([][]byte, error) {
	if end < start {
		return nil, fmt.Errorf("leaves %d to %d: the end lies before the start", start, end)
	}
	rows, err := d.db.QueryContext(ctx, "SELECT leaf FROM leaves WHERE seq >= $1 AND seq < $2 ORDER BY seq", int64(start), int64(end))
	if err != nil {
		return nil, fmt.Errorf("cannot read leaves: %w", err)
	}
	defer rows.Close()
	var leaves [][]byte
	for rows.Next() {
		var leaf []byte
		if err := rows.Scan(&leaf); err != nil {
			return nil, fmt.Errorf("cannot read a leaf: %w", err)
		}
		leaves = append(leaves, leaf)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read leaves: %w", err)
	}
	if uint64(len(leaves)) != end-start {
		return nil, fmt.Errorf("leaves %d to %d: only %d of them exist", start, end, len(leaves))
	}
	return leaves, nil
}

// Size implements store.Store.
func (d *DB) Size(ctx context.Context) (facts, leaves uint64, err error) { return size(ctx, d.sizes) }

// Close implements store.Store.
func (d *DB) Close() error { return d.db.Close() }

// Durability returns the journal mode and the level of synchronous in force.
func (d *DB) Durability(ctx context.Context) (journal string, synchronous int, err error) {
	err = errors.Join(
		d.db.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&journal),
		d.db.QueryRowContext(ctx, "PRAGMA synchronous").Scan(&synchronous),
	)
	return journal, synchronous, err
}

// The sequences have no gaps, so the largest number says how many there are.
const sizeQuery = "SELECT (SELECT coalesce(max(seq)+1, 0) FROM facts), (SELECT coalesce(max(seq)+1, 0) FROM leaves)"

func size(ctx context.Context, query *sql.Stmt) (facts, leaves uint64, err error) {
	if err := query.QueryRowContext(ctx).Scan(&facts, &leaves); err != nil {
		return 0, 0, fmt.Errorf("cannot read the size of the store: %w", err)
	}
	return facts, leaves, nil
}
