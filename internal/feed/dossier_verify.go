package feed

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Verify holds what a dossier says against its own proofs and against what the subscribers signed with these keys. Each finding is a
// sentence; none: what is proven is true. The signature on the dossier itself is OpenDossier's.
func (d *Dossier) Verify(keys []PublicKey) (findings []string) {
	for i := range d.Subscribers {
		sub := &d.Subscribers[i]
		for j := range sub.Items {
			v := itemVerifier{dossier: d, sub: sub, item: &sub.Items[j], keys: keys}
			v.verify()
			findings = append(findings, v.findings...)
		}
	}
	return findings
}

// Signatures are those of the notes of a subscriber that can be read.
func (s *DossierSubscriber) Signatures() (all []Signature) {
	for _, item := range s.Items {
		for _, stage := range item.Stages {
			if _, by, err := ReadAcknowledgement([]byte(stage.Note)); stage.Signed && err == nil {
				all = append(all, by)
			}
		}
	}
	return all
}

// Checkpoints are those that subscribers signed, of the notes that can be read. A nil Dossier has none.
func (d *Dossier) Checkpoints() (all []Checkpoint) {
	if d == nil {
		return nil
	}
	for _, sub := range d.Subscribers {
		for _, item := range sub.Items {
			for _, stage := range item.Stages {
				if a, _, err := ReadAcknowledgement([]byte(stage.Note)); stage.Signed && err == nil {
					all = append(all, a.Checkpoint)
				}
			}
		}
	}
	return all
}

// itemVerifier verifies what a dossier says of one event and one subscriber.
type itemVerifier struct {
	dossier  *Dossier
	sub      *DossierSubscriber
	item     *DossierItem
	keys     []PublicKey
	findings []string
}

func (v *itemVerifier) find(format string, args ...any) {
	v.findings = append(v.findings, fmt.Sprintf("%s, event %s: ", v.sub.Name, v.item.Event)+fmt.Sprintf(format, args...))
}

func (v *itemVerifier) verify() {
	event, err := ParseEventID(v.item.Event)
	if err != nil {
		v.find("%v", err)
		return
	}
	for i := range v.item.Stages {
		stage := &v.item.Stages[i]
		if stage.AcknowledgedAt == nil {
			continue
		}
		if stage.Revision < event.Revision {
			v.find("%s was acknowledged up to revision %d, which is before the event", lowered(stage.Stage), stage.Revision)
		}
		if stage.Signed {
			v.note(stage)
		}
	}
	if v.item.Proof != nil {
		v.change(event)
		v.leads()
	}
}

// note verifies what the subscriber signed, and that it says what the dossier says.
func (v *itemVerifier) note(stage *DossierStage) {
	a, by, err := OpenAcknowledgement([]byte(stage.Note), v.keys...)
	if err != nil {
		v.find("%s: %v", lowered(stage.Stage), err)
		return
	}
	v.signer(stage, by)
	v.times(stage, a)
	want, err := ParseStage(lowered(stage.Stage))
	if err != nil || !a.Stage.Includes(want) {
		v.find("%s: what it signed says %s", lowered(stage.Stage), a.Stage)
	}
	c := a.Checkpoint
	for _, said := range []struct{ what, got, want string }{
		{"subscriber", FormatEventID(c.Subscriber), v.sub.ID},
		{"epoch", decimal(c.Epoch), decimal(stage.Epoch)},
		{"position", decimal(c.Revision), decimal(stage.Revision)},
		{"number of changes", decimal(c.Changes), decimal(stage.Changes)},
		{"hash", c.Hash.String(), stage.Hash.String()},
	} {
		if said.got != said.want {
			v.find("%s: what it signed is of another %s: %s, and the dossier says %s", lowered(stage.Stage), said.what, said.got, said.want)
		}
	}
}

// signer verifies that the key which the dossier names signed, and that it is not the server's: what the server signs in the name of
// a base proves nothing.
func (v *itemVerifier) signer(stage *DossierStage, by Signature) {
	key, _ := by.By(v.keys)
	isServers := func(k PublicKey) bool { return k.Fingerprint() == key.Fingerprint() }
	switch {
	case !by.isOf(stage.Key):
		v.find("%s: it was signed by %s, and the dossier names another key", lowered(stage.Stage), by)
	case slices.ContainsFunc(v.dossier.serverKeys(), isServers):
		v.find("%s: it was signed by a key of the server, not by one of the base", lowered(stage.Stage))
	}
}

// serverKeys are the key that signs the dossier, and those that it has replaced.
func (d *Dossier) serverKeys() (keys []PublicKey) {
	if key, err := ParsePublicKey(d.ServerKey); err == nil {
		keys = append(keys, key)
	}
	for _, note := range d.KeyRotations {
		if r, err := OpenRotation([]byte(note)); err == nil {
			keys = append(keys, r.Old, r.New)
		}
	}
	return keys
}

// maxClockError is how far the clock of a base may be ahead of the server's.
const maxClockError = 24 * time.Hour

// times verifies that the dossier dates the acknowledgement no earlier than it can be, by the time of the position that it is of and by
// the clock of the base.
func (v *itemVerifier) times(stage *DossierStage, a Acknowledgement) {
	isEvent := func(e DossierEvent) bool { return e.ID == v.item.Event && e.RecordedAt.After(a.Checkpoint.Time) }
	if stage.AcknowledgedAt.Before(a.Checkpoint.Time) || slices.ContainsFunc(v.dossier.Events, isEvent) {
		v.find("%s: what it signed is of a position of %s, and the dossier says another time", lowered(stage.Stage), a.Checkpoint.Time.Format(time.RFC3339))
	}
	if a.Signed.Sub(*stage.AcknowledgedAt) > maxClockError {
		v.find("%s: by the clock of the base it was signed %s, more than a day after the dossier says that it was recorded", lowered(stage.Stage), a.Signed.Format(time.RFC3339))
	}
}

// change verifies that the change of the proof is the event.
func (v *itemVerifier) change(event EventID) {
	c, err := ParseChange(v.item.Proof.Change)
	if err != nil {
		v.find("its proof: %v", err)
		return
	}
	if c.Kind != Set && c.Kind != Remove {
		isOf := func(l DossierList) bool { return l.Event == v.item.Event && l.ID == FormatEventID(c.List) }
		if c.ID.Revision != event.Revision || c.Kind != ListSet || !slices.ContainsFunc(v.dossier.Lists, isOf) {
			v.find("its proof is of another change")
		}
		return
	}
	kinds := map[Kind][]string{Set: {"OPT_OUT_RECORDED", "OPT_OUT_RESPELLED"}, Remove: {"OPT_OUT_WITHDRAWN"}}
	is := func(e DossierEvent) bool {
		return e.ID == v.item.Event && slices.Contains(kinds[c.Kind], e.Kind) && e.Scope == string(c.Scope)
	}
	present, _ := c.Number.Present()
	if c.ID != event || present.E164() != v.dossier.Number || !slices.ContainsFunc(v.dossier.Events, is) {
		v.find("its proof is of another change")
	}
}

// leads verifies that the change leads to each hash that was acknowledged and that the proof reaches.
func (v *itemVerifier) leads() {
	p, reached := v.item.Proof, false
	for i := range v.item.Stages {
		stage := &v.item.Stages[i]
		if stage.AcknowledgedAt == nil || stage.Epoch != p.Epoch {
			continue
		}
		h, ok := p.At(stage.Changes)
		switch {
		case !ok && stage.Changes < p.Changes:
			v.find("%s was acknowledged with %d changes, and the event is the change %d", lowered(stage.Stage), stage.Changes, p.Changes)
		case ok && h != stage.Hash:
			v.find("%s: its proof does not lead to the hash that was acknowledged", lowered(stage.Stage))
		}
		reached = reached || ok
	}
	if !reached {
		v.find("its proof leads to nothing that was acknowledged")
	}
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

func lowered(stage string) string {
	for s := Received; int(s) < len(stageNames); s++ {
		if StageName(s) == stage {
			return s.String()
		}
	}
	return "an unknown stage"
}

// StageName is a stage as a dossier writes it.
func StageName(s Stage) string { return [...]string{"NONE", "RECEIVED", "DURABLE", "APPLIED"}[s] }

// Witness remembers checkpoints from several files, and finds those that contradict each other.
type Witness struct{ seen []witnessed }

type witnessed struct {
	source string
	Checkpoint
}

// Add remembers a checkpoint, and returns what it contradicts. A log has one hash after n changes, it never has fewer
// changes at a later position, and a revision has one tag.
func (w *Witness) Add(source string, c Checkpoint) (findings []string) {
	for _, o := range w.seen {
		if o.source == source && o.Checkpoint == c {
			return nil
		}
		if o.Journal != c.Journal {
			continue
		}
		if why := contradiction(o.Checkpoint, c); why != "" {
			findings = append(findings, fmt.Sprintf("%s and %s contradict each other: %s", o.source, source, why))
		}
	}
	w.seen = append(w.seen, witnessed{source, c})
	return findings
}

// contradiction says why two checkpoints of one journal cannot both be true; empty: they can.
func contradiction(a, b Checkpoint) string {
	if a.Revision > b.Revision {
		a, b = b, a
	}
	switch {
	case a.Revision == b.Revision && a.Tag != b.Tag:
		return fmt.Sprintf("revision %d is of two histories", a.Revision)
	case a.Subscriber != b.Subscriber || a.Epoch != b.Epoch:
		return ""
	case a.Filter != b.Filter:
		return "one epoch has two filters"
	case a.Changes == b.Changes && a.Hash != b.Hash:
		return fmt.Sprintf("%d changes lead to two hashes", a.Changes)
	case a.Changes > b.Changes, a.Revision == b.Revision && a.Changes != b.Changes:
		return fmt.Sprintf("%d changes at revision %d, and %d at %d", a.Changes, a.Revision, b.Changes, b.Revision)
	}
	return ""
}
