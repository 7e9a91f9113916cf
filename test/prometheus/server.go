// Package prometheus runs Debian's Prometheus server and promtool for
// whole-system tests, and finds out which metrics and labels an expression
// uses.
package prometheus

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"authmilter/test/mta"
	"authmilter/test/need"
	"authmilter/test/output"
)

// Times allowed for the server to get ready and to stop.
const (
	startTime = 2 * time.Minute
	stopTime  = time.Minute
	queryTime = 2 * time.Minute
)

// Server is a private Prometheus server on loopback.
type Server struct {
	url    string
	client http.Client
	log    output.Buffer
}

// Start runs a server with a configuration file until the end of the test, and
// waits until it is ready. features are passed to --enable-feature. If
// Prometheus is not installed, Start fails or skips the test: see
// [mta.Require].
func Start(t testing.TB, config string, features ...string) *Server {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	need.Found(t, err)
	addr := mta.Loopback(mta.FreePort(t))
	s := &Server{url: "http://" + addr, client: http.Client{Timeout: queryTime}}
	args := []string{
		"--config.file=" + config,
		"--storage.tsdb.path=" + t.TempDir(),
		"--web.listen-address=" + addr,
	}
	if len(features) > 0 {
		args = append(args, "--enable-feature="+strings.Join(features, ","))
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("Prometheus: %v", err)
	}
	ended := make(chan struct{})
	var exit error
	go func() {
		exit = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		_ = cmd.Process.Signal(syscall.SIGTERM) // if it is gone already, its status says why
		select {
		case <-ended:
		case <-time.After(stopTime):
			_ = cmd.Process.Kill()
			<-ended
		}
		if exit != nil {
			t.Errorf("Prometheus: %v", exit)
		}
		if t.Failed() {
			t.Logf("Prometheus' log:\n%s", s.log.String())
		}
	})
	deadline := time.After(startTime)
	for !s.ready() {
		select {
		case <-ended:
			t.Fatalf("Prometheus ended while starting: %v", exit)
		case <-deadline:
			t.Fatalf("Prometheus is not ready after %v", startTime)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return s
}

func (s *Server) ready() bool {
	resp, err := s.client.Get(s.url + "/-/ready")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Sample is one element of an instant vector.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// Query evaluates an expression now.
func (s *Server) Query(expr string) ([]Sample, error) {
	var data struct {
		ResultType string
		Result     []struct {
			Metric map[string]string
			Value  [2]any // time and text
		}
	}
	if err := s.get("/api/v1/query?query="+url.QueryEscape(expr), &data); err != nil {
		return nil, err
	}
	if data.ResultType != "vector" {
		return nil, fmt.Errorf("the result is a %s", data.ResultType)
	}
	var samples []Sample
	for _, r := range data.Result {
		text, _ := r.Value[1].(string) // empty for a native histogram
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("the result is not a number: %q", text)
		}
		samples = append(samples, Sample{Labels: r.Metric, Value: value})
	}
	return samples, nil
}

// Rule is a recording rule or an alert, as the server sees it.
type Rule struct {
	Name, Type string
	// Health is "ok" once the rule has been evaluated, or else "unknown" or
	// "err".
	Health    string
	LastError string
	// State is an alert's state: "inactive", "pending" or "firing".
	State string
}

// Rules returns all rules that the server has.
func (s *Server) Rules() ([]Rule, error) {
	var data struct {
		Groups []struct{ Rules []Rule }
	}
	if err := s.get("/api/v1/rules", &data); err != nil {
		return nil, err
	}
	var all []Rule
	for _, g := range data.Groups {
		all = append(all, g.Rules...)
	}
	return all, nil
}

// get fetches data from the server's API.
func (s *Server) get(path string, data any) error {
	resp, err := s.client.Get(s.url + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer := struct {
		Error string
		Data  any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("the server says: %s", answer.Error)
	}
	return nil
}

// Promtool runs promtool with a text as its input, and returns its output and
// an error if it complains. If promtool is not installed, Promtool fails or
// skips the test: see [mta.Require].
func Promtool(t testing.TB, input string, args ...string) (output string, err error) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	need.Found(t, err)
	cmd := exec.Command(program, args...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
