package mta

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Times within which Postfix must start, stop and pass a message on.
const (
	startTime   = 30 * time.Second
	stopTime    = 10 * time.Second
	deliverTime = 60 * time.Second
)

// maxSocketPath is the longest path of a unix socket, less the longest name
// that Postfix gives one of its own.
const maxSocketPath = 107 - len("/queue/private/postscreen_cache")

// Postfix is a private instance of Postfix: its own configuration, queue and
// port, nothing shared with an instance of the machine's own.
type Postfix struct {
	name string
	addr string
	dir  string
	sink *Sink
	sent atomic.Int64
}

var _ MTA = (*Postfix)(nil)

// StartPostfix starts an instance that consults the milter at an address in
// Postfix's notation, such as "inet:127.0.0.1:8894". It is stopped at the end
// of the test, which shows its log if the test failed.
func StartPostfix(t testing.TB, milter string) *Postfix {
	t.Helper()
	sink := NewSink(t)
	return startPostfix(t, Hostname, milter, sink, sink.Port())
}

// StartPostfixBefore starts an instance called name that passes everything on
// to another one, next.
func StartPostfixBefore(t testing.TB, next *Postfix, name, milter string) *Postfix {
	t.Helper()
	_, port, err := net.SplitHostPort(next.addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return startPostfix(t, name, milter, next.sink, n)
}

// startPostfix starts an instance that passes everything on to a port, from
// where it comes to the sink.
func startPostfix(t testing.TB, name, milter string, sink *Sink, next int) *Postfix {
	t.Helper()
	postfix, owner, err := findPostfix()
	Require(t, err)
	p := &Postfix{name: name, sink: sink}
	port := FreePort(t)
	p.addr = Loopback(port)
	p.dir = p.makeDirs(t, owner)
	p.write(t, "main.cf", fmt.Sprintf(mainCF, p.dir, p.name, Domain, milter, next))
	p.write(t, "master.cf", fmt.Sprintf(masterCF, port))

	// What "postfix start" does before it starts the master, which then would
	// outlive us.
	if out, err := exec.Command(postfix, "-c", p.etc(), "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s%s", err, out, p.log())
	}
	p.run(t, postfix)
	return p
}

// findPostfix returns the path of postfix(1), and the user that its processes
// run as.
func findPostfix() (program string, owner *user.User, err error) {
	if os.Getuid() != 0 {
		return "", nil, errNotRoot
	}
	program, err = exec.LookPath("postfix")
	if err != nil {
		const sbin = "/usr/sbin/postfix" // where it is for users whose PATH lacks it
		if program, err = exec.LookPath(sbin); err != nil {
			return "", nil, errors.New("Postfix is not installed")
		}
	}
	owner, err = user.Lookup("postfix")
	return program, owner, err
}

// makeDirs makes the directories of the instance.
func (p *Postfix) makeDirs(t testing.TB, owner *user.User) string {
	t.Helper()
	dir := TempDir(t)
	if len(dir) > maxSocketPath {
		t.Fatalf("%s is too long for Postfix's sockets: set TMPDIR to something shorter", dir)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "etc"), 0o755),
		os.Mkdir(filepath.Join(dir, "queue"), 0o755),
		os.Mkdir(filepath.Join(dir, "data"), 0o700),
		os.Chown(filepath.Join(dir, "data"), uid, 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (p *Postfix) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(p.etc(), name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run starts the master daemon as our child, which ends when we do,
// and waits until it greets clients.
func (p *Postfix) run(t testing.TB, postfix string) {
	t.Helper()
	postconf := filepath.Join(filepath.Dir(postfix), "postconf")
	daemons, err := exec.Command(postconf, "-c", p.etc(), "-h", "daemon_directory").Output()
	if err != nil {
		t.Fatalf("postconf: %v", err)
	}
	// -s: no files of ours are needed for its output. It wants to lead a session.
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-c", p.etc(), "-s")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = stopTime
	if err := cmd.Start(); err != nil {
		t.Fatalf("Postfix: %v", err)
	}
	ended := make(chan struct{})
	var exit error
	go func() {
		exit = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // takes its children with it
		select {
		case <-ended:
		case <-time.After(stopTime):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-ended
			t.Errorf("Postfix did not stop within %v", stopTime)
		}
		if t.Failed() {
			t.Logf("Postfix's log:\n%s", p.log())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	for !greets(p.addr) {
		select {
		case <-ended:
			t.Fatalf("Postfix ended at its start: %v\n%s", exit, output.Bytes())
		case <-ctx.Done():
			t.Fatalf("Postfix does not greet on %s", p.addr)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// greets tells whether an SMTP server greets who connects to addr.
func greets(addr string) bool {
	c, err := net.DialTimeout("tcp", addr, startTime)
	if err != nil {
		return false
	}
	defer c.Close()
	if c.SetDeadline(time.Now().Add(startTime)) != nil {
		return false
	}
	greeting := make([]byte, 4)
	_, err = io.ReadFull(c, greeting)
	return err == nil && string(greeting) == "220 "
}

// etc returns the directory of the configuration.
func (p *Postfix) etc() string { return filepath.Join(p.dir, "etc") }

// log returns what the instance logged.
func (p *Postfix) log() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Deliver implements [MTA]. The recipients' mailboxes get a number, which tells
// the messages of a run apart.
func (p *Postfix) Deliver(t testing.TB, c Client, messages ...Message) []Delivery {
	t.Helper()
	s, err := dialSMTP(p.addr, c)
	if err != nil {
		t.Fatalf("SMTP: %v", err)
	}
	defer s.quit()
	deliveries := make([]Delivery, len(messages))
	for i, m := range messages {
		m.To = fmt.Sprintf("%d.%s", p.sent.Add(1), m.To)
		d := &deliveries[i]
		if d.Code, d.Reply, err = s.send(m); err != nil {
			t.Fatalf("SMTP: %v", err)
		}
		if d.Code >= 300 {
			continue
		}
		mail, err := p.sink.Wait(m.To, deliverTime)
		if err != nil {
			t.Fatalf("Postfix answered %q, but: %v", d.Reply, err)
		}
		if mail.From != m.From {
			t.Errorf("Postfix passed a message from <%s> on as from <%s>", m.From, mail.From)
		}
		d.Args = mail.Args
		d.Top, d.Header, d.Body = splitMail(t, mail.Data, p.ownReceived(c, m))
	}
	return deliveries
}

// ownReceived matches the Received field that Postfix writes for a message. All
// of it is known beforehand but the queue's id and the time.
func (p *Postfix) ownReceived(c Client, m Message) *regexp.Regexp {
	name := c.Name
	if name == "" {
		name = "unknown"
	}
	with := "ESMTP"
	if strings.Contains(m.Args, "SMTPUTF8") {
		with = "UTF8SMTP"
	}
	if c.Login != "" {
		with += "A"
	}
	helo := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" <>()\\\";@", r) {
			return '?' // as smtpd writes what could be taken for syntax
		}
		return r
	}, c.Helo)
	quote := regexp.QuoteMeta
	return regexp.MustCompile(`(?m)^Received: from ` + quote(helo) +
		` \(` + quote(name) + ` \[` + quote(traceAddr(c.Addr)) + `\]\)\r\n` +
		`\tby ` + quote(p.name) + ` \(Postfix\) with ` + with + ` id [0-9A-Za-z]+\r\n` +
		`\tfor <` + quote(m.To) + `>; \w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [-+]\d{4} \(\w+\)\r\n`)
}

// traceAddr returns an address as Received fields write it (RFC 5321 section
// 4.1.3).
func traceAddr(a netip.Addr) string {
	if a.Is6() {
		return "IPv6:" + a.String()
	}
	return a.String()
}

// splitMail splits a message at the MTA's own Received field, and at the end of
// the header.
func splitMail(t testing.TB, data []byte, own *regexp.Regexp) (top, header, body []byte) {
	t.Helper()
	head, body, ok := bytes.Cut(data, []byte("\r\n\r\n"))
	if ok {
		head = data[:len(head)+2]
	}
	at := own.FindAllIndex(head, -1)
	if len(at) != 1 {
		t.Fatalf("%d Received fields are the MTA's own, of the form %v, in:\n%s", len(at), own, head)
	}
	return head[:at[0][0]], head[at[0][1]:], body
}

// mainCF takes the directory, the host name, the domain accepted, the milter and
// the port of the sink.
//
// Everything goes to the sink: no local delivery, and bounces too go nowhere
// else. Nothing rewrites a message: neither headers of local clients, nor line
// ends, nor long lines. The client is whom XCLIENT names. No name is looked up
// but by the milter. A milter that fails shows as a message that is deferred.
const mainCF = `compatibility_level = 3.6
queue_directory = %[1]s/queue
data_directory = %[1]s/data
maillog_file = %[1]s/log
maillog_file_prefixes = %[1]s
myhostname = %[2]s
mydomain = example.org
myorigin = $myhostname
inet_interfaces = 127.0.0.1
inet_protocols = all
mynetworks = 127.0.0.0/8
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
local_transport = error:no local delivery
relay_domains = %[3]s
relay_transport = smtp
relayhost = [127.0.0.1]:%[5]d
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_line_length_limit = 0
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_milters = %[4]s
milter_protocol = 6
milter_default_action = tempfail
local_header_rewrite_clients =
smtputf8_enable = yes
message_size_limit = 52428800
mailbox_size_limit = 0
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
minimal_backoff_time = 1000s
`

// masterCF takes the port of smtpd.
const masterCF = `127.0.0.1:%d inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`
