package server

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dncd/dncd/internal/policy"
	"github.com/dncd/dncd/store"
)

// collector reads the store's state at each scrape. No label holds anything about a number.
type collector struct {
	store   *store.Store
	version string
	descs   []*prometheus.Desc // all of them, for Describe

	build, revision, numbers, records, ready, writable *prometheus.Desc
	filterBytes, filterFill, filterReady               *prometheus.Desc
	listLoaded, listStale, listDate, listImported      *prometheus.Desc
	disk, free, minFree, cache, opened, jumped         *prometheus.Desc
}

func newCollector(s *store.Store, version string) *collector {
	c := &collector{store: s, version: version}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		d := prometheus.NewDesc("dncd_"+name, help, labels, nil)
		c.descs = append(c.descs, d)
		return d
	}
	c.build = desc("build_info", "1, with the server's version.", "version")
	c.revision = desc("revision", "The newest revision: grows by one with each commit.")
	c.numbers = desc("numbers", "Numbers held: with records, and on each list.", "set", "list")
	c.records = desc("records", "Records held, expired ones too.")
	c.ready = desc("ready", "1 while checks are answered in full, else 0.")
	c.writable = desc("writable", "1 while writes are taken, else 0.")
	c.filterBytes = desc("filter_bytes", "Memory that a filter takes.", "set", "list")
	c.filterFill = desc("filter_fill_ratio", "Numbers in a filter by numbers it was made for.", "set", "list")
	c.filterReady = desc("filter_ready", "1 when a filter is there, 0 while checks read the store instead.", "set", "list")
	c.listLoaded = desc("list_loaded", "1 when the list holds a load, 0 when checks answer NOT_LOADED.", "list")
	c.listStale = desc("list_stale", "1 when the list is older than its max age.", "list")
	c.listDate = desc("list_snapshot_timestamp_seconds", "Start of the list's snapshot date (UTC); absent without one.", "list")
	c.listImported = desc("list_import_timestamp_seconds", "When the last import of the list ended that loaded or confirmed it; absent without one.", "list")
	c.disk = desc("disk_bytes", "What the data directory takes on disk.")
	c.free = desc("disk_free_bytes", "What is free on that disk, as the guard counts it.")
	c.minFree = desc("disk_min_free_bytes", "Writes stop below this much free space.")
	c.cache = desc("block_cache_bytes", "Memory that decoded blocks take.")
	c.opened = desc("open_seconds", "How long it took to open the store.")
	c.jumped = desc("clock_jumped", "1 while the clock, or the last event, is more than a day ahead of what the time should be.")
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		out <- d
	}
}

const recordsSet = "records"

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	st := c.store.Stats()
	now := c.store.Now()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.build, 1, c.version)
	gauge(c.revision, float64(st.Revision))
	gauge(c.numbers, float64(st.Numbers), recordsSet, "")
	gauge(c.records, float64(st.Records))
	gauge(c.ready, truth(st.State.Ready()))
	gauge(c.writable, truth(st.State.Writable()))
	gauge(c.disk, float64(st.DiskBytes))
	gauge(c.free, float64(st.FreeBytes))
	gauge(c.minFree, float64(st.MinFree))
	gauge(c.cache, float64(st.CacheBytes))
	gauge(c.opened, st.OpenedIn.Seconds())
	gauge(c.jumped, truth(st.ClockJumped()))
	c.filter(gauge, st.RecordsFilter, recordsSet, "")
	v := c.store.View()
	for _, l := range st.Lists {
		c.list(gauge, l, now)
		if at := lastImported(v, l); !at.IsZero() {
			gauge(c.listImported, float64(at.Unix()), l.Name)
		}
	}
}

// lastImported is when the last import ended that loaded or confirmed a list; zero: never, or that cannot be read.
func lastImported(v *store.View, l *store.List) time.Time {
	for e, err := range importsOf(v, l) {
		if err == nil && isLast(e) {
			return e.EndedAt
		}
	}
	return time.Time{}
}

type gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)

func (c *collector) list(gauge gaugeFunc, l *store.List, now time.Time) {
	set := listSet(l.Kind)
	gauge(c.numbers, float64(l.Numbers), set, l.Name)
	gauge(c.listLoaded, truth(l.Loaded), l.Name)
	gauge(c.listStale, truth(l.Loaded && l.IsStale(now)), l.Name)
	if l.SnapshotDate != 0 {
		gauge(c.listDate, dateSeconds(l.SnapshotDate), l.Name)
	}
	if l.Loaded {
		c.filter(gauge, l.FilterStats(), set, l.Name)
	}
}

func (c *collector) filter(gauge gaugeFunc, f store.FilterStats, set, list string) {
	gauge(c.filterReady, truth(f.Ready), set, list)
	gauge(c.filterBytes, float64(f.Bytes), set, list)
	gauge(c.filterFill, f.Fill, set, list)
}

func listSet(k policy.ListKind) string {
	switch k {
	case policy.ListRegistry:
		return "registry"
	case policy.ListLitigator:
		return "litigator"
	}
	return "suppression"
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
