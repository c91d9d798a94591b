package daemon

import (
	"strings"
	"testing"

	"github.com/dncd/dncd/store"
)

func TestFsckNamesGrantsInDoubt(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	tellDoubtful(&out, &store.Report{DoubtfulGrants: []string{"dialer-1", "desk"}})
	if got := out.String(); !strings.HasPrefix(got, "the lost revisions may have revoked tokens") || !strings.HasSuffix(got, ": dialer-1, desk\n") {
		t.Errorf("got %q, want both names", got)
	}
}
