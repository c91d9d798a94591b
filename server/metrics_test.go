package server_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
	"github.com/dncd/dncd/server"
)

// wantMetric looks for a line of /metrics.
func (n *node) wantMetric(line string) {
	n.t.Helper()
	_, body := get(n.t, n.web+"/metrics")
	if !strings.Contains(body, "\n"+line+"\n") {
		name, _, _ := strings.Cut(line, "{")
		n.t.Errorf("got %q, want %q", regexp.MustCompile(`(?m)^`+name+`.*`).FindAllString(body, -1), line)
	}
}

func TestCallsAreCountedByMethodAndCode(t *testing.T) {
	t.Parallel()
	n := start(t)
	for _, number := range []string{"+14155550101", "+14155550102", "none"} {
		_, _ = n.check.CheckNumber(testContext(t), &dncv1.CheckNumberRequest{Number: number})
	}
	_, _ = n.list.GetList(testContext(t), &dncv1.GetListRequest{Name: "none"})
	_ = reasonOf(calls["CheckService/StreamChecks"].make(testContext(t), nil, n.conn, ""))
	_ = reasonOf(importRow(testContext(t), nil, n.conn, ""))
	const check, list = `method="dnc.v1.CheckService/CheckNumber"`, `method="dnc.v1.ListService/GetList"`
	n.wantMetric(`dncd_requests_total{code="OK",` + check + `} 2`)
	n.wantMetric(`dncd_requests_total{code="InvalidArgument",` + check + `} 1`)
	n.wantMetric(`dncd_requests_total{code="NotFound",` + list + `} 1`)
	n.wantMetric(`dncd_request_duration_seconds_count{` + check + `} 3`)
	n.wantMetric(`dncd_request_duration_seconds_bucket{` + check + `,le="600"} 3`)
	if _, body := get(t, n.web+"/metrics"); strings.Contains(body, "dncd_request_duration_seconds_count{method=\"dnc.v1.CheckService/StreamChecks\"}") {
		t.Error("streams of checks are in the histogram: they last as long as their client likes")
	}
}

func TestMetricsSayWhenAListWasImported(t *testing.T) {
	t.Parallel()
	n := start(t)
	n.createList(&dncv1.CreateListRequest{Name: "us", Kind: dncv1.ListKind_LIST_KIND_REGISTRY, Jurisdiction: []string{"US"}})
	if _, body := get(t, n.web+"/metrics"); strings.Contains(body, "dncd_list_import_timestamp_seconds{") {
		t.Error("a list that was never imported has a time")
	}
	n.replace("us", "2026-09-09", numbers(3)...)
	n.wantMetric(fmt.Sprintf(`dncd_list_import_timestamp_seconds{list="us"} %v`, float64(testDay.Unix())))
	n.clock.add(3600e9)
	n.replace("us", "2026-09-10", numbers(3)...) // the same numbers: confirmed
	n.wantMetric(fmt.Sprintf(`dncd_list_import_timestamp_seconds{list="us"} %v`, float64(testDay.Unix()+3600)))
}

func TestMetricsSayWhenTheCertificateEnds(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	cert, key := a.issue("dncd", nil)
	c, err := server.TLSFiles{Cert: cert, Key: key}.Config()
	if err != nil {
		t.Fatal(err)
	}
	n := start(t, func(o *server.Options) { o.TLS = c })
	content, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	n.wantMetric(fmt.Sprintf("dncd_tls_certificate_expiry_timestamp_seconds %v", float64(leaf.NotAfter.Unix())))
}
