package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// logStream is a standard error whose reader can go away or stall.
type logStream struct {
	reader, writer *os.File
	// try writes without waiting, and without changing how the daemon writes.
	try func([]byte) error
}

// pipeStream is a pipe, as most supervisors use.
func pipeStream(t *testing.T) logStream {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(flags int) *os.File {
		f, err := os.OpenFile(path, flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	s := logStream{reader: open(os.O_RDONLY | syscall.O_NONBLOCK), writer: open(os.O_WRONLY)}
	other := int(open(os.O_WRONLY | syscall.O_NONBLOCK).Fd())
	if err := syscall.SetNonblock(other, true); err != nil { // Fd has changed that
		t.Fatal(err)
	}
	s.try = func(p []byte) error {
		_, err := syscall.Write(other, p)
		return err
	}
	return s
}

// socketStream is a stream socket, as systemd uses for its journal.
func socketStream(t *testing.T) logStream {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.SetNonblock(ends[0], true); err != nil { // allows deadlines
		t.Fatal(err)
	}
	s := logStream{
		reader: os.NewFile(uintptr(ends[0]), "reader"),
		writer: os.NewFile(uintptr(ends[1]), "writer"),
		try:    func(p []byte) error { return syscall.Sendto(ends[1], p, syscall.MSG_DONTWAIT, nil) },
	}
	t.Cleanup(func() { s.reader.Close(); s.writer.Close() })
	return s
}

// fill writes empty lines until there is no room for another octet.
func (s logStream) fill(t *testing.T) {
	t.Helper()
	for _, size := range []int{4096, 1} {
		var err error
		for err == nil {
			err = s.try([]byte(strings.Repeat("\n", size)))
		}
		if !errors.Is(err, syscall.EAGAIN) {
			t.Fatal(err)
		}
	}
}

// loggedServer is a daemon whose log the test reads itself, or does not read.
type loggedServer struct {
	*server
	stream logStream
	lines  *bufio.Scanner
}

// servingTo starts a daemon that logs to s, and reads the log until it serves.
func servingTo(t *testing.T, s logStream, config string, prepare func(*exec.Cmd)) *loggedServer {
	t.Helper()
	d := &loggedServer{stream: s, lines: bufio.NewScanner(s.reader)}
	d.server = start(t, config, func(c *exec.Cmd) {
		c.Stderr = s.writer
		if prepare != nil {
			prepare(c)
		}
	})
	d.readLog("msg=serving")
	return d
}

// readLog reads the log up to a line that contains want, and returns the lines.
func (d *loggedServer) readLog(want string) (lines []string) {
	d.t.Helper()
	if err := d.stream.reader.SetReadDeadline(time.Now().Add(patience)); err != nil {
		d.t.Fatal(err)
	}
	for d.lines.Scan() {
		fmt.Fprintln(&d.log, d.lines.Text())
		lines = append(lines, d.lines.Text())
		if strings.Contains(d.lines.Text(), want) {
			return lines
		}
	}
	d.t.Fatalf("no line contains %q: %v", want, d.lines.Err())
	return nil
}

// metric returns the value of a metric without labels.
func (d *server) metric(name string) int {
	d.t.Helper()
	_, text := d.get("/metrics")
	m := regexp.MustCompile(`(?m)^authmilter_` + name + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		d.t.Fatalf("there is no metric %s", name)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		d.t.Fatal(err)
	}
	return int(n)
}

// dropped returns how many log lines were dropped.
func (d *server) dropped() int { d.t.Helper(); return d.metric("log_lines_dropped_total") }

// waitMetric waits until a metric without labels has at least a value.
func (d *server) waitMetric(name string, least int) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); d.metric(name) < least; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s is only %d", name, d.metric(name))
		}
	}
}

// wantVerdict checks the edits for spoofed by the verifier with an authserv-id.
func wantVerdict(t *testing.T, edits []string, id string) {
	t.Helper()
	if len(edits) == 0 || !strings.HasPrefix(edits[len(edits)-1], "Authentication-Results: "+id+";") || !strings.Contains(edits[len(edits)-1], "dmarc=fail") {
		t.Errorf("edits: %q", edits)
	}
}

// reloadUnseen makes the daemon load a configuration with the authserv-id
// two.example, and waits until messages are judged under it.
func (d *server) reloadUnseen(config string) {
	d.t.Helper()
	d.configure(strings.Replace(config, "mx.example.org", "two.example", 1))
	d.signal(syscall.SIGHUP)
	m := connect(d.t, d.address("listen"))
	for deadline := time.Now().Add(patience); ; {
		edits := m.deliver(spoofed)
		if strings.HasPrefix(edits[len(edits)-1], "Authentication-Results: two.example;") {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("not reloaded: %q", edits)
		}
	}
}

// wantEnd sends SIGTERM and checks the exit status and that the daemon ends in time.
func (d *server) wantEnd(status int, within time.Duration) {
	d.t.Helper()
	begun := time.Now()
	d.signal(syscall.SIGTERM)
	if code := d.wait(); code != status {
		d.t.Errorf("exit status %d (%v), want %d", code, d.exit, status)
	}
	if took := time.Since(begun); took > within {
		d.t.Errorf("SIGTERM ends it after %v", took)
	}
}

// slack is what a busy machine may add to a time limit.
const slack = 5 * time.Second

// TestServeLogReaderGone closes the other end of the log with messages in flight.
func TestServeLogReaderGone(t *testing.T) {
	ignored := func(c *exec.Cmd) {
		c.Path = "/bin/sh"
		c.Args = append([]string{"sh", "-c", `trap "" PIPE; exec "$@"`, "sh"}, c.Args...)
	}
	for _, tt := range []struct {
		name    string
		stream  func(*testing.T) logStream
		prepare func(*exec.Cmd)
	}{
		{"pipe", pipeStream, nil},
		{"pipe, SIGPIPE ignored at start", pipeStream, ignored},
		{"socket", socketStream, nil},
		{"socket, SIGPIPE ignored at start", socketStream, ignored},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.stream(t)
			config := common(zoneServer(t), "")
			d := servingTo(t, s, config, tt.prepare)
			var inFlight []*mta
			for range 5 {
				m := connect(t, d.address("listen"))
				m.begin(spoofed)
				inFlight = append(inFlight, m)
			}
			d.waitBusy()
			s.reader.Close()
			for _, m := range inFlight {
				wantVerdict(t, m.end(spoofed), "mx.example.org")
				wantVerdict(t, m.deliver(spoofed), "mx.example.org")
			}
			d.reloadUnseen(config)
			d.waitMetric("log_lines_dropped_total", 2*len(inFlight))
			d.wantEnd(0, slack)
		})
	}
}

// TestServeLogStalls stops reading the log with messages in flight.
func TestServeLogStalls(t *testing.T) {
	for name, stream := range map[string]func(*testing.T) logStream{"pipe": pipeStream, "socket": socketStream} {
		t.Run(name, func(t *testing.T) {
			s := stream(t)
			config := common(zoneServer(t), "limits.shutdown = \"2s\"\n")
			d := servingTo(t, s, config, nil)
			m, inFlight := connect(t, d.address("listen")), connect(t, d.address("listen"))
			inFlight.begin(spoofed)
			d.waitBusy()
			s.fill(t)
			wantVerdict(t, inFlight.end(spoofed), "mx.example.org")
			for range 10 {
				wantVerdict(t, m.deliver(spoofed), "mx.example.org")
			}
			d.reloadUnseen(config)
			inFlight.begin(spoofed)
			d.waitMetric("messages_in_flight", 1)
			d.wantEnd(0, 2*time.Second+slack)
		})
	}
}

// TestServeLogGoesOn stops reading the log until lines are dropped, then reads on.
func TestServeLogGoesOn(t *testing.T) {
	s := pipeStream(t)
	d := servingTo(t, s, common(zoneServer(t), "log.level = \"debug\"\n"), nil)
	m := connect(t, d.address("listen"))
	s.fill(t)
	last := 0
	for d.dropped() == 0 {
		for range 50 {
			wantVerdict(t, m.deliver(numbered(last)), "mx.example.org")
			last++
		}
	}
	time.Sleep(50 * time.Millisecond) // the last line follows its verdict
	dropped := d.dropped()
	lines := d.readLog(`msg="log lines were dropped"`)
	if want := fmt.Sprintf(" lines=%d", dropped); !strings.HasSuffix(lines[len(lines)-1], want) {
		t.Errorf("%q, want %q", lines[len(lines)-1], want)
	}
	if n := wantOrder(t, lines); n < 100 {
		t.Errorf("the log has only %d messages", n)
	}
	m.deliver(numbered(last))
	d.readLog(fmt.Sprintf("queue_id=4g%06d", last))
	if d.dropped() != dropped {
		t.Errorf("%d more lines were dropped", d.dropped()-dropped)
	}
	d.wantEnd(0, slack)
	d.readLog("msg=stopped")
}

// TestServeLogIsWrittenAtTheEnd reads the log only after SIGTERM.
func TestServeLogIsWrittenAtTheEnd(t *testing.T) {
	s := pipeStream(t)
	d := servingTo(t, s, common(zoneServer(t), "limits.shutdown = \"10m\"\n"), nil)
	m := connect(t, d.address("listen"))
	s.fill(t)
	const messages = 200
	for n := range messages {
		m.deliver(numbered(n))
	}
	d.signal(syscall.SIGTERM)
	time.Sleep(100 * time.Millisecond)
	if n := wantOrder(t, d.readLog("msg=stopped")); n != messages {
		t.Errorf("the log has %d messages", n)
	}
	if code := d.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// numbered returns a message with the queue ID of a number.
func numbered(n int) mail {
	msg := spoofed
	msg.queueID = fmt.Sprintf("4g%06d", n)
	return msg
}

// wantOrder checks that the lines of messages with the queue IDs 4g000000, 4g000001 and
// so on have no gap, and returns how many there are.
func wantOrder(t *testing.T, lines []string) (next int) {
	t.Helper()
	for _, line := range lines {
		if line != "" && !strings.HasPrefix(line, "time=") {
			t.Fatalf("not a whole line: %q", line)
		}
		if !strings.Contains(line, " msg=message ") {
			continue
		}
		if !strings.Contains(line, fmt.Sprintf("queue_id=4g%06d ", next)) {
			t.Fatalf("message %d has %q", next, line)
		}
		next++
	}
	return next
}

// TestServeEndsWhateverHangs has systemd's socket not read, so that serve hangs in its
// notification.
func TestServeEndsWhateverHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	silent, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	filler, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer filler.Close()
	if err := filler.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = filler.Write([]byte("x"))
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	config := common(zoneServer(t), "limits.shutdown = \"1s\"\n")
	prepare := func(c *exec.Cmd) { c.Env = append(c.Env, "NOTIFY_SOCKET="+path) }

	t.Run("log", func(t *testing.T) {
		d := serving(t, config, prepare)
		wantVerdict(t, connect(t, d.address("listen")).deliver(spoofed), "mx.example.org")
		d.wantEnd(exitFinding, time.Second+slack)
		if !strings.Contains(d.log.String(), `level=ERROR msg="ending although the shutdown has not finished"`) {
			t.Error("the log does not say so")
		}
	})
	t.Run("stalled log", func(t *testing.T) {
		s := pipeStream(t)
		d := servingTo(t, s, config, prepare)
		s.fill(t)
		wantVerdict(t, connect(t, d.address("listen")).deliver(spoofed), "mx.example.org")
		d.wantEnd(exitFinding, time.Second+slack)
	})
}
