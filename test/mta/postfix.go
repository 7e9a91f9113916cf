package mta

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"authmilter/test/need"
)

// maxSocketPath is the maximum length of the instance's directory: the longest path
// of a unix socket, less the longest name that Postfix gives a socket.
const maxSocketPath = 107 - len("/queue/private/postscreen_cache")

// Postfix is a private instance of Postfix. It has its own configuration, queue
// and port, and shares nothing with the machine's own Postfix.
type Postfix struct {
	relay
	name string
	addr string
	dir  string
	// options are the options of smtpd, and lines of other services, in master.cf.
	options string
	arrival
}

var _ MTA = (*Postfix)(nil)

// StartPostfix starts an instance that uses the milter at an address in Postfix's
// notation, such as "inet:127.0.0.1:8894". It stops at the end of the test. If the
// test failed, its log is shown.
func StartPostfix(t testing.TB, milter string) *Postfix {
	t.Helper()
	sink := NewSink(t)
	return startPostfix(t, Hostname, milter, sink, fmt.Sprintf(asItCame, sink.Port()))
}

// StartStockPostfix starts an instance that changes messages in transit as Postfix
// does by default. It passes on mail for [Domain] over SMTP, and mail for
// [LMTPDomain] over LMTP. own says whether Postfix treats all clients as clients
// of its own network.
func StartStockPostfix(t testing.TB, milter string, own bool) *Postfix {
	t.Helper()
	sink := NewSink(t)
	lines := fmt.Sprintf(stock, sink.Port(), LMTPDomain)
	if !own {
		// For Postfix the clients of a test are local, even after XCLIENT.
		lines += "\nlocal_header_rewrite_clients ="
	}
	return startPostfix(t, Hostname, milter, sink, lines)
}

// StartPostfixBefore starts an instance called name that passes everything on to
// the instance next.
func StartPostfixBefore(t testing.TB, next *Postfix, name, milter string) *Postfix {
	t.Helper()
	return startPostfix(t, name, milter, next.sink, fmt.Sprintf(asItCame, next.port()))
}

// startPostfix starts an instance. next is the configuration for the next hop, to
// which it passes everything on; all mail ends up in sink.
func startPostfix(t testing.TB, name, milter string, sink *Sink, next string) *Postfix {
	t.Helper()
	return launchPostfix(t, &Postfix{name: name, arrival: byXClient}, milter, sink, next)
}

// launchPostfix starts p, which knows its name and how clients arrive.
func launchPostfix(t testing.TB, p *Postfix, milter string, sink *Sink, next string) *Postfix {
	t.Helper()
	postfix, owner, err := findPostfix()
	need.Found(t, err)
	p.relay = relay{program: "Postfix", connect: p.connect, received: func(c Client, m Message) *regexp.Regexp { return p.ownReceived(p.seen(c), m) }, holds: p.holds, log: p.log, sink: sink}
	port := FreePort(t)
	p.addr = Loopback(port)
	p.dir = p.makeDirs(t, owner)
	p.write(t, "main.cf", fmt.Sprintf(mainCF, p.dir, p.name, Domain+" "+LMTPDomain, milterLines(t, milter), next))
	p.write(t, "master.cf", fmt.Sprintf(masterCF, port, p.options))

	// "postfix start" does this too, but then starts a master that would outlive
	// the test.
	if out, err := exec.Command(postfix, "-c", p.etc(), "check").CombinedOutput(); err != nil {
		t.Fatalf("postfix check: %v\n%s%s", err, out, p.log())
	}
	p.start(t, masterCommand(t, postfix, p.etc()), func() (net.Conn, error) { return p.dial(Client{Addr: loopback}) })
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
		const sbin = "/usr/sbin/postfix" // may not be in PATH
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
		t.Fatalf("%s is too long for Postfix's sockets: set TMPDIR to a shorter path", dir)
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

// masterCommand returns the command that runs the master daemon. Its children exit
// when it does.
func masterCommand(t testing.TB, postfix, etc string) *exec.Cmd {
	t.Helper()
	postconf := filepath.Join(filepath.Dir(postfix), "postconf")
	daemons, err := exec.Command(postconf, "-c", etc, "-h", "daemon_directory").Output()
	if err != nil {
		t.Fatalf("postconf: %v", err)
	}
	// -s: leave stdin, stdout and stderr alone.
	return exec.Command(filepath.Join(strings.TrimSpace(string(daemons)), "master"), "-c", etc, "-s")
}

// etc returns the configuration directory.
func (p *Postfix) etc() string { return filepath.Join(p.dir, "etc") }

// log returns the log of the instance.
func (p *Postfix) log() string {
	b, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// holds reports whether a message to the recipient to is in the hold queue.
func (p *Postfix) holds(t testing.TB, to string) bool {
	t.Helper()
	out, err := exec.Command("postqueue", "-c", p.etc(), "-j").Output()
	if err != nil {
		t.Fatalf("postqueue: %v", err)
	}
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte(`"queue_name": "hold"`)) && bytes.Contains(line, []byte(`"`+to+`"`)) {
			return true
		}
	}
	return false
}

// ownReceived matches the Received field that Postfix adds to a message. Only the
// queue ID and the time are not known in advance.
func (p *Postfix) ownReceived(c Client, m Message) *regexp.Regexp {
	name := c.Name
	if name == "" {
		name = "unknown"
	}
	with, login := "ESMTP", ""
	if c.Helo == "" {
		with = "SMTP"
	}
	if strings.Contains(m.Args, "SMTPUTF8") {
		with = "UTF8SMTP"
	}
	if c.Login != "" {
		with += "A"
		login = "\t(Authenticated sender: " + c.Login + ")\r\n"
	}
	quote := regexp.QuoteMeta
	from := "Received: from " + postfixHelo(c.Helo, name) + " (" + name + " [" + traceAddr(c.Addr) + "])"
	return regexp.MustCompile(`(?m)^` + broken(from) + `\r\n` +
		quote(login) + `\tby ` + quote(p.name) + ` \(Postfix\) with ` + with + ` id [0-9A-Za-z]+\r\n` +
		`\tfor <` + quote(m.To) + `>; \w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [-+]\d{4} \(\w+\)\r\n`)
}

// broken matches a line that Postfix may have broken.
func broken(line string) string {
	const most = 998
	if len(line) <= most {
		return regexp.QuoteMeta(line)
	}
	return regexp.QuoteMeta(line[:most]) + `(?:\r\n )?` + broken(line[most:])
}

// postfixHelo returns what Postfix writes of a client's EHLO. If there was none, it
// writes the client's name.
func postfixHelo(helo, name string) string {
	helo, _, _ = strings.Cut(strings.Trim(helo, " "), "\x00")
	if helo == "" {
		return name
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || strings.ContainsRune(" <>()\\\";@", r) {
			return '?' // smtpd replaces characters that could be taken for syntax
		}
		return r
	}, helo)
}

// milterLines returns the configuration from the documentation for a milter at
// address, with one change: if the milter fails, messages are deferred, so that
// the test notices. Without an address there is no milter.
func milterLines(t testing.TB, address string) string {
	t.Helper()
	if address == "" {
		return ""
	}
	const page = "postfix.md"
	documentedAddress := "inet:127.0.0.1:8894"
	if strings.HasPrefix(address, "unix:") {
		documentedAddress = "unix:authmilter/authmilter.sock"
	}
	line := documented(t, page, "smtpd_milters = ", documentedAddress, address)
	return strings.Replace(line, "default_action=accept", "default_action=tempfail", 1) +
		"\n" + documented(t, page, "milter_protocol", "6", "6")
}

// mainCF is a format for the directory, the host name, the accepted domains, and
// the configuration for the milter and the next hop.
//
// Everything goes to the sink, even bounces: there is no local delivery. The
// client is the one that XCLIENT names. Only the milter looks up names.
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
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_sasl_authenticated_header = yes
%[4]s
%[5]s
smtputf8_enable = yes
message_size_limit = 52428800
mailbox_size_limit = 0
smtpd_error_sleep_time = 0
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
minimal_backoff_time = 1000s
`

// asItCame is a format for the port of the next hop, which gets each message
// unchanged: headers of local clients are not rewritten, and long lines are not
// broken.
const asItCame = `relayhost = [127.0.0.1]:%d
smtp_line_length_limit = 0
local_header_rewrite_clients =`

// stock is a format for the port of the sink and the domain whose mail the sink
// gets over LMTP.
const stock = `relayhost = [127.0.0.1]:%[1]d
transport_maps = inline:{%[2]s=lmtp:inet:127.0.0.1:%[1]d}`

// masterCF is a format for the port of smtpd, and its options.
const masterCF = `127.0.0.1:%d inet n - n - - smtpd
%scleanup unix n - n - 0 cleanup
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
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`
