package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

// dossierPart is a part of a dossier for people. Ages are as of the moment at which the server made it.
type dossierPart struct {
	Title string
	Lines []string
}

func dossierTitle(d *feed.Dossier) string {
	within := ""
	if len(d.Within) > 0 {
		within = ", within " + strings.Join(d.Within, ", ")
	}
	return fmt.Sprintf("Dossier of %s, made %s at revision %d of journal %s%s", d.Number, stamp(d.MadeAt), d.Revision, d.JournalID, within)
}

func dossierParts(d *feed.Dossier) []dossierPart {
	return []dossierPart{
		{"What came in, and when it was stored", orNothing(dossierEvents(d), "no objection up to this revision")},
		{"Lists that hold the number", orNothing(dossierLists(d), "none")},
		{"Lists that held it earlier", orNothing(dossierFormerLists(d), "none")},
		{"Whether it may be called", dossierVerdicts(d)},
		{"Who knew, and when", orNothing(dossierSubscribers(d), "it concerns no calling base")},
		{"How long it is kept", dossierKept(d)},
	}
}

func orNothing(lines []string, nothing string) []string {
	if len(lines) == 0 {
		return []string{nothing}
	}
	return lines
}

// whatHappened names the kinds of events.
var whatHappened = map[string]string{
	"OPT_OUT_RECORDED": "objection", "OPT_OUT_WITHDRAWN": "withdrawal",
	"OPT_OUT_RESPELLED": "no new objection: an earlier one, stored under the digits that the number has now",
	"CONSENT_RECORDED":  "consent", "CONSENT_WITHDRAWN": "withdrawal of consents", "CONSENT_USED": "a call relied on a consent",
}

func dossierEvents(d *feed.Dossier) (lines []string) {
	for _, e := range d.Events {
		what := whatHappened[e.Kind]
		facts := []string{lower(client.ConsentKind(e.ConsentKind)), by(client.Channel(e.Channel)), received(e.ReceivedAt), until(timeOf(e.ExpiresAt))}
		if e.Desk != nil {
			facts = append(facts, fmt.Sprintf("registered desk %s, %s", e.Desk.Name, e.Desk.ID))
		}
		if len(e.Ended) > 0 {
			facts = append(facts, "ended "+strings.Join(e.Ended, ", "))
		}
		story := storyText(client.Story{
			State: client.StoryState(e.Story.State), Desk: e.Story.Desk, Evidence: e.Story.Evidence, Note: e.Story.Note, Reason: e.Story.Reason, RecordedBy: e.Story.RecordedBy,
		})
		lines = append(lines, fmt.Sprintf("%s  stored %s  %s for %s%s%s", e.ID, stamp(e.RecordedAt), what, forWhom(e.Scope), note(facts...), story))
	}
	return lines
}

func received(t *time.Time) string {
	if t == nil {
		return ""
	}
	return "received " + stamp(*t)
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func dossierLists(d *feed.Dossier) (lines []string) {
	for _, l := range d.Lists {
		since := "since " + stamp(timeOf(l.Since))
		if !l.SinceKnown {
			since = "at least " + since
		}
		lines = append(lines, fmt.Sprintf("%s  %s%s", l.Name, since, note(lower(l.Kind), dated("snapshot", l.SnapshotDate), "for "+forWhom(l.Scope))))
	}
	return lines
}

func dossierFormerLists(d *feed.Dossier) (lines []string) {
	for _, l := range d.FormerLists {
		since, until := "since "+stamp(timeOf(l.Since)), "until "+stamp(timeOf(l.Until))
		if !l.SinceKnown {
			since = "at least " + since
		}
		switch {
		case l.Until == nil:
			until = "until a time that is not known"
		case !l.UntilKnown:
			until = "at most " + until
		}
		lines = append(lines, fmt.Sprintf("%s  %s, %s%s", l.Name, since, until, note(lower(l.Kind), "for "+forWhom(l.Scope))))
	}
	if !d.FormerListsComplete {
		lines = append(lines, "older contents of lists were not looked into, or could not be read")
	}
	return lines
}

func dossierVerdicts(d *feed.Dossier) (lines []string) {
	for _, v := range d.Verdicts {
		reasons := make([]string, len(v.Reasons))
		for i, r := range v.Reasons {
			kind, rest, _ := strings.Cut(r, " ")
			reasons[i] = strings.TrimSpace(lower(kind) + " " + rest)
		}
		lines = append(lines, fmt.Sprintf("for %s: %s%s", forWhom(v.Scope), v.Verdict, note(lower(v.Cause), strings.Join(reasons, "; "))))
	}
	return lines
}

func dossierSubscribers(d *feed.Dossier) (lines []string) {
	for i := range d.Subscribers {
		sub := &d.Subscribers[i]
		removed := ""
		if sub.RemovedAt != nil {
			removed = "removed " + stamp(*sub.RemovedAt)
		}
		lines = append(lines, sub.Name+note(lower(sub.Kind), sub.Owner, removed))
		for j := range sub.Items {
			lines = append(lines, "  "+dossierItem(d, sub, &sub.Items[j]))
		}
	}
	return lines
}

func dossierItem(d *feed.Dossier, sub *feed.DossierSubscriber, item *feed.DossierItem) string {
	stages := make([]string, len(item.Stages))
	for i := range item.Stages {
		stages[i] = dossierStage(d, sub, item, &item.Stages[i])
	}
	proof := "proven"
	switch {
	case item.Proof == nil:
		proof = "not proven here: " + item.Unproven
	case !slices.ContainsFunc(item.Stages, func(s feed.DossierStage) bool { return s.Signed }):
		proof = "claimed, so not proven"
	}
	return fmt.Sprintf("%s  %s  (%s)", item.Event, strings.Join(stages, "; "), proof)
}

// dossierStage says when a base reached a stage, or for how long it has not.
func dossierStage(d *feed.Dossier, sub *feed.DossierSubscriber, item *feed.DossierItem, stage *feed.DossierStage) string {
	name := lower(stage.Stage)
	if stage.AcknowledgedAt != nil {
		how := "claimed"
		if stage.Signed {
			how = "signed"
		}
		return fmt.Sprintf("%s %s, %s", name, stamp(*stage.AcknowledgedAt), how)
	}
	waits := max(d.MadeAt.Sub(item.Since), 0)
	late := ""
	if waits > time.Duration(sub.Deadline)*time.Second && sub.RemovedAt == nil {
		late = ", late"
	}
	return fmt.Sprintf("%s not yet, since %s%s", name, length(waits), late)
}

func dossierKept(d *feed.Dossier) []string {
	log := "without limit"
	if d.AccessDays > 0 {
		log = count(uint64(d.AccessDays), "day")
	}
	return []string{
		fmt.Sprintf("objections, withdrawals and acknowledgements: %s, from revision %d on", d.KeptFor, d.KeptFrom),
		"who looked at the number: " + log,
	}
}
