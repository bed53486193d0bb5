package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what a scraper gets. Nothing in them names a person or a client.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

// newMetrics returns metrics. away says of each provider whether it is left alone: see
// [mintmark/upstream.Registry.Away].
func newMetrics(away func() map[string]bool) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mintmark_http_requests_total", Help: "Requests, by route, method and status.",
		}, []string{"route", "method", "code"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mintmark_http_request_duration_seconds", Help: "How long requests take, by route.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.requests, m.duration, providersAway(away), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// providersAway is a gauge for each provider that was spoken to, read when the scraper asks.
type providersAway func() map[string]bool

var awayDesc = prometheus.NewDesc("mintmark_provider_away",
	"1 if the provider of sign-in is left alone because it does not answer, 0 if it is not.", []string{"provider"}, nil)

// Describe implements [prometheus.Collector].
func (providersAway) Describe(to chan<- *prometheus.Desc) { to <- awayDesc }

// Collect implements [prometheus.Collector].
func (away providersAway) Collect(to chan<- prometheus.Metric) {
	for name, is := range away() {
		value := 0.
		if is {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(awayDesc, prometheus.GaugeValue, value, name)
	}
}

// saw counts a request. Without metrics it does nothing.
func (m *metrics) saw(x *exchange, r *http.Request, took time.Duration) {
	if m == nil {
		return
	}
	route := x.route
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, method(r.Method), strconv.Itoa(x.status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

// serve answers the scraper.
func (m *metrics) serve(w http.ResponseWriter, r *http.Request) error {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
	return nil
}

// inside is the admin listener: for the operator's own network, never for the internet.
func (s *Server) inside() http.Handler {
	routes := s.newRouter([]route{
		{"GET", "/metrics", probe, s.metrics.serve},
		{"GET", "/healthz", probe, s.healthz},
		{"GET", "/readyz", probe, s.readyz},
	})
	return s.edge(routes, "")
}
