package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // reads the file of dnc follow

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// sqliteBase is the file of a `dnc follow`.
type sqliteBase string

func (b sqliteBase) holds(ctx context.Context) (all rows, c feed.Checkpoint, err error) {
	db, err := sql.Open("sqlite", "file:"+string(b)+"?mode=ro")
	if err != nil {
		return nil, c, err
	}
	defer db.Close()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}) // of one moment
	if err != nil {
		return nil, c, err
	}
	defer tx.Rollback() //nolint:errcheck // it only read
	var text string
	var state client.FollowState
	if err := tx.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = 'state'`).Scan(&text); err != nil {
		return nil, c, err
	}
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		return nil, c, err
	}
	if c, _, err = feed.ReadCheckpoint([]byte(state.Checkpoint)); err != nil {
		return nil, c, err
	}
	all, err = readRows(ctx, tx)
	return all, c, err
}

func readRows(ctx context.Context, tx *sql.Tx) (rows, error) {
	found, err := tx.QueryContext(ctx, `SELECT number, scope, source, until FROM rows WHERE orphan = 0`)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	all := rows{}
	for found.Next() {
		var r client.Row
		var until sql.NullInt64
		if err := found.Scan(&r.Number, &r.Scope, &r.Source, &until); err != nil {
			return nil, err
		}
		if until.Valid {
			r.Until = time.Unix(0, until.Int64).UTC()
		}
		all.put(r)
	}
	return all, found.Err()
}

// fileBase is a base that takes files: `dnc feed` writes them, and what it signs is handed in.
type fileBase struct {
	name, dir, key string
	dnc            func(ctx context.Context, args ...string) (string, error)

	rows  rows
	note  string // the last
	feeds int
}

// take takes the next feed, and acknowledges it as applied.
func (b *fileBase) take(ctx context.Context) error {
	note, err := b.dnc(ctx, "feed", b.name, "--out", b.dir, "--format", "jsonl")
	if err != nil {
		return err
	}
	b.note = strings.TrimSpace(note)
	if err := b.apply(strings.TrimSuffix(b.note, ".jsonl.note")); err != nil {
		return err
	}
	b.feeds++
	ack, err := b.dnc(ctx, "key", "sign", b.note, "--stage", "applied", "--key", b.key)
	if err != nil {
		return err
	}
	file := filepath.Join(b.dir, "ack")
	if err := os.WriteFile(file, []byte(ack), 0o600); err != nil {
		return err
	}
	_, err = b.dnc(ctx, "feed", b.name, "--ack", file)
	return err
}

// apply applies the rows of a feed, which is whole or what changed.
func (b *fileBase) apply(stem string) error {
	file, err := os.Open(stem + ".rows.jsonl")
	if err != nil {
		return err
	}
	defer file.Close()
	if strings.HasSuffix(stem, "-full") {
		b.rows = rows{}
	}
	for lines := json.NewDecoder(bufio.NewReader(file)); ; {
		var r struct {
			Number, Scope, Source string
			Until                 time.Time
			Removed               bool
		}
		err := lines.Decode(&r)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		number, err := strconv.ParseUint(strings.TrimPrefix(r.Number, "+"), 10, 64)
		if err != nil {
			return err
		}
		key := rowKey{number, r.Scope, r.Source}
		if r.Removed {
			delete(b.rows, key)
			continue
		}
		b.rows[key] = r.Until
	}
}

func (b *fileBase) holds(context.Context) (rows, feed.Checkpoint, error) {
	note, err := os.ReadFile(b.note)
	if err != nil {
		return nil, feed.Checkpoint{}, err
	}
	c, _, err := feed.ReadCheckpoint(note)
	return b.rows, c, err
}

// difference says how two sets of rows differ; empty: they do not. It names no number.
func difference(got, want rows) string {
	lacks, has, ends := map[string]int{}, map[string]int{}, map[string]int{}
	for k, until := range want {
		is, found := got[k]
		switch {
		case !found:
			lacks[k.source]++
		case !is.Equal(until):
			ends[k.source]++
		}
	}
	for k := range got {
		if _, found := want[k]; !found {
			has[k.source]++
		}
	}
	if len(lacks)+len(has)+len(ends) == 0 {
		return ""
	}
	return fmt.Sprintf("of %d rows it lacks %s, has %s more, and %s have another end", len(want), bySource(lacks), bySource(has), bySource(ends))
}

func bySource(counts map[string]int) string {
	var parts []string
	for _, source := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d of %s", counts[source], source))
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}
