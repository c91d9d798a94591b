package server_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dncd/dncd/internal/access"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// feedsOf returns what a caller gets of a subscriber's feed: the reason of a refusal, or nothing.
func feedsOf(ctx context.Context, t *testing.T, d *door, name string) (get, watch string) {
	t.Helper()
	client := propagation(d.node)
	g, err := client.GetFeed(ctx, &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Subscriber{Subscriber: name}})
	get = reasonOf(firstError(g, err))
	b := newBase(name)
	b.cursor = new(dncv1.FeedCursor)
	err = b.follow(ctx, client, func() bool { return false })
	if watch = reasonOf(err); watch == "FIELD_INVALID" { // the cursor: the caller was let in
		watch = ""
	}
	return get, watch
}

// TestFeedsAreReadByTheirOwn: a subscriber's feed is for its identity, an admin within its scopes and an officer.
func TestFeedsAreReadByTheirOwn(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	d.putSubscriber("south", "south-token", "acme")
	d.putSubscriber("north", "north-token", "other")
	d.putSubscriber("all", "")
	subscriber, officer, admin := access.RolesOf(access.Subscriber), access.RolesOf(access.Officer), access.RolesOf(access.Admin)
	const no = "PERMISSION_DENIED"
	for _, c := range []struct {
		name       string
		ctx        context.Context
		of         string
		get, watch string
	}{
		{"its identity", d.as("south-token", subscriber), "south", "", ""},
		{"its identity, within its scopes", d.as("north-token", subscriber, "other"), "north", "", ""},
		{"another's identity", d.as("west-token", subscriber), "south", no, no},
		{"the identity's name with another role", d.as("all-roles-but", access.RolesOf(access.Checker, access.Recorder, access.Loader)), "south", no, no},
		{"an officer", d.as("officer", officer), "south", "", ""},
		{"an officer, of another scope", d.as("bound-officer", officer, "acme"), "north", "SUBSCRIBER_NOT_FOUND", "SUBSCRIBER_NOT_FOUND"},
		{"an officer, of every scope", d.as("bound-officer-2", officer, "acme"), "all", no, no},
		{"an admin", d.as("admin", admin), "north", "", ""},
		{"an admin, within its scopes", d.as("bound-admin", admin, "acme"), "south", "", ""},
		{"an admin, of every scope", d.as("bound-admin-2", admin, "acme"), "all", no, no},
	} {
		get, watch := feedsOf(c.ctx, t, d, c.of)
		if get != c.get || watch != c.watch {
			t.Errorf("%s: GetFeed got %q, want %q; Watch got %q, want %q", c.name, get, c.get, watch, c.watch)
		}
	}
	if entries := accessesOf(t, d, "PropagationService/GetFeed"); entries == 0 {
		t.Error("no read of a feed is in the access log")
	}
}

// accessesOf counts the entries of the access log of one RPC.
func accessesOf(t *testing.T, d *door, method string) (count int) {
	t.Helper()
	client := dncv1.NewAccessServiceClient(d.conn)
	resp, err := client.ListAccess(d.as("reader-"+strings.ToLower(method[len(method)-5:]), access.RolesOf(access.Officer)), &dncv1.ListAccessRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range resp.GetAccesses() {
		if a.GetMethod() == method {
			count++
		}
	}
	return count
}

// TestFeedsThatAreNobodysAreWithinTheCallersScopes: an officer of a scope gets what is within it and above it.
func TestFeedsThatAreNobodysAreWithinTheCallersScopes(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	d.grant(access.Grant{Name: "root", Kind: access.Token, Roles: access.RolesOf(access.Admin)})
	officer := d.as("officer", access.RolesOf(access.Officer), "third")
	recorder := d.as("recorder", access.RolesOf(access.Recorder))
	for i, scope := range []string{"", "third", "third/x", "other"} {
		_, err := d.record.RecordOptOut(recorder, &dncv1.RecordOptOutRequest{Number: "+1415555010" + string(rune('1'+i)), Scope: scope})
		if err != nil {
			t.Fatal(err)
		}
	}
	// One more opt-out, of everyone, was there before.
	for name, c := range map[string]struct {
		scopes []string
		rows   int
		reason string
	}{
		"its own":             {nil, 4, ""},
		"one below":           {[]string{"third/x"}, 4, ""},
		"another one below":   {[]string{"third/y"}, 3, ""},
		"another":             {[]string{"other"}, 0, "PERMISSION_DENIED"},
		"its own and another": {[]string{"third", "other"}, 0, "PERMISSION_DENIED"},
		"malformed":           {[]string{"third//x"}, 0, "SCOPE_INVALID"},
	} {
		req := &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Filter{Filter: &dncv1.FeedFilter{Scopes: c.scopes}}}
		stream, err := propagation(d.node).GetFeed(officer, req)
		rows := 0
		for err == nil {
			var m *dncv1.GetFeedResponse
			if m, err = stream.Recv(); err == nil {
				rows += len(m.GetChunk().GetRows())
			}
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if got := reasonOf(err); got != c.reason || rows != c.rows {
			t.Errorf("%s: got %d rows and %q, want %d and %q", name, rows, got, c.rows, c.reason)
		}
	}
	ctx := d.as("recorder-too", access.RolesOf(access.Subscriber))
	stream, err := propagation(d.node).GetFeed(ctx, &dncv1.GetFeedRequest{Feed: &dncv1.GetFeedRequest_Filter{Filter: &dncv1.FeedFilter{}}})
	if got := reasonOf(firstError(stream, err)); got != "PERMISSION_DENIED" {
		t.Errorf("a subscriber, of a feed that is nobody's: got %q, want PERMISSION_DENIED", got)
	}
}

// TestRevokedFollowerIsCut: the stream of a base whose token is revoked ends.
func TestRevokedFollowerIsCut(t *testing.T) {
	t.Parallel()
	d := openDoor(t)
	root := d.as("root", access.RolesOf(access.Admin))
	d.putSubscriber("south", "south-token", "acme")
	ctx := d.as("south-token", access.RolesOf(access.Subscriber))
	b := newBase("south")
	stream, err := propagation(d.node).GetFeed(ctx, b.request(nil))
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	b.cursor = first.GetHeader().GetCursor()
	b.count = b.cursor.GetChanges()
	copy(b.hash[:], b.cursor.GetHash())
	ended, open := make(chan error, 1), make(chan struct{})
	go func() {
		messages := 0
		ended <- b.follow(ctx, propagation(d.node), func() bool {
			if messages++; messages == 2 {
				close(open)
			}
			return false
		})
	}()
	<-open
	if _, err := dncv1.NewAccessServiceClient(d.conn).RevokeToken(root, &dncv1.RevokeTokenRequest{Name: "south-token"}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if got := reasonOf(err); got != "UNAUTHENTICATED" {
			t.Errorf("got %q, want UNAUTHENTICATED", got)
		}
	case <-time.After(time.Minute):
		t.Error("the stream is still open a minute after the revocation")
	}
}
