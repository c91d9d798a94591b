package daemon

import (
	"errors"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dncd/dncd/server"
	"github.com/dncd/dncd/store"
)

// config holds the values of the flags.
type config struct {
	listen, http, data string
	file               string // of settings
	socket             socketMode
	init               bool
	tls                server.TLSFiles
	insecure           bool
	auth               authMode
	adminName          string
	signingKey         string
	accessRetention    days
	history            string
	filterFPR          float64
	blockCache         byteSize
	minFree            byteSize
	logLevel           string
	logFormat          string
	reflection         bool
}

// defaultData is created at the first start. A store in any other directory must be created explicitly: that directory
// may be a disk that is not mounted, and a new store there would allow every call.
const defaultData = "./dnc-data"

func (c *config) addFlags(root *cobra.Command) {
	c.blockCache, c.minFree, c.accessRetention = 64<<20, 2<<30, days(store.DefaultAccessRetention/day)
	all := root.PersistentFlags() // fsck has these too
	all.StringVar(&c.file, "config", "", "YAML `file` of settings: the names of the flags, and their values")
	all.StringVar(&c.data, "data", defaultData, "`directory` of the store; locked by one process")
	all.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	all.StringVar(&c.logFormat, "log-format", "text", "text or json")

	f := root.Flags()
	f.BoolVar(&c.init, "init", false, "make a store where --data has none; only for the first start")
	f.StringVar(&c.listen, "listen", "127.0.0.1:7362", "`address` of gRPC, host:port or unix:///path")
	f.StringVar(&c.http, "http", "127.0.0.1:7363", "`address` of /metrics, /healthz and /readyz, and of pprof under /debug on loopback; empty: none")
	f.Var(&c.socket.mode, "socket-mode", "permissions of unix sockets, such as 0660 (default: what the umask leaves)")
	f.StringVar(&c.socket.group, "socket-group", "", "`group` that owns unix sockets")
	f.StringVar(&c.tls.Cert, "tls-cert", "", "PEM `file` of the server's certificate, with its chain")
	f.StringVar(&c.tls.Key, "tls-key", "", "PEM `file` of its key")
	f.StringVar(&c.tls.ClientCA, "tls-client-ca", "", "PEM `file` of the CA that signs client certificates; each client then needs one, or with --auth required a token")
	f.BoolVar(&c.insecure, "insecure", false, "listen beyond this machine without TLS, or without --auth required")
	f.Var(&c.auth, "auth", "what callers must show: off and optional (nothing), required (a token or a client certificate)")
	f.StringVar(&c.adminName, "admin-name", "", "`name` of the client certificate that is made an admin when there is none")
	addSigningKey(f, &c.signingKey)
	f.Var(&c.accessRetention, "access-retention", "how long the log of who read personal data is kept; 0: for ever")
	f.StringVar(&c.history, "history", "0", "how far back the journal goes; 0 keeps everything, the only value so far")
	f.Float64Var(&c.filterFPR, "filter-fpr", 0.001, "false-positive `rate` of the filters")
	f.Var(&c.blockCache, "block-cache", "memory for decoded blocks")
	f.Var(&c.minFree, "min-free", "writes stop when the disk has less free; 0: never")
	f.BoolVar(&c.reflection, "reflection", false, "serve gRPC reflection")
}

// addSigningKey adds a flag that the server has, and what replaces its key.
func addSigningKey(f *pflag.FlagSet, file *string) {
	f.StringVar(file, "signing-key", "", "`file` of the key that signs checkpoints, made with dnc key new (default: signing-key in --data, made at the first start)")
}

// check refuses values that no flag may have.
func (c *config) check() error {
	if c.history != "0" {
		return usageError{errors.New("--history: trimming the journal is not built yet: leave it at 0, which keeps all")}
	}
	if !(c.filterFPR > 0 && c.filterFPR <= 0.5) {
		return usageError{errors.New("--filter-fpr: must be above 0 and at most 0.5")}
	}
	if c.socket != (socketMode{}) && !strings.HasPrefix(c.listen, unixScheme) && !strings.HasPrefix(c.http, unixScheme) {
		return usageError{errors.New("--socket-mode and --socket-group: neither --listen nor --http is a unix socket")}
	}
	return nil
}

// storeOptions are the options of the store. A flag of zero means none, for which the store takes a negative number.
func (c *config) storeOptions(log *slog.Logger) store.Options {
	return store.Options{
		Logger:     log,
		FilterFPR:  c.filterFPR,
		BlockCache: c.blockCache.orNone(),
		MinFree:    c.minFree.orNone(),

		AccessRetention: c.accessRetention.orForEver(),
	}
}

const day = 24 * time.Hour

// days is a flag such as 400d.
type days int

func (d days) orForEver() time.Duration {
	if d == 0 {
		return -1
	}
	return time.Duration(d) * day
}

// String implements pflag.Value.
func (d *days) String() string { return strconv.Itoa(int(*d)) + "d" }

// Set implements pflag.Value.
func (d *days) Set(s string) error {
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "d"), 10, 16)
	if err != nil {
		return errors.New("write it in days, as 400d")
	}
	*d = days(n)
	return nil
}

// Type implements pflag.Value.
func (*days) Type() string { return "days" }

// byteSize is a flag such as 64MiB or 2GB.
type byteSize int64

func (b byteSize) orNone() int64 {
	if b == 0 {
		return -1
	}
	return int64(b)
}

// String implements pflag.Value.
func (b *byteSize) String() string { return strings.ReplaceAll(humanize.IBytes(uint64(*b)), " ", "") }

// Set implements pflag.Value.
func (b *byteSize) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64/2 {
		return errors.New("write it as 64MiB or 2GiB")
	}
	*b = byteSize(n)
	return nil
}

// Type implements pflag.Value.
func (*byteSize) Type() string { return "size" }
