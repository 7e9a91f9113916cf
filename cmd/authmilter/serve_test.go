package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"authmilter/test/output"
	"authmilter/verify/dns/dnstest"
)

// patience is how long anything may take. It leaves room for a machine that is
// busy with something else.
const patience = time.Minute

// server is a running "authmilter serve".
type server struct {
	t     testing.TB
	cmd   *exec.Cmd
	path  string // of its configuration
	log   output.Buffer
	ended chan struct{}
	exit  error // valid once ended is closed
}

// start runs a daemon with a configuration, "" for none, until the end of the test.
// prepare, if not nil, changes the command before it runs.
func start(t testing.TB, config string, prepare func(*exec.Cmd)) *server {
	t.Helper()
	d := &server{t: t, ended: make(chan struct{})}
	d.cmd = exec.Command("authmilter", "serve")
	if config != "" {
		d.path = filepath.Join(t.TempDir(), "authmilter.toml")
		d.configure(config)
		d.cmd.Args = append(d.cmd.Args, "--config", d.path)
	}
	d.cmd.Stdout, d.cmd.Stderr = &d.log, &d.log
	d.cmd.Env = append(os.Environ(), "GORACE=atexit_sleep_ms=0")
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if prepare != nil {
		prepare(d.cmd)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.exit = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(func() {
		d.signal(syscall.SIGKILL)
		<-d.ended
		if t.Failed() {
			t.Logf("log:\n%s", d.log.String())
		}
	})
	return d
}

// serving starts a daemon and waits until it serves.
func serving(t testing.TB, config string, prepare func(*exec.Cmd)) *server {
	t.Helper()
	d := start(t, config, prepare)
	d.waitLog("serving")
	return d
}

func (d *server) configure(config string) {
	d.t.Helper()
	if err := os.WriteFile(d.path, []byte(config), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *server) signal(s os.Signal) { _ = d.cmd.Process.Signal(s) } // fails if it has ended, which its status shows

// reload makes the daemon load a configuration, and waits until the log contains want.
func (d *server) reload(config, want string) {
	d.t.Helper()
	seen := d.log.Len()
	d.configure(config)
	d.signal(syscall.SIGHUP)
	d.waitLogAfter(seen, want)
}

func (d *server) waitLog(want string) { d.t.Helper(); d.waitLogAfter(0, want) }

func (d *server) waitLogAfter(offset int, want string) {
	d.t.Helper()
	deadline := time.After(patience)
	for !strings.Contains(d.log.String()[offset:], want) {
		select {
		case <-d.ended:
			d.t.Fatalf("ended: %v", d.exit)
		case <-deadline:
			d.t.Fatalf("the log does not contain %q", want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// wait returns the exit status.
func (d *server) wait() int {
	d.t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Fatal("did not end")
	}
	return d.cmd.ProcessState.ExitCode()
}

// address returns an attribute, an address, of the log line "serving".
func (d *server) address(attr string) string {
	d.t.Helper()
	m := regexp.MustCompile(`msg=serving.* ` + attr + `="?([^\s"]+)`).FindStringSubmatch(d.log.String())
	if m == nil {
		d.t.Fatalf("the log has no attribute %q", attr)
	}
	return m[1]
}

// get returns the status and the text at a path of the HTTP server.
func (d *server) get(path string) (int, string) {
	d.t.Helper()
	resp, err := http.Get("http://" + d.address("metrics") + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// wantMetric fails the test unless /metrics contains a line.
func (d *server) wantMetric(line string) {
	d.t.Helper()
	if _, text := d.get("/metrics"); !strings.Contains(text, "\n"+line+"\n") {
		d.t.Errorf("/metrics does not contain %q", line)
	}
}

// zoneServer serves the zone in testdata/mail.
func zoneServer(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("testdata/mail/zone")
	if err != nil {
		t.Fatal(err)
	}
	return dnstest.Serve(t, dnstest.MustParse(t, string(text)))
}

// common returns a configuration with free ports.
func common(dns, more string) string {
	return fmt.Sprintf(`authserv_id = "mx.example.org"
listen = ["inet:0@127.0.0.1"]
dns = { servers = [%q], timeout = "1s" }
metrics.listen = "127.0.0.1:0"
`, dns) + more
}

// spoofed is a message that fails, with a forged field.
var spoofed = mail{
	client: "192.0.2.99", clientName: "[192.0.2.99]", helo: "out.example.net", from: "alice@example.com", queueID: "4gTest",
	header: [][2]string{
		{"Authentication-Results", " mx.example.org; dkim=pass"},
		{"From", " Alice <alice@example.com>"},
	},
	body: "Hello\r\n",
}

func TestServeWithoutConfig(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:8894", "127.0.0.1:9894"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Skipf("a default port is taken: %v", err)
		}
		l.Close()
	}
	if _, err := os.Stat("/etc/resolv.conf"); err != nil {
		t.Skipf("no resolvers: %v", err)
	}
	d := serving(t, "", nil)
	if got := d.address("listen"); got != "inet:8894@127.0.0.1" {
		t.Errorf("listens on %s", got)
	}
	connect(t, "inet:8894@127.0.0.1")
	if got := d.address("metrics"); got != "127.0.0.1:9894" {
		t.Errorf("metrics on %s", got)
	}
	if code, _ := d.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
	d.signal(syscall.SIGTERM)
	if code := d.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

func TestServeHTTP(t *testing.T) {
	d := serving(t, common(zoneServer(t), ""), nil)
	if code, text := d.get("/healthz"); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/healthz: %d %q", code, text)
	}
	d.wantMetric(`authmilter_dns_queries_total{qtype="NS",rcode="NOERROR"} 0`)
	if code, text := d.get("/readyz"); code != http.StatusOK || text != "ready\n" {
		t.Errorf("/readyz: %d %q", code, text)
	}
	d.wantMetric(`authmilter_dns_queries_total{qtype="NS",rcode="NOERROR"} 1`)
	if code, text := d.get("/"); code != http.StatusOK || !strings.Contains(text, "mx.example.org") {
		t.Errorf("/: %d %q", code, text)
	}
	d.wantMetric("authmilter_config_last_reload_successful 1")
	d.wantMetric(`authmilter_messages_total{disposition="none",listener="inet:0@127.0.0.1"} 0`)
	d.wantMetric(`authmilter_milter_protocol_errors_total{reason="empty_packet"} 0`)
}

func TestServeNotReadyWithoutDNS(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	d := serving(t, common(silent.LocalAddr().String(), "")+"limits.dns_time = \"1s\"\n", nil)
	code, text := d.get("/readyz")
	if code != http.StatusServiceUnavailable || !strings.HasPrefix(text, "not ready: ") {
		t.Errorf("/readyz: %d %q", code, text)
	}
	if code, _ := d.get("/healthz"); code != http.StatusOK {
		t.Errorf("/healthz: %d", code)
	}
}

func TestServePortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	for _, tt := range []struct{ name, config, want string }{
		{
			"listen",
			fmt.Sprintf("metrics.listen = \"\"\ndns.servers = [\"127.0.0.1\"]\nlisten = [\n  \"inet:0@127.0.0.1\",\n  \"inet:%d@127.0.0.1\"]\n", port),
			fmt.Sprintf("FILE:3: listen: inet:%d@127.0.0.1: address already in use\n", port),
		},
		{
			"metrics",
			fmt.Sprintf("dns.servers = [\"127.0.0.1\"]\nlisten = [\"inet:0@127.0.0.1\"]\n[metrics]\nlisten = \"127.0.0.1:%d\"\n", port),
			fmt.Sprintf("FILE:4: metrics.listen: 127.0.0.1:%d: address already in use\n", port),
		},
		{
			"socket in a missing directory",
			"dns.servers = [\"127.0.0.1\"]\nlisten = [\"unix:/nowhere/at/all.sock\"]\n",
			"FILE:2: listen: unix:/nowhere/at/all.sock: listen unix /nowhere/at/all.sock: bind: no such file or directory\n",
		},
		{"bad config", "nonsense = 1\n", "FILE:1: nonsense: unknown key\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := start(t, tt.config, nil)
			if code := d.wait(); code != exitFinding {
				t.Errorf("exit status %d", code)
			}
			if got := strings.ReplaceAll(d.log.String(), d.path, "FILE"); got != "authmilter: "+tt.want {
				t.Errorf("got  %swant authmilter: %s", got, tt.want)
			}
		})
	}
}

func TestServeFinishesMessageInFlight(t *testing.T) {
	d := serving(t, common(zoneServer(t), ""), nil)
	m := connect(t, d.address("listen"))
	idle := connect(t, d.address("listen"))
	m.begin(spoofed)
	d.waitBusy()
	d.signal(syscall.SIGTERM)
	d.waitLog("shutting down")
	if n, err := idle.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("an idle connection stays open: %d octets, %v", n, err)
	}
	if code, text := d.get("/readyz"); code != http.StatusServiceUnavailable || text != "not ready: shutting down\n" {
		t.Errorf("/readyz: %d %q", code, text)
	}
	edits := m.end(spoofed)
	if len(edits) != 2 || edits[0] != "delete 1 Authentication-Results" || !strings.Contains(edits[1], "dmarc=fail") {
		t.Errorf("edits: %q", edits)
	}
	if code := d.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if !strings.Contains(d.log.String(), "queue_id=4gTest") || !strings.Contains(d.log.String(), "msg=stopped") {
		t.Error("the message or the end is not in the log")
	}
}

// waitBusy returns once the daemon has sent DNS queries for a message.
func (d *server) waitBusy() {
	d.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		if _, text := d.get("/metrics"); strings.Contains(text, `authmilter_dns_queries_total{qtype="TXT"`) {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatal("no message is in flight")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestServeCutsOffAfterLimit(t *testing.T) {
	d := serving(t, common(zoneServer(t), "limits.shutdown = \"50ms\"\n"), nil)
	connect(t, d.address("listen")).begin(spoofed)
	d.waitBusy()
	d.signal(syscall.SIGINT)
	if code := d.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if !strings.Contains(d.log.String(), "messages in flight were cut off") {
		t.Error("the log does not report it")
	}
}

func TestServeReload(t *testing.T) {
	dns := zoneServer(t)
	sockets := t.TempDir()
	first, second := "unix:"+sockets+"/first", "unix:"+sockets+"/second"
	config := func(id, more string, listen ...string) string {
		return fmt.Sprintf("authserv_id = %q\nlisten = [\"%s\"]\ndns.servers = [%q]\nmetrics.listen = \"127.0.0.1:0\"\n%s",
			id, strings.Join(listen, `", "`), dns, more)
	}
	d := serving(t, config("one.example", "", first), nil)
	old := connect(t, first)
	inFlight := connect(t, first)
	if edits := old.deliver(spoofed); len(edits) != 1 || !strings.HasPrefix(edits[0], "Authentication-Results: one.example;") {
		t.Errorf("edits: %q", edits)
	}
	inFlight.begin(spoofed)

	// An invalid configuration is refused as a whole.
	d.reload(config("two.example", "log.level = \"loud\"\n", second), "configuration refused")
	if want := fmt.Sprintf(`error="%s:5: log.level: \"loud\" is not`, d.path); !strings.Contains(d.log.String(), want) {
		t.Errorf("the log does not contain %s", want)
	}
	d.wantMetric("authmilter_config_last_reload_successful 0")
	if edits := old.deliver(spoofed); len(edits) != 1 || !strings.HasPrefix(edits[0], "Authentication-Results: one.example;") {
		t.Errorf("edits: %q", edits)
	}
	// So is one that is valid but cannot be applied.
	d.reload(config("two.example", "", "unix:/nowhere/at/all"), "nowhere/at/all: bind")
	d.reload(config("two.example", "limits.connections = 7\n", first), ":5: limits.connections: cannot change without a restart")
	d.reload(strings.Replace(config("two.example", "", first), ":0\"", ":1x\"", 1), ":4: metrics.listen")
	if _, err := os.Stat(sockets + "/second"); !os.IsNotExist(err) {
		t.Errorf("a socket from a refused configuration: %v", err)
	}
	// A file that is not regular is neither waited for nor read forever.
	if err := errors.Join(os.Rename(d.path, d.path+".old"), syscall.Mkfifo(d.path, 0o600)); err != nil {
		t.Fatal(err)
	}
	d.signal(syscall.SIGHUP)
	d.waitLog(d.path + ": is a FIFO, not a regular file")
	if err := os.Rename(d.path+".old", d.path); err != nil {
		t.Fatal(err)
	}

	// A valid one applies to messages that begin from now on.
	d.reload(config("two.example", "", first, second), "configuration reloaded")
	d.wantMetric("authmilter_config_last_reload_successful 1")
	if edits := inFlight.end(spoofed); len(edits) != 1 || !strings.HasPrefix(edits[0], "Authentication-Results: one.example;") {
		t.Errorf("edits: %q", edits)
	}
	for _, m := range []*mta{old, connect(t, second)} {
		if edits := m.deliver(spoofed); len(edits) != 1 || !strings.HasPrefix(edits[0], "Authentication-Results: two.example;") {
			t.Errorf("edits: %q", edits)
		}
	}

	// A removed listener is closed, and the log format changes.
	d.reload(config("two.example", "log.format = \"json\"\n", second), `"msg":"configuration reloaded"`)
	if n, err := old.conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("an idle connection of a closed listener: %d octets, %v", n, err)
	}
	if _, err := os.Stat(sockets + "/first"); !os.IsNotExist(err) {
		t.Errorf("the socket of a closed listener: %v", err)
	}
	connect(t, second).deliver(spoofed)
	d.waitLog(`"queue_id":"4gTest"`)

	// Metrics can be turned off, and the log level raised.
	web := d.address("metrics")
	d.reload(strings.Replace(config("two.example", "", second), "127.0.0.1:0", "", 1), "msg=\"configuration reloaded\"")
	if conn, err := net.Dial("tcp", web); err == nil {
		conn.Close()
		t.Error("metrics are still served")
	}
	d.signal(syscall.SIGTERM)
	if code := d.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if _, err := os.Stat(sockets + "/second"); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestServeUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "authmilter.sock")
	// A socket left behind by a killed process.
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()

	config := "listen = [\"unix:" + path + "\"]\ndns.servers = [\"127.0.0.1\"]\nmetrics.listen = \"\"\n"
	d := serving(t, config+"socket_mode = \"0620\"\n", nil)
	wantMode := func(want os.FileMode) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("mode %o, not %o", info.Mode().Perm(), want)
		}
	}
	wantMode(0o620)
	connect(t, "unix:"+path)

	// A second daemon does not take the socket over.
	other := start(t, config, nil)
	if code := other.wait(); code != exitFinding || !strings.Contains(other.log.String(), ":1: listen: unix:"+path+": address already in use") {
		t.Errorf("exit status %d", code)
	}
	connect(t, "unix:"+path)

	d.reload(config+"socket_mode = \"0666\"\n", "configuration reloaded")
	wantMode(0o666)
}

// TestServeUnixSocketRemoved checks that a reload makes a socket again that somebody
// removed, and that the end removes none of somebody else's.
func TestServeUnixSocketRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "authmilter.sock")
	config := "authserv_id = \"mx.example.org\"\nlisten = [\"unix:" + path + "\"]\ndns.servers = [\"" + zoneServer(t) + "\"]\nmetrics.listen = \"127.0.0.1:0\"\n"
	d := serving(t, config, nil)
	remove := func() {
		t.Helper()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	inFlight := connect(t, "unix:"+path)
	inFlight.begin(spoofed)
	d.waitBusy()
	remove()
	d.reload(config, "configuration reloaded")
	for _, edits := range [][]string{connect(t, "unix:"+path).deliver(spoofed), inFlight.end(spoofed)} {
		if len(edits) != 2 {
			t.Errorf("edits: %q", edits)
		}
	}
	// Nothing is replaced that is not a stale socket.
	remove()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.reload(config, "configuration refused")
	d.waitLog("the file exists and is not a socket")
	remove()
	other, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	d.reload(config, path+": address already in use")
	d.signal(syscall.SIGTERM)
	if code := d.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("another process's socket: %v", err)
	}
}

func TestServeUnderSystemd(t *testing.T) {
	dir := t.TempDir()
	notified, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer notified.Close()
	wantState := func(want string) {
		t.Helper()
		if err := notified.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := notified.Read(b)
		if err != nil || string(b[:n]) != want {
			t.Errorf("notification %q, want %q (%v)", b[:n], want, err)
		}
	}
	passed, err := net.Listen("unix", dir+"/passed")
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	file, err := passed.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()

	d := serving(t, common(zoneServer(t), ""), func(c *exec.Cmd) {
		// systemd passes the id of the process that the sockets are for.
		c.Path = "/bin/sh"
		c.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, c.Args...)
		c.Env = append(c.Env, "LISTEN_FDS=1", "NOTIFY_SOCKET="+dir+"/notify")
		c.ExtraFiles = []*os.File{file}
	})
	wantState("READY=1")
	if got := d.address("listen"); got != "unix:"+dir+"/passed" {
		t.Errorf("listens on %s", got)
	}
	if edits := connect(t, "unix:"+dir+"/passed").deliver(spoofed); len(edits) != 2 {
		t.Errorf("edits: %q", edits)
	}
	d.reload(common(zoneServer(t), ""), "configuration reloaded")
	connect(t, "unix:"+dir+"/passed").deliver(spoofed)
	d.signal(syscall.SIGTERM)
	wantState("STOPPING=1")
	if code := d.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
