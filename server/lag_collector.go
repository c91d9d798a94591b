package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/dncd/dncd/internal/feed"
	"github.com/dncd/dncd/store"
)

// lagCollector works out at each scrape how far subscribers are behind.
type lagCollector struct {
	store    *store.Store
	presence *presence

	seconds, pending, late, beyond, failed *prometheus.Desc
}

func newLagCollector(s *store.Store, p *presence) *lagCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("dncd_"+name, help, labels, nil)
	}
	return &lagCollector{
		store: s, presence: p,
		seconds: desc("subscriber_lag_seconds", "Age of the oldest change that a subscriber has not acknowledged at a stage; 0: none.", "subscriber", "stage"),
		pending: desc("subscriber_pending_changes", "Changes that a subscriber has not acknowledged at a stage.", "subscriber", "stage"),
		late:    desc("subscriber_late", "1 while a subscriber, or one below it, has not applied a change within its deadline.", "subscriber"),
		beyond:  desc("subscriber_beyond_tip", "Signed acknowledgements of what this journal does not hold: the server lost data.", "subscriber"),
		failed:  desc("subscriber_lag_unknown", "1 while it cannot be read how far subscribers are behind."),
	}
}

// Describe implements prometheus.Collector.
func (c *lagCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.seconds, c.pending, c.late, c.beyond, c.failed} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *lagCollector) Collect(out chan<- prometheus.Metric) {
	v := c.store.View()
	all, err := c.presence.standings(v, v.Subscribers().All())
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(c.failed, truth(err != nil))
	for _, s := range all {
		for stage := feed.Received; stage <= feed.Applied; stage++ {
			lag := s.lag.Of(stage)
			gauge(c.seconds, lag.Age(s.now).Seconds(), s.sub.Name, stage.String())
			gauge(c.pending, float64(lag.Pending), s.sub.Name, stage.String())
		}
		gauge(c.late, truth(s.isLate()), s.sub.Name)
		gauge(c.beyond, float64(len(s.present.beyond)), s.sub.Name)
	}
}
