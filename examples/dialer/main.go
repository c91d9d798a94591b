// Command dialer dials the leads of a file, and asks dncd before every attempt.
package main

import (
	"context"
	"crypto/rand"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"github.com/dncd/dncd/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dialer:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("dialer", flag.ExitOnError)
	addr := flags.String("addr", "127.0.0.1:7362", "dncd's address")
	scope := flags.String("scope", "", "whose calls these are, such as acme/telecom")
	lines := flags.Int("lines", 4, "calls at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one file of leads: a csv with the columns id and number")
	}
	leads, err := readLeads(flags.Arg(0))
	if err != nil {
		return err
	}
	// One client for the whole process: concurrent checks share messages. On another machine, add
	// client.WithTLSFiles; for OpenTelemetry, client.WithDialOptions.
	c, err := client.New(*addr, client.WithScope(*scope), client.WithUser("dialer"), client.WithTimeout(time.Second))
	if err != nil {
		return err
	}
	defer c.Close()
	d := &dialer{client: c, scope: *scope, ring: ring, out: out, counts: map[outcome]int{}}
	d.dialAll(ctx, leads, *lines)
	d.summary()
	if n := d.counts[unrecorded]; n > 0 {
		return fmt.Errorf("%d objections are not recorded", n)
	}
	return nil
}

// lead is a person to be called. The id is what logs may hold; the number is not.
type lead struct{ id, number string }

func readLeads(path string) ([]lead, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	id, number := slices.Index(rows[0], "id"), slices.Index(rows[0], "number")
	if id < 0 || number < 0 {
		return nil, fmt.Errorf("%s needs the columns id and number", path)
	}
	var leads []lead
	for _, row := range rows[1:] {
		leads = append(leads, lead{row[id], row[number]})
	}
	return leads, nil
}

// outcome is what became of a lead.
type outcome string

const (
	talked     outcome = "talked"
	objected   outcome = "objected"     // and the objection is on record
	unrecorded outcome = "NOT RECORDED" // an objection that somebody has to record by hand
	blocked    outcome = "blocked"      // must not be called
	later      outcome = "later"        // may be called at another hour, or once dncd knows
	notNumber  outcome = "not a number"
)

// dialer dials leads, each on one of its lines.
type dialer struct {
	client *client.Client
	scope  string
	ring   func(context.Context, lead) bool // dials; true: the person objects to calls
	out    io.Writer

	mu     sync.Mutex
	counts map[outcome]int
}

func (d *dialer) dialAll(ctx context.Context, leads []lead, lines int) {
	queue := make(chan lead)
	var working sync.WaitGroup
	for range lines {
		working.Go(func() {
			for l := range queue {
				what, why := d.attempt(ctx, l)
				d.report(l, what, why)
			}
		})
	}
	for _, l := range leads {
		if ctx.Err() != nil {
			break
		}
		queue <- l
	}
	close(queue)
	working.Wait()
}

// attempt asks whether a lead may be called, right before it is.
func (d *dialer) attempt(ctx context.Context, l lead) (what outcome, why string) {
	r, err := d.client.Check(ctx, l.number)
	switch {
	case errors.Is(err, client.ErrInvalidNumber):
		return notNumber, err.Error() // which does not hold the number
	case err != nil: // no answer is no permission
		return later, err.Error()
	case r.Verdict == client.NotNow:
		return later, "calling hours begin at " + r.OpensAt.Format(time.RFC3339)
	case r.Verdict == client.Unknown:
		return later, string(r.Cause)
	case !r.Callable():
		return blocked, reasonOf(r)
	}
	if !d.ring(ctx, l) {
		return talked, ""
	}
	return d.object(ctx, l)
}

// reasonOf is the first thing that a verdict rests on.
func reasonOf(r client.Result) string {
	if len(r.Reasons) == 0 {
		return string(r.Verdict)
	}
	first := r.Reasons[0]
	if first.List != "" {
		return string(first.Kind) + " on " + first.List
	}
	return string(first.Kind)
}

// object records an objection, and tries until it is on record: under one request id, so that it is recorded once. A
// dialer that may be killed meanwhile keeps it in a file of its own.
func (d *dialer) object(ctx context.Context, l lead) (outcome, string) {
	o := client.OptOut{
		Number: l.number, Scope: d.scope, Channel: client.ChannelCall, Desk: "dialer", ReceivedAt: time.Now(), RequestID: rand.Text(),
	}
	ctx = context.WithoutCancel(ctx) // Ctrl-C ends the dialing, not this
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		receipt, err := d.client.RecordOptOut(ctx, o)
		switch {
		case err == nil:
			return objected, fmt.Sprintf("recorded at revision %d", receipt.Revision)
		case errors.Is(err, client.ErrInvalidArgument), errors.Is(err, client.ErrPermissionDenied), errors.Is(err, client.ErrRecordLimit):
			return unrecorded, err.Error() // which no further attempt changes
		}
		fmt.Fprintf(os.Stderr, "lead %s: the objection is not recorded yet: %v\n", l.id, err)
		time.Sleep(wait)
	}
}

func (d *dialer) report(l lead, what outcome, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[what]++
	if why != "" {
		why = " (" + why + ")"
	}
	fmt.Fprintf(d.out, "lead %s: %s%s\n", l.id, what, why)
}

func (d *dialer) summary() {
	for _, what := range []outcome{talked, objected, unrecorded, blocked, later, notNumber} {
		fmt.Fprintf(d.out, "%s: %d\n", what, d.counts[what])
	}
}

// ring stands for your telephony. Here everybody with an even id objects.
func ring(_ context.Context, l lead) bool {
	time.Sleep(10 * time.Millisecond)
	return len(l.id) > 0 && (l.id[len(l.id)-1]-'0')%2 == 0
}
