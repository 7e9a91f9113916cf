// Package daemon runs the authmilter binary the way users do, for whole-system
// tests.
package daemon

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"authmilter/test/output"
)

// Times allowed for the daemon to get ready and to stop.
const (
	startTime = 2 * time.Minute
	stopTime  = 2 * time.Minute
)

// Config is a daemon's configuration in a test.
type Config struct {
	// Listen is the address for the MTA, such as "inet:8894@127.0.0.1".
	Listen string
	// AuthservID is the name in Authentication-Results.
	AuthservID string
	// DNS is the host:port of the resolver.
	DNS string
	// Metrics is the host:port for /metrics, /healthz and /readyz.
	Metrics string
	// More is additional TOML. It must write keys in tables with dots, such as
	// dns.timeout = "1s".
	More string
}

func (c Config) write(t testing.TB, path string) {
	t.Helper()
	text := fmt.Sprintf("authserv_id = %q\nlisten = [%q]\ndns.servers = [%q]\nmetrics.listen = %q\n%s",
		c.AuthservID, c.Listen, c.DNS, c.Metrics, c.More)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Daemon is a running authmilter.
type Daemon struct {
	// Config is what the daemon was started with.
	Config Config

	cmd   *exec.Cmd
	path  string // of the config file
	ended chan struct{}
	exit  error // valid once ended is closed
	log   output.Buffer
}

// Start runs "authmilter serve" until the end of the test, and waits until it
// is ready. A daemon that exits with a status other than 0 fails the test, and
// so does a data race if the test looks for races. A test that fails shows the
// daemon's log.
func Start(t testing.TB, c Config) *Daemon {
	t.Helper()
	binary := Binary(t)
	d := &Daemon{Config: c, path: filepath.Join(t.TempDir(), "authmilter.toml"), ended: make(chan struct{})}
	c.write(t, d.path)
	d.cmd = exec.Command(binary, "serve", "--config", d.path)
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	// At exit, the race detector would wait a second for more reports.
	d.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		t.Fatalf("authmilter: %v", err)
	}
	go func() {
		d.exit = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		d.Stop(t)
		if t.Failed() {
			t.Logf("authmilter's log:\n%s", d.Log())
		}
	})
	d.waitReady(t, "http://"+c.Metrics+"/readyz")
	return d
}

func (d *Daemon) waitReady(t testing.TB, url string) {
	t.Helper()
	client := http.Client{Timeout: startTime}
	defer client.CloseIdleConnections()
	deadline := time.After(startTime)
	for {
		if resp, err := client.Get(url); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-d.ended:
			t.Fatalf("authmilter ended while starting: %v", d.exit)
		case <-deadline:
			t.Fatalf("authmilter is not ready after %v", startTime)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Terminate sends SIGTERM.
func (d *Daemon) Terminate() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // if it is gone already, its status says why
}

// Stop sends SIGTERM, waits for the daemon to exit, and fails the test if the
// status is not 0. It may be called again.
func (d *Daemon) Stop(t testing.TB) {
	t.Helper()
	d.Terminate()
	select {
	case <-d.ended:
	case <-time.After(stopTime):
		_ = d.cmd.Process.Kill()
		<-d.ended
		t.Errorf("authmilter did not stop within %v of SIGTERM", stopTime)
		return
	}
	if d.exit != nil {
		t.Errorf("authmilter: %v", d.exit)
	}
}

// Reload replaces the daemon's configuration by c and sends SIGHUP.
func (d *Daemon) Reload(t testing.TB, c Config) {
	t.Helper()
	c.write(t, d.path)
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatalf("authmilter: %v", err)
	}
}

// WaitMetric returns once a sample of the daemon's metrics has a value. name is
// the sample's name and labels as they are written.
func (d *Daemon) WaitMetric(t testing.TB, name string, value float64) {
	t.Helper()
	deadline := time.Now().Add(startTime)
	for {
		got, ok := d.Metrics(t)[name]
		if ok && got == value {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is %v (present: %t), want %v, after %v", name, got, ok, value, startTime)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Metrics returns the samples that the daemon exposes, by name and labels as
// they are written.
func (d *Daemon) Metrics(t testing.TB) map[string]float64 {
	t.Helper()
	resp, err := http.Get("http://" + d.Config.Metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	samples := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		end := strings.LastIndexByte(line, ' ')
		if end < 0 || line[0] == '#' {
			continue
		}
		if samples[line[:end]], err = strconv.ParseFloat(line[end+1:], 64); err != nil {
			t.Fatalf("/metrics: %q: %v", line, err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return samples
}

// Log returns what the daemon has logged so far.
func (d *Daemon) Log() string { return d.log.String() }
