package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// feedDir is a directory with feeds of one subscriber.
type feedDir struct {
	path, name string
	notes      []feedNote // by name
}

// feedNote is the note of a feed that was written before.
type feedNote struct {
	name string
	at   feed.Checkpoint
	own  bool // of this subscriber; else of an earlier one of its name
}

// leftover is after how long without a write a file is what a killed process left.
const leftover = time.Hour

// openFeedDir reads the notes of a directory, and removes what a killed process left there.
func openFeedDir(path string, s client.SubscriberStatus) (*feedDir, error) {
	entries, err := os.ReadDir(path) // sorted
	if err != nil {
		return nil, err
	}
	d := &feedDir{path: path, name: s.Name}
	id := feed.FormatEventID(feed.EventID{Revision: s.ID.Revision, Index: s.ID.Index})
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, d.temporary()) && strings.HasSuffix(name, temporaryEnd):
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > leftover {
				_ = os.Remove(filepath.Join(path, name)) // the next run tries again
			}
		case d.isNote(name):
			at, err := readFeedNote(filepath.Join(path, name))
			if err != nil {
				return nil, fmt.Errorf("%s is not a note as dnc feed wrote it: %w", name, err)
			}
			d.notes = append(d.notes, feedNote{name, at, feed.FormatEventID(at.Subscriber) == id})
		}
	}
	return d, nil
}

// isNote reports whether a name is that of a note of a feed of the subscriber: another one may have a name that begins with its own.
func (d *feedDir) isNote(name string) bool {
	rest, begins := strings.CutPrefix(name, d.name+"-")
	return begins && strings.HasSuffix(rest, noteEnd) && feedPlace.MatchString(rest)
}

// feedPlace is the epoch and the position in the name of a file.
var feedPlace = regexp.MustCompile(`^[0-9]{12,}-[0-9]{12,}-`)

const (
	temporaryEnd = ".tmp"
	noteEnd      = ".note"
)

// temporary begins the names of files that are being written.
func (d *feedDir) temporary() string { return "." + d.name + "-" }

func readFeedNote(path string) (feed.Checkpoint, error) {
	msg, err := os.ReadFile(path)
	if err != nil {
		return feed.Checkpoint{}, err
	}
	at, _, err := feed.ReadCheckpoint(msg)
	return at, err
}

// holdsLost reports whether the directory has a feed of what the server no longer has: of another journal, or of a history that
// this journal does not have. Also one of an earlier subscriber of that name: where the registration was lost too, the base has been
// registered again.
func (d *feedDir) holdsLost(now client.Position) bool {
	return slices.ContainsFunc(d.notes, func(n feedNote) bool {
		isOther := n.at.Revision == now.Revision && n.at.Tag.String() != now.Tag
		return n.at.Journal != now.JournalID || n.at.Revision > now.Revision || isOther
	})
}

// unacknowledged are the notes of earlier feeds of the epoch whose changes the base has not acknowledged as durable or applied.
func (d *feedDir) unacknowledged(now feed.Checkpoint, s client.SubscriberStatus) (names []string) {
	upTo, isAny := uint64(0), false
	for _, stage := range s.Stages {
		if s.Epoch == now.Epoch && stage.Stage != client.StageReceived && !stage.AcknowledgedAt.IsZero() {
			upTo, isAny = max(upTo, stage.AcknowledgedChanges), true
		}
	}
	for _, n := range d.notes {
		isEarlier := n.own && n.at.Journal == now.Journal && n.at.Epoch == now.Epoch && n.at.Revision < now.Revision
		if isEarlier && (!isAny || n.at.Changes > upTo) {
			names = append(names, n.name)
		}
	}
	return names
}
