package main

import (
	"fmt"
	"slices"

	"github.com/dncd/dncd/internal/feed"
)

// learn takes the rotations of a file before anything is verified, so that the order of files does not matter. What is wrong with
// them is found when the file is verified.
func (v *verifier) learn(content []byte) {
	note, isPage := noteOfPage(content)
	if !isPage {
		note = content
	}
	switch {
	case feed.IsDossier(note):
		if d, _, err := feed.ReadDossier(note); err == nil {
			v.learnRotations(d.KeyRotations)
		}
	case feed.IsRotation(note):
		v.learnRotations(feed.SplitNotes(string(note)))
	}
}

// learnRotations takes those that the old key signed. They count where that key does.
func (v *verifier) learnRotations(notes []string) {
	for _, note := range notes {
		if r, err := feed.OpenRotation([]byte(note)); err == nil {
			v.rotations = append(v.rotations, r)
		}
	}
}

// serverKeys are the keys that may sign for the server with a journal: also those that were replaced, since they signed before. A
// rotation is no word of a base: its acknowledgements need a key that was named.
func (v *verifier) serverKeys(journal string) []feed.PublicKey {
	isOther := func(r feed.Rotation) bool { return r.Journal != journal }
	return feed.Successors(v.keys, slices.DeleteFunc(slices.Clone(v.rotations), isOther))
}

// ofRotations verifies rotations: each is signed, and leads on from a key that counts.
func (v *verifier) ofRotations(notes []string) (findings []string) {
	for _, note := range notes {
		r, err := feed.OpenRotation([]byte(note))
		switch {
		case err != nil:
			findings = append(findings, err.Error())
		case !feed.HoldsKey(v.serverKeys(r.Journal), r.Old):
			findings = append(findings, fmt.Sprintf("rotation: %v: %s is not one of the keys to verify with", feed.ErrUnknown, r.Old.Name()))
		default:
			v.signed(r.Old.NameAndFingerprint())
		}
	}
	return findings
}
