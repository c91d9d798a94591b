package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dncd/dncd/internal/phone"
	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/internal/policydoc"
	storev1 "github.com/dncd/dncd/internal/proto/store/v1"
	"github.com/dncd/dncd/store/internal/keys"
)

const (
	consentInFrance = "format: 1\ndefault: allow\ncountries:\n  FR:\n    consent: {required: true, counts: [{kind: permission}], source: the law}\n"
	nothingInFrance = "format: 1\ndefault: allow\ncountries:\n  FR:\n    consent: {required: false}\n"
	wholeBrand      = "format: 1\ndefault: allow\ncountries:\n  FR:\n    opt_outs: {reach: brand}\n"
	everyone        = "format: 1\ndefault: allow\ncountries:\n  FR:\n    opt_outs: {reach: everyone}\n"
	ofLaterFormat   = "format: 2\ndefault: allow\n"
)

const (
	inFrance phone.Number = 33_1_99_00_12_34
	inLondon phone.Number = 44_20_7946_0123
)

func setPolicy(t *testing.T, s *Store, document string) PolicyWrite {
	t.Helper()
	w, err := s.SetPolicy(context.Background(), PolicyChange{Document: []byte(document)}, Request{Confirmed: true})
	must(t, err)
	return w
}

// verdictAt is what a view answers for a number.
func verdictAt(v *View, n phone.Number, scope policy.Scope) policy.Verdict {
	f := policy.Facts{Scope: scope}
	v.Lookup(n, &f)
	return policy.Decide(&f, v.Policy(), v.Now()).Verdict
}

func wantVerdictAt(t *testing.T, what string, v *View, n phone.Number, scope policy.Scope, want policy.Verdict) {
	t.Helper()
	if got := verdictAt(v, n, scope); got != want {
		t.Errorf("%s: verdict %d, want %d", what, got, want)
	}
}

func TestPolicyDecidesFromItsRevisionOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if p := s.View().PolicyInForce(); s.View().Policy() != nil || p.Version != "" || string(p.Document) != string(policydoc.Empty().Write()) {
		t.Fatalf("a fresh store has %+v", p)
	}
	w := setPolicy(t, s, consentInFrance)
	sha := sha256.Sum256([]byte(consentInFrance))
	if w.ID.Revision != 1 || w.Policy.Version != policyVersion(w.ID, sha[:]) || !strings.HasPrefix(w.Policy.Version, "1-") || w.Base != "" || len(w.Changes) != 3 || len(w.Loosened) != 0 {
		t.Errorf("wrote %+v", w)
	}
	setPolicy(t, s, nothingInFrance)
	for range 2 {
		v := s.View()
		wantVerdictAt(t, "now", v, inFrance, "acme", policy.Allow)
		for revision, want := range map[uint64]policy.Verdict{0: policy.Allow, 1: policy.Block, 2: policy.Allow} {
			past, err := s.ViewAt(revision)
			must(t, err)
			wantVerdictAt(t, "past", past, inFrance, "acme", want)
			wantVerdictAt(t, "past", past, inLondon, "acme", policy.Allow)
			if (past.PolicyVersion() == "") != (revision == 0) {
				t.Errorf("revision %d: version %q", revision, past.PolicyVersion())
			}
		}
		one, err := s.ViewAt(1)
		must(t, err)
		if again, err := s.ViewAt(1); err != nil || again.Policy() != one.Policy() {
			t.Errorf("%v: the policy of a revision is compiled twice", err)
		}
		log, err := v.Policies(policy.EventID{}, 10)
		must(t, err)
		if len(log) != 2 || log[0].Version != v.PolicyVersion() || log[1].Version != w.Policy.Version {
			t.Errorf("log %+v", log)
		}
		if before, err := v.Policies(log[0].ID, 1); err != nil || len(before) != 1 || before[0].Version != w.Policy.Version {
			t.Errorf("before the newest: %+v, %v", before, err)
		}
		if v.s == s && len(s.policies.made) > 4 {
			t.Errorf("%d policies kept", len(s.policies.made))
		}
		closeStore(t, s)
		s = open(t, dir)
	}
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %v", r.Problems)
	}
}

func TestSetPolicyRefuses(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ctx := context.Background()
	set := func(c PolicyChange, r Request) (PolicyWrite, error) { return s.SetPolicy(ctx, c, r) }
	first, err := set(PolicyChange{Document: []byte(consentInFrance), From: true}, Request{ID: "a"})
	must(t, err)
	if again, err := set(PolicyChange{Document: []byte(consentInFrance), From: true, Expected: first.Policy.Version}, Request{}); err != nil || !again.Unchanged || again.ID.Revision != 0 {
		t.Errorf("the same document: %+v, %v", again, err)
	}
	if _, err := set(PolicyChange{Document: []byte(nothingInFrance), From: true}, Request{Confirmed: true}); !errors.Is(err, ErrPolicyMoved) || !strings.Contains(err.Error(), first.Policy.Version) {
		t.Errorf("made from another: %v", err)
	}
	if _, err := set(PolicyChange{Document: []byte("format: 1\ndefault: maybe\n")}, Request{}); !errors.Is(err, ErrPolicyInvalid) || !strings.Contains(err.Error(), "line 2, column 10") {
		t.Errorf("an invalid one: %v", err)
	}
	if _, err := set(PolicyChange{Document: []byte(nothingInFrance)}, Request{}); !errors.Is(err, ErrUnconfirmed) || !strings.Contains(err.Error(), "FR: consent: no consent is required any more") {
		t.Errorf("a looser one: %v", err)
	}
	dry, err := set(PolicyChange{Document: []byte(nothingInFrance), DryRun: true}, Request{})
	if err != nil || len(dry.Changes) != 1 || len(dry.Loosened) != 1 || dry.Base != first.Policy.Version || dry.ID.Revision != 0 {
		t.Errorf("a dry run: %+v, %v", dry, err)
	}
	if got := s.View(); got.Revision() != 1 || got.PolicyVersion() != first.Policy.Version {
		t.Errorf("revision %d by policy %s: something was written", got.Revision(), got.PolicyVersion())
	}
	again, found, err := s.RepeatedPolicyWrite(Request{ID: "a"})
	if err == nil {
		t.Errorf("a repeat of something else: %+v, %v", again, found)
	}
	retry, err := set(PolicyChange{Document: []byte(consentInFrance)}, Request{ID: "b", Asked: []byte("asked"), Confirmed: true})
	must(t, err)
	if !retry.Unchanged {
		t.Errorf("retry: %+v", retry)
	}
	looser, err := set(PolicyChange{Document: []byte(nothingInFrance)}, Request{ID: "c", Asked: []byte("asked"), Confirmed: true})
	must(t, err)
	setPolicy(t, s, consentInFrance)
	repeat, found, err := s.RepeatedPolicyWrite(Request{ID: "c", Asked: []byte("asked")})
	if err != nil || !found || !repeat.Duplicate || repeat.ID != looser.ID || repeat.Policy.Version != looser.Policy.Version || len(repeat.Loosened) != 1 {
		t.Errorf("repeat: %+v, %v, %v", repeat, found, err)
	}
}

// Two that were made from the same policy: the second is not lost, nor does it undo the first unseen.
func TestSetPolicyAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	release := holdCommitter(t, s)
	event := func(document string) *storev1.Event {
		_, set, err := comparePolicy(s.View().PolicyInForce(), []byte(document))
		must(t, err)
		return &storev1.Event{Change: &storev1.Event_PolicySet{PolicySet: set}}
	}
	first, second := queued(t, s, event(consentInFrance), Request{}), queued(t, s, event(nothingInFrance), Request{})
	release()
	if a := <-first.replies; a.err != nil {
		t.Error(a.err)
	}
	if a := <-second.replies; a.err == nil || string(s.View().PolicyInForce().Document) != consentInFrance {
		t.Errorf("got %v, and in force is %s", a.err, s.View().PolicyInForce().Document)
	}
}

// By a policy that this version cannot read no call is permitted. Writes go on.
func TestUnreadablePolicyPermitsNoCall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	setPolicy(t, s, nothingInFrance)
	sha := sha256.Sum256([]byte(ofLaterFormat))
	set := &storev1.PolicySet{Document: []byte(ofLaterFormat), Sha256: sha[:], Base: &storev1.EventRef{Revision: 1}}
	_, err := s.record(context.Background(), &storev1.Event{Change: &storev1.Event_PolicySet{PolicySet: set}}, Request{})
	must(t, err)
	for range 2 {
		v := s.View()
		if v.PolicyInForce().Readable() || s.State().Cause != nil {
			t.Errorf("in force %+v, state %v", v.PolicyInForce(), s.State().Cause)
		}
		wantUnread(t, v, policy.PolicyUnreadable)
		past, err := s.ViewAt(1)
		must(t, err)
		wantVerdictAt(t, "before it", past, inFrance, "acme", policy.Allow)
		_, err = s.RecordOptOut(context.Background(), OptOut{Number: inLondon + 1, Scope: "acme"}, Request{})
		must(t, err)
		wantVerdictAt(t, "opted out", s.View(), inLondon+1, "acme", policy.Block)
		closeStore(t, s)
		s = open(t, dir)
	}
	// Whatever replaces it has to be confirmed.
	if _, err := s.SetPolicy(context.Background(), PolicyChange{Document: []byte(consentInFrance)}, Request{}); !errors.Is(err, ErrUnconfirmed) {
		t.Errorf("replaced without a word: %v", err)
	}
	setPolicy(t, s, consentInFrance)
	wantVerdictAt(t, "replaced", s.View(), inFrance, "acme", policy.Block)
}

// wantUnread wants doubt about numbers that nothing is recorded of, also of many, because the policy cannot be read.
func wantUnread(t *testing.T, v *View, want policy.Cause) {
	t.Helper()
	isUnread := func(r policy.Reason) bool {
		return r.Kind == policy.PolicyUnread && r.Cause == policy.PolicyUnreadable
	}
	for _, scope := range []policy.Scope{"", "acme"} {
		var many Findings
		v.LookupMany([]phone.Number{inFrance, inLondon}, Call{Scope: scope}, &many)
		for i, n := range []phone.Number{inFrance, inLondon} {
			alone := policy.Facts{Scope: scope}
			v.Lookup(n, &alone)
			for what, f := range map[string]*policy.Facts{"alone": &alone, "of many": &many.Facts[many.At[i]]} {
				d := policy.Decide(f, v.Policy(), v.Now())
				if d.Verdict != policy.Unknown || d.Cause != want || !slices.ContainsFunc(d.Reasons, isUnread) {
					t.Errorf("number %d at %q, %s: got %+v, want Unknown, cause %d", i, scope, what, d, want)
				}
			}
		}
	}
}

// A policy that damage hides is not none: what no opt-out and no list blocks is doubt that names it.
func TestDamagedPolicyPermitsNoCall(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	w := setPolicy(t, s, nothingInFrance)
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: inLondon + 1, Scope: "acme"}, Request{})
	must(t, err)
	wantVerdictAt(t, "before", s.View(), inFrance, "acme", policy.Allow)
	putState(t, s, keys.Policy(w.ID), []byte("damaged"))
	mustPutDesk(t, s, "later")
	if _, err := s.ViewAt(s.View().Revision() - 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("in the past: %v, want ErrDamaged", err)
	}
	closeStore(t, s)
	s = open(t, dir)
	v := s.View()
	if !errors.Is(s.State().Cause, ErrDamaged) {
		t.Errorf("state %v, want ErrDamaged", s.State().Cause)
	}
	wantUnread(t, v, policy.DataDamaged)
	wantVerdictAt(t, "opted out", v, inLondon+1, "acme", policy.Block)
	if p, err := v.PolicyToShow(); !errors.Is(err, ErrDamaged) || p.Readable() {
		t.Errorf("to show: %+v, %v; want ErrDamaged", p, err)
	}
	_, err = s.SetPolicy(context.Background(), PolicyChange{Document: []byte(consentInFrance), DryRun: true}, Request{})
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("compared with another one: %v, want ErrDamaged", err)
	}
}

func scopesOfAll(t *testing.T, v *View) map[string][]policy.Scope {
	t.Helper()
	all := map[string][]policy.Scope{}
	for _, s := range v.Subscribers().All() {
		all[s.Name] = s.Filter.Scopes
	}
	return all
}

// What opt-outs reach is what bases are told: filters become as wide, in the same revision, and stay so.
func TestWiderReachWidensFilters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	parent := mustPut(t, s, "parent", atScopes("acme/energy", "acme/telecom", "other"))
	mustPut(t, s, "child", func(set *SubscriberSettings) {
		set.Filter.Scopes, set.Parent = []policy.Scope{"acme/energy/winter"}, parent.ID
	})
	mustPut(t, s, "brand", atScopes("acme"))
	mustPut(t, s, "all", nothing)
	mustPut(t, s, "gone", atScopes("acme/energy"))
	mustRemove(t, s, "gone")
	before := s.View()
	_, err := s.RecordOptOut(context.Background(), OptOut{Number: inFrance, Scope: "acme/telecom"}, Request{})
	must(t, err)
	wantVerdictAt(t, "at its scope alone", s.View(), inFrance, "acme/energy", policy.Allow)
	w := setPolicy(t, s, wholeBrand)
	wantVerdictAt(t, "in the whole brand", s.View(), inFrance, "acme/energy", policy.Block)
	want := map[string][]policy.Scope{"parent": {"acme", "other"}, "child": {"acme"}, "brand": {"acme"}, "all": nil}
	if diff := cmp.Diff(want, scopesOfAll(t, s.View())); diff != "" {
		t.Errorf("whole brand (-want +got):\n%s", diff)
	}
	for _, sub := range s.View().Subscribers().All() {
		widened := sub.Name == "parent" || sub.Name == "child"
		old := before.Subscribers().Named(sub.Name)
		if got := sub.Epoch == w.ID.Revision; got != widened || !widened && sub.Epoch != old.Epoch {
			t.Errorf("%s: epoch %d, was %d", sub.Name, sub.Epoch, old.Epoch)
		}
	}
	_, err = putSub(s, "child", atScopes("acme/energy"))
	if !errors.Is(err, ErrSubscriberInvalid) || !strings.Contains(err.Error(), "name whole brands as scopes") {
		t.Errorf("a filter that is too narrow: %v", err)
	}
	mustPut(t, s, "child", atScopes("acme"))
	setPolicy(t, s, everyone)
	if diff := cmp.Diff(map[string][]policy.Scope{"parent": nil, "child": nil, "brand": nil, "all": nil}, scopesOfAll(t, s.View())); diff != "" {
		t.Errorf("everyone (-want +got):\n%s", diff)
	}
	if _, err = putSub(s, "child", atScopes("acme")); !errors.Is(err, ErrSubscriberInvalid) || !strings.Contains(err.Error(), "name no scope") {
		t.Errorf("a filter that is too narrow: %v", err)
	}
	setPolicy(t, s, nothingInFrance)
	mustPut(t, s, "child", atScopes("acme/energy"))
	all := mustAll(t, s)
	closeStore(t, s)
	if r := mustFsck(t, dir); !r.OK() {
		t.Errorf("fsck: %v", r.Problems)
	}
	s = open(t, dir)
	if diff := cmp.Diff(all, mustAll(t, s), ignoreVerifiers); diff != "" {
		t.Errorf("opened again (-want +got):\n%s", diff)
	}
}

// A policy is as it was after a kill and a repair, and fsck holds it against the journal.
func TestPolicyOutlivesTrouble(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	setPolicy(t, s, nothingInFrance)
	w := setPolicy(t, s, consentInFrance)
	killed := copyOf(t, dir)
	closeStore(t, s)
	harmed, lacking := copyOf(t, dir), copyOf(t, dir)
	must(t, os.Remove(filepath.Join(harmed, "badger", "MANIFEST")))
	l := open(t, lacking)
	putState(t, l, keys.Policy(w.ID), nil)
	closeStore(t, l)
	if r := mustFsck(t, lacking); !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, "1 policies of the journal are missing") }) {
		t.Errorf("fsck finds %v, and not that a policy is missing", r.Problems)
	}
	for _, dir := range []string{harmed, lacking} {
		r, err := Repair(context.Background(), dir, false, testOptions())
		must(t, err)
		if r.DoubtfulPolicy {
			t.Error("nothing is lost, and the policy in doubt")
		}
	}
	for name, dir := range map[string]string{"killed": killed, "repaired": harmed, "missing, repaired": lacking} {
		s := open(t, dir)
		if got := s.View().PolicyInForce(); got.Version != w.Policy.Version || s.State().Cause != nil {
			t.Errorf("%s: in force %+v, state %v", name, got, s.State().Cause)
		}
		closeStore(t, s)
		if r := mustFsck(t, dir); !r.OK() {
			t.Errorf("%s: fsck: %v", name, r.Problems)
		}
	}
}

// A policy whose revision is lost is still in force after the loss was accepted, and the report says that another may have been.
func TestPolicyOfALostRevisionStaysInForce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	setPolicy(t, s, nothingInFrance)
	mustPut(t, s, "base", atScopes("acme/energy"))
	closeStore(t, s)
	s = open(t, dir)
	setPolicy(t, s, wholeBrand)
	mustPutDesk(t, s, "later")
	d := damagedStore{dir: copyOf(t, dir)}
	damageRevision(t, s, d.file(t, "badger/*.mem"), 3)
	r, err := Repair(context.Background(), d.dir, true, testOptions())
	must(t, err)
	if !r.DoubtfulPolicy {
		t.Error("the policy is not in doubt")
	}
	if r := mustFsck(t, d.dir); !r.OK() {
		t.Errorf("after it: %v", r.Problems)
	}
	s = open(t, d.dir)
	if got := s.View().PolicyInForce(); string(got.Document) != wholeBrand {
		t.Errorf("in force is %s", got.Document)
	}
	if got := scopesOfAll(t, s.View()); !slices.Equal(got["base"], []policy.Scope{"acme"}) {
		t.Errorf("filters %v: the base would miss opt-outs of its brand", got)
	}
}

// Answers under a policy cost no allocation for its version.
func TestPolicyVersionIsMadeOnce(t *testing.T) {
	s := open(t, t.TempDir())
	setPolicy(t, s, consentInFrance)
	v := s.View()
	if n := testing.AllocsPerRun(100, func() { _, _ = v.PolicyVersion(), v.Policy() }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if v.Policy().Version != v.PolicyVersion() || v.PolicyInForce().Time.After(time.Now().Add(time.Hour)) {
		t.Errorf("%+v", v.PolicyInForce())
	}
}
