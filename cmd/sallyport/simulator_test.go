package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// first hands over what is written first.
type first chan []byte

func (f first) Write(p []byte) (int, error) {
	f <- append([]byte(nil), p...)
	return len(p), nil
}

func TestTheSimulatorAnswersUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	out, done := make(first, 1), make(chan int, 1)
	a := &app{out: out, err: io.Discard, now: time.Now, getenv: func(string) string { return "" }}
	go func() {
		done <- a.execute(ctx, []string{"simulator", "--listen", "127.0.0.1:0", "--tls", "--ca-file", ca, "--output", "json"})
	}()
	var doc simulated
	select {
	case text := <-out:
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	case code := <-done:
		t.Fatalf("exit code %d", code)
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, doc.URL+"/api/now/table/ecc_queue?sysparm_limit=1", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(doc.Users[0].Username, doc.Users[0].Password)
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("status %s", res.Status)
	}
	stop()
	if code := <-done; code != codeOK {
		t.Errorf("exit code %d", code)
	}
}
