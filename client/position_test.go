package client

import (
	"strings"
	"testing"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

const (
	someJournal = "d0ca37e4b1f2486d9a05c3e87b6f1234"
	someTag     = "9f86d081884c7d65"
)

func TestPositionAsText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Position{
		"0":                                    {},
		"7":                                    {Revision: 7},
		"18446744073709551615":                 {Revision: 1<<64 - 1},
		"7@" + someJournal:                     {Revision: 7, JournalID: someJournal},
		"7@" + someJournal + ":" + someTag:     {Revision: 7, JournalID: someJournal, Tag: someTag},
		"7@:" + someTag:                        {Revision: 7, Tag: someTag},
		"7@:" + strings.Repeat("0f", 64):       {Revision: 7, Tag: strings.Repeat("0f", 64)},
		"0@" + someJournal + ":" + someTag[:2]: {JournalID: someJournal, Tag: someTag[:2]},
	} {
		if got, err := ParsePosition(text); err != nil || got != want {
			t.Errorf("%s: got %+v and %v, want %+v", text, got, err, want)
		}
		if got := FormatPosition(want); got != text {
			t.Errorf("%+v: got %s, want %s", want, got, text)
		}
	}
}

func TestTextThatIsNoPosition(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "x", "-1", "+7", "07", "7 ", "7.0", "18446744073709551616", "7@", "7@:", "@" + someJournal, "7:" + someTag,
		"7@" + someJournal[1:], "7@" + someJournal + "0", "7@" + strings.ToUpper(someJournal), "7@" + someJournal + ":",
		"7@" + someJournal + ":" + someTag[1:], "7@" + someJournal + ":" + strings.ToUpper(someTag), "7@" + someJournal + ":xy",
		"7@" + someJournal + ":" + someTag + ":" + someTag, "7@" + someJournal + "@" + someTag, "7@:" + strings.Repeat("0f", 65),
	} {
		if got, err := ParsePosition(text); err == nil || got != (Position{}) {
			t.Errorf("%q: got %+v and %v, want an error", text, got, err)
		}
	}
}

// A position goes back to the server as it came, and a tag that nobody handed out goes there to be refused.
func TestTagGoesBackAsItCame(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"", "\x00", "\x9f\x86\xd0\x81\x88\x4c\x7d\x65", strings.Repeat("\xff", 64)} {
		p := fromPosition(&dncv1.Position{Revision: 7, Tag: []byte(tag)})
		if got := string(p.tagBytes()); got != tag {
			t.Errorf("got %x of %x", got, tag)
		}
		o := callOptions{atLeast: p}
		if got := string(o.readAt().GetAtLeast().GetTag()); got != tag {
			t.Errorf("AtLeast sends %x of %x", got, tag)
		}
	}
	p := Position{Tag: "no tag"}
	if got := string(p.tagBytes()); got != "no tag" {
		t.Errorf("got %q", got)
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("7@" + someJournal + ":" + someTag)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePosition(text)
		if err == nil && FormatPosition(p) != text {
			t.Errorf("%q is read as %+v, which is written as %q", text, p, FormatPosition(p))
		}
	})
}
