package filter

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// contest times candidates in turns and keeps the best round of each, so that
// they can be compared on a machine that others use too.
type contest struct {
	names []string
	best  map[string]float64 // ns an op
	notes map[string]string
}

func (c *contest) time(name string, ops uint64, f func()) {
	start := time.Now()
	f()
	c.keep(name, float64(time.Since(start).Nanoseconds())/float64(ops))
}

// keep keeps ns, an op of a round, if it is the least yet.
func (c *contest) keep(name string, ns float64) {
	if c.best == nil {
		c.best, c.notes = map[string]float64{}, map[string]string{}
	}
	best, seen := c.best[name]
	if !seen {
		c.names = append(c.names, name)
	}
	if !seen || ns < best {
		c.best[name] = ns
	}
}

func (c *contest) note(name, text string) { c.notes[name] = text }

// log prints ns an op, and the ratio to the fastest.
func (c *contest) log(b *testing.B) {
	fastest := c.best[c.names[0]]
	for _, ns := range c.best {
		fastest = min(fastest, ns)
	}
	var table strings.Builder
	for _, name := range c.names {
		fmt.Fprintf(&table, "\n%-28s %8.1f ns  %5.2f  %s", name, c.best[name], c.best[name]/fastest, c.notes[name])
	}
	fmt.Println(table.String()) // b.Log cuts it short
}
