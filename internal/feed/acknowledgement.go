package feed

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Stage says how far a subscriber has come with the changes up to a checkpoint. Stages are cumulative: what is applied is durable, and
// what is durable was received.
type Stage uint8

// The stages. The zero Stage is none.
const (
	_        Stage = iota
	Received       // they have arrived
	Durable        // they survive a crash of the subscriber
	Applied        // its dialers see them
)

var stageNames = [...]string{Received: "received", Durable: "durable", Applied: "applied"}

// StageNames are the texts of the stages, in order.
func StageNames() []string { return append([]string(nil), stageNames[Received:]...) }

// String is the text of the stage.
func (s Stage) String() string {
	if s == 0 || int(s) >= len(stageNames) {
		return "none"
	}
	return stageNames[s]
}

// Includes reports whether who has reached s has reached t.
func (s Stage) Includes(t Stage) bool { return s >= t && t > 0 && int(s) < len(stageNames) }

// ParseStage reads what String writes.
func ParseStage(s string) (Stage, error) {
	for stage := Received; int(stage) < len(stageNames); stage++ {
		if stageNames[stage] == s {
			return stage, nil
		}
	}
	return 0, malformed("a stage is received, durable or applied")
}

// Acknowledgement is a subscriber's receipt for the changes up to a checkpoint. It says what was reached, and not that nobody
// was called.
type Acknowledgement struct {
	Checkpoint Checkpoint
	Stage      Stage
	Signed     time.Time // by the signer's clock
	Outcomes   Hash      // of a file that the subscriber keeps: what became of each change; zero: none
	Digest     Digest    // of the rows that it holds at the checkpoint; zero: none
}

// Text is the text that is signed: the lines of the checkpoint, and then its own.
func (a Acknowledgement) Text() string { return string(a.append(nil)) }

func (a Acknowledgement) append(b []byte) []byte {
	b = append(append(a.Checkpoint.append(b), "stage "...), a.Stage.String()...)
	b = appendTime(append(b, "\nsigned "...), a.Signed)
	b = a.Outcomes.append(append(b, "\noutcomes "...))
	if !a.Digest.IsZero() {
		b = strconv.AppendUint(append(b, "\ndigest "...), a.Digest.Count, 10)
		b = a.Digest.SHA256.append(append(b, ' '))
	}
	return append(b, '\n')
}

// Sign returns the acknowledgement as a note that the subscriber's key signed. What ParseAcknowledgement would not read is not
// signed.
func (a Acknowledgement) Sign(key note.Signer) ([]byte, error) {
	text := a.Text()
	if _, err := ParseAcknowledgement(text); err != nil {
		return nil, err
	}
	return sign(text, key)
}

// ParseAcknowledgement reads what Text writes.
func ParseAcknowledgement(text string) (Acknowledgement, error) {
	f := splitNote(text)
	a := Acknowledgement{
		Checkpoint: takeCheckpoint(f),
		Stage:      value(f, f.after("stage"), ParseStage),
		Signed:     value(f, f.after("signed"), parseTime),
		Outcomes:   value(f, f.after("outcomes"), ParseHash),
	}
	if len(f.next) > 0 {
		a.Digest = takeDigest(f)
	}
	if a.Signed.IsZero() {
		f.fail(malformed("an acknowledgement has the time at which it was signed"))
	}
	if err := f.end(); err != nil {
		return Acknowledgement{}, fmt.Errorf("acknowledgement: %w", err)
	}
	if err := again(a.append(nil), text); err != nil {
		return Acknowledgement{}, fmt.Errorf("acknowledgement: %w", err)
	}
	return a, nil
}

func takeDigest(f *fields) Digest {
	count, sum, _ := strings.Cut(f.after("digest"), " ")
	d := Digest{value(f, count, parseUint), value(f, sum, ParseHash)}
	if d.SHA256.IsZero() {
		f.fail(malformed("a digest is a count and a hash"))
	}
	return d
}

// OpenAcknowledgement reads an acknowledgement that one of the keys has signed. Give it the keys of one subscriber: whether it
// is of that subscriber and of a checkpoint that was given to it, Check says.
func OpenAcknowledgement(msg []byte, keys ...PublicKey) (Acknowledgement, Signature, error) {
	text, signature, err := openNote(msg, MaxNote, keys)
	if err != nil {
		return Acknowledgement{}, signature, fmt.Errorf("acknowledgement: %w", err)
	}
	a, err := ParseAcknowledgement(text)
	return a, signature, err
}

// Check returns nil if a acknowledges exactly this checkpoint at this stage, else a MismatchError.
func (a Acknowledgement) Check(want Checkpoint, stage Stage) error {
	if err := a.Checkpoint.Same(want); err != nil {
		return fmt.Errorf("acknowledgement: %w", err)
	}
	if a.Stage != stage {
		return fmt.Errorf("acknowledgement: %w", &MismatchError{"stage", a.Stage.String(), stage.String()})
	}
	return nil
}

// ReadAcknowledgement reads an acknowledgement without verifying its signature, and says whose it is said to be.
func ReadAcknowledgement(msg []byte) (Acknowledgement, Signature, error) {
	text, signature, err := readNote(msg, MaxNote)
	if err != nil {
		return Acknowledgement{}, signature, fmt.Errorf("acknowledgement: %w", err)
	}
	a, err := ParseAcknowledgement(text)
	return a, signature, err
}
