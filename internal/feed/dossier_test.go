package feed

import (
	"strings"
	"testing"
	"time"
)

func TestContradictionsAreFound(t *testing.T) {
	t.Parallel()
	base := Checkpoint{
		Journal: strings.Repeat("a", 32), Subscriber: EventID{Revision: 2}, Epoch: 2, Revision: 10, Changes: 5,
		Hash: Hash{1}, Filter: Hash{2}, Tag: Tag{3}, Time: time.Unix(1, 0).UTC(),
	}
	for what, c := range map[string]struct {
		change func(*Checkpoint)
		says   string // empty: both may be true
	}{
		"the same":               {func(*Checkpoint) {}, ""},
		"another hash":           {func(c *Checkpoint) { c.Hash = Hash{9} }, "5 changes lead to two hashes"},
		"the same n later":       {func(c *Checkpoint) { c.Revision, c.Tag = 11, Tag{4} }, ""},
		"another hash later":     {func(c *Checkpoint) { c.Revision, c.Tag, c.Hash = 11, Tag{4}, Hash{9} }, "5 changes lead to two hashes"},
		"more changes":           {func(c *Checkpoint) { c.Revision, c.Tag, c.Changes, c.Hash = 11, Tag{4}, 6, Hash{9} }, ""},
		"fewer changes later":    {func(c *Checkpoint) { c.Revision, c.Tag, c.Changes, c.Hash = 11, Tag{4}, 4, Hash{9} }, "5 changes at revision 10, and 4 at 11"},
		"more changes before":    {func(c *Checkpoint) { c.Revision, c.Tag, c.Changes, c.Hash = 9, Tag{4}, 6, Hash{9} }, "6 changes at revision 9, and 5 at 10"},
		"more at the same place": {func(c *Checkpoint) { c.Changes, c.Hash = 6, Hash{9} }, " at 10"},
		"another tag":            {func(c *Checkpoint) { c.Tag = Tag{4} }, "revision 10 is of two histories"},
		"another filter":         {func(c *Checkpoint) { c.Filter = Hash{9} }, "one epoch has two filters"},
		"another epoch":          {func(c *Checkpoint) { c.Epoch, c.Changes, c.Hash = 9, 0, Hash{9} }, ""},
		"another base":           {func(c *Checkpoint) { c.Subscriber, c.Changes, c.Hash = EventID{Revision: 3}, 0, Hash{9} }, ""},
		"another base's history": {func(c *Checkpoint) { c.Subscriber, c.Tag = EventID{Revision: 3}, Tag{4} }, "revision 10 is of two histories"},
		"another journal":        {func(c *Checkpoint) { c.Journal, c.Hash, c.Tag = strings.Repeat("b", 32), Hash{9}, Tag{4} }, ""},
	} {
		other := base
		c.change(&other)
		for _, order := range [][]Checkpoint{{base, other}, {other, base}} {
			var w Witness
			found := append(w.Add("one", order[0]), w.Add("two", order[1])...)
			if got := strings.Join(found, "; "); (got == "") != (c.says == "") || !strings.HasSuffix(got, c.says) {
				t.Errorf("%s: got %q, want %q", what, got, c.says)
			}
		}
	}
}

func TestDossierHasOneOrigin(t *testing.T) {
	t.Parallel()
	private, public, err := NewKey("dncd-test")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParsePrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	journal := strings.Repeat("a", 32)
	note, err := (&Dossier{JournalID: journal, Number: "+14155550101", ServerKey: public.Text()}).Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	if d, _, err := OpenDossier(note, public); err != nil || d.Number != "+14155550101" {
		t.Errorf("got %v, %v; want what was signed", d, err)
	}
	_, other, err := NewKey("dncd-test")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`{"origin":"dncd/` + journal + `/dossier","journal_id":"` + journal + `","server_key":"` + other.Text() + `"}`,
		`{"origin":"dncd/` + journal + `/dossier","journal_id":"` + journal + `"}`,
		`{"number":"+14155550101","journal_id":"` + journal + `","origin":"dncd/` + journal + `/dossier"}`,
		`{"origin":"dncd/` + journal + `/dossier","journal_id":"` + strings.Repeat("b", 32) + `"}`,
		`{"origin":"dncd/` + journal + `/dossier"`, `{}`,
	} {
		note, err := sign(text+"\n", key)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := OpenDossier(note, public); err == nil {
			t.Errorf("%s: got it read, want it refused", text)
		}
	}
	if _, _, err := OpenCheckpoint(note, public); err == nil {
		t.Error("a dossier was read as a checkpoint")
	}
	if _, _, err := OpenAcknowledgement(note, public); err == nil {
		t.Error("a dossier was read as an acknowledgement")
	}
}
