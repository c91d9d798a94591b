package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// serve runs until ctx ends. It takes the addresses before it opens the store, so that a taken address is reported
// immediately.
func serve(ctx context.Context, c *config, stdout, stderr io.Writer) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	log, err := newLogger(stderr, c.logLevel, c.logFormat)
	if err != nil {
		return err
	}
	defer keepThroughHangup(log)()
	c.tls.Logger, c.tls.OrToken = log, server.Auth(c.auth) == server.AuthRequired
	tls, err := c.tls.Config()
	if err != nil {
		return err
	}
	rpc, web, err := c.listeners(ctx, tls != nil)
	if err != nil {
		return err
	}
	defer closeAll(rpc, web)
	if err := enoughFiles(openFiles(), 0); err != nil {
		return err
	}
	if err := c.findStore(log); err != nil {
		return dataError{c.data, err}
	}
	st, err := store.Open(c.data, c.storeOptions(log))
	if err != nil {
		return dataError{c.data, err}
	}
	defer func() { err = errors.Join(err, st.Close()) }()

	files, used := openFiles(), usedFiles()
	if err := enoughFiles(files, used); err != nil {
		return err
	}
	if err := c.firstAdmin(ctx, st, log); err != nil {
		return err
	}
	key, err := c.loadSigningKey(st, log)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	options := server.Options{
		Store: st, TLS: tls, Registry: registry, Logger: log, Version: version(), Reflection: c.reflection,
		Connections: connectionsOf(files, used), Auth: server.Auth(c.auth), SigningKey: key,
	}
	s, err := server.New(options)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, servingLine(c, rpc, web, st.Stats()))
	if state := st.State(); !state.Ready() {
		fmt.Fprintf(stderr, "dncd: not ready: %v\nhint: %s\n", state.Cause, hintFor(dataError{c.data, state.Cause}))
	}
	if err := s.Serve(ctx, rpc, web); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	log.Info("stopped")
	return nil
}

// keepThroughHangup ignores SIGHUP until stop is called. Many daemons read their files again at it; dncd reads its
// certificates again when they change.
func keepThroughHangup(log *slog.Logger) (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-hangup:
				log.Info("SIGHUP ignored: certificates are read again when they change, other settings need a restart")
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hangup)
		close(done)
	}
}

// servingLine is the line that says that dncd serves, and what.
func servingLine(c *config, rpc, web net.Listener, st store.Stats) string {
	numbers := st.Numbers
	for _, l := range st.Lists {
		numbers += l.Numbers
	}
	http := "off"
	if web != nil {
		http = web.Addr().String()
	}
	rules := "no policy: country rules are not applied"
	if st.PolicyVersion != "" {
		rules = "policy " + st.PolicyVersion
	}
	return fmt.Sprintf("dncd serves %s (http %s), data %s, revision %d, %s numbers, opened in %v; %s",
		addressOf(rpc), http, c.data, st.Revision, humanize.Comma(int64(numbers)), st.OpenedIn.Round(time.Millisecond), rules)
}

func addressOf(l net.Listener) string {
	if a, ok := l.Addr().(*net.UnixAddr); ok {
		return unixScheme + a.Name
	}
	return l.Addr().String()
}

func newLogger(w io.Writer, level, format string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, usageError{errors.New("--log-level: debug, info, warn or error")}
	}
	o := &slog.HandlerOptions{Level: l}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, usageError{errors.New("--log-format: text or json")}
}
