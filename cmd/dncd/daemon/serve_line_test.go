package daemon

import (
	"net"
	"strings"
	"testing"

	"github.com/dncd/dncd/store"
)

// The line at the start says by which policy checks are answered.
func TestServingLineNamesThePolicy(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for version, want := range map[string]string{"": "; no policy: country rules are not applied", "41-9f86d081": "; policy 41-9f86d081"} {
		if got := servingLine(&config{}, l, nil, store.Stats{PolicyVersion: version}); !strings.HasSuffix(got, want) {
			t.Errorf("got %q, want %q at its end", got, want)
		}
	}
}
