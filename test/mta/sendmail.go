package mta

import (
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"authmilter/test/need"
)

// sendmailDir is where test/install.sh unpacks Sendmail. Its packages conflict
// with Postfix, so they cannot be installed.
const sendmailDir = "/var/cache/authmilter-test/sendmail"

// Ports of the host that Sendmail runs on.
const (
	smtpPort = 25
	sinkPort = 2525
)

// Sendmail is a private instance of Sendmail. It has its own configuration, queue
// and host, and shares nothing with the machine's own Sendmail.
type Sendmail struct {
	relay
	host *host
	dir  string

	// arrival serializes connections: Sendmail looks up the name of each client
	// before it sends the greeting.
	arrival sync.Mutex
}

var _ MTA = (*Sendmail)(nil)

// StartSendmail starts an instance that uses the milter at an address in
// Sendmail's notation, such as "inet:8894@127.0.0.1" or "local:/run/socket". It
// stops at the end of the test. If the test failed, its log is shown.
func StartSendmail(t testing.TB, milter string) *Sendmail {
	t.Helper()
	return startSendmail(t, milter, fmt.Sprintf(sendmailAsItCame, sinkPort))
}

// StartStockSendmail starts an instance that changes messages in transit as
// Sendmail does by default. It passes on mail for [Domain] over SMTP, and mail for
// [LMTPDomain] over LMTP.
func StartStockSendmail(t testing.TB, milter string) *Sendmail {
	t.Helper()
	return startSendmail(t, milter, fmt.Sprintf(sendmailStock, sinkPort, LMTPDomain))
}

// startSendmail starts an instance. next is the configuration for passing
// everything on to the sink.
func startSendmail(t testing.TB, milter, next string) *Sendmail {
	t.Helper()
	need.Found(t, findSendmail())
	s := &Sendmail{dir: SafeDir(t)}
	s.host = newHost(t, s.dir)
	s.relay = relay{program: "Sendmail", connect: s.connect, received: sendmailReceived, holds: s.holds, log: s.host.log.String}
	if err := os.Mkdir(filepath.Join(s.dir, "queue"), 0o700); err != nil {
		t.Fatal(err)
	}
	cf := s.configure(t, milter, next)
	// -bD: a daemon, but in the foreground.
	cmd := s.host.command(filepath.Join(sendmailDir, "usr/libexec/sendmail/sendmail"), "-bD", "-C"+cf)
	s.start(t, cmd, func() (net.Conn, error) { return s.host.dial(netip.MustParseAddr("127.0.0.1"), smtpPort) })
	s.sink = newSink(t, s.host.listen(t, sinkPort))
	if port, ok := strings.CutPrefix(milter, "inet:"); ok {
		port, _, _ = strings.Cut(port, "@")
		n, err := strconv.Atoi(port)
		if err != nil {
			t.Fatalf("milter %q: %v", milter, err)
		}
		s.host.forward(t, n)
	}
	return s
}

// password is the password of every user.
const password = "secret"

// saslConf makes Cyrus SASL read users from a file in the instance's directory.
const saslConf = `pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: %s/sasldb2
mech_list: PLAIN
`

// findSendmail returns an error if something that an instance needs is missing.
func findSendmail() error {
	if err := findHost(); err != nil {
		return err
	}
	if _, err := os.Stat(sendmailDir); err != nil {
		return errors.New("Sendmail is not installed")
	}
	_, err := exec.LookPath("m4")
	return err
}

// configure writes the configuration, and returns the path of the sendmail.cf that
// m4 generates from it.
func (s *Sendmail) configure(t testing.TB, milter, next string) string {
	t.Helper()
	s.host.write(t, "service.switch", "hosts files\naliases files\npasswd files\n")
	s.host.write(t, "Sendmail.conf", fmt.Sprintf(saslConf, s.dir))
	s.host.write(t, "sendmail.mc", fmt.Sprintf(sendmailMC, s.dir, Domain+" "+LMTPDomain, milterMacros(t, milter), next))
	macros := filepath.Join(sendmailDir, "usr/share/sendmail/cf")
	m4 := exec.Command("m4", "-D_CF_DIR_="+macros+"/", "-D_NO_MAKEINFO_",
		filepath.Join(macros, "m4/cf.m4"), filepath.Join(s.dir, "sendmail.mc"))
	var complaints strings.Builder
	m4.Stderr = &complaints
	cf, err := m4.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("m4: %v\n%s", err, complaints.String())
	}
	s.host.write(t, "sendmail.cf", string(cf))
	return filepath.Join(s.dir, "sendmail.cf")
}

// connect opens a session as c, from c's address.
func (s *Sendmail) connect(c Client) (*smtpClient, error) {
	client, err := s.arrive(c)
	if err != nil {
		return nil, err
	}
	steps := c.hello()
	if c.Login != "" {
		secret := base64.StdEncoding.EncodeToString([]byte("\x00" + c.Login + "\x00" + password))
		steps = append(steps, step{"AUTH PLAIN " + secret, 235})
	}
	if err := client.take(steps...); err != nil {
		client.conn.Close()
		return nil, err
	}
	return client, nil
}

// arrive connects as c and waits for the greeting.
func (s *Sendmail) arrive(c Client) (*smtpClient, error) {
	s.arrival.Lock()
	defer s.arrival.Unlock()
	if err := s.host.know(c.Addr, c.Name); err != nil {
		return nil, err
	}
	if err := s.enroll(c.Login); err != nil {
		return nil, err
	}
	conn, err := s.host.dial(c.Addr, smtpPort)
	if err != nil {
		return nil, err
	}
	return openSMTP(conn)
}

// enroll creates the user login, who can then authenticate.
func (s *Sendmail) enroll(login string) error {
	if login == "" {
		return nil
	}
	cmd := exec.Command(filepath.Join(sendmailDir, "usr/sbin/saslpasswd2"),
		"-c", "-p", "-f", filepath.Join(s.dir, "sasldb2"), "-u", Hostname, login)
	cmd.Stdin = strings.NewReader(password)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("saslpasswd2: %w\n%s", err, out)
	}
	return nil
}

// sendmailHelo matches what Sendmail writes of a client's EHLO. If it matches nothing,
// Sendmail writes the client's name or address.
var sendmailHelo = regexp.MustCompile(`^[-\w.:\[\]]+(?:$|[ \t\r\x00])`)

// sendmailReceived matches the Received field that Sendmail adds to a message. Only
// the version, the queue ID and the time are not known in advance.
func sendmailReceived(c Client, m Message) *regexp.Regexp {
	client := "[" + longAddr(c.Addr) + "]"
	helo := strings.TrimRight(sendmailHelo.FindString(strings.TrimLeft(c.Helo, " ")), " \t\r\x00")
	if c.Name != "" {
		client = c.Name + " " + client
	}
	if helo == "" {
		helo, _, _ = strings.Cut(client, " ")
	}
	with := "ESMTP"
	if c.Helo == "" {
		with = "SMTP"
	}
	login := ""
	if c.Login != "" {
		login = "(authenticated bits=0)\r\n\t"
	}
	rcpt := m.RcptArg // Sendmail repeats it as written
	if rcpt == "" {
		rcpt = "<" + m.To + ">"
	}
	quote := regexp.QuoteMeta
	return regexp.MustCompile(`(?m)^Received: from ` + quote(helo+" ("+client+")\r\n\t"+login+"by "+Hostname) +
		` \([\d./]+\) with ` + with + `A? id [0-9A-Za-z]+\r\n` +
		`\tfor ` + quote(rcpt) + `; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d (?:GMT|[-+]\d{4} \(\w+\))\r\n`)
}

// holds reports whether a message to the recipient to is quarantined. The name of
// its queue file then begins with hf instead of qf.
func (s *Sendmail) holds(t testing.TB, to string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "queue", "hf*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "<"+to+">") {
			return true
		}
	}
	return false
}

// longAddr returns an address as Sendmail writes it: no groups of zeros are left
// out.
func longAddr(a netip.Addr) string {
	if !a.Is6() {
		return a.String()
	}
	groups := make([]string, 8)
	octets := a.As16()
	for i := range groups {
		groups[i] = strconv.FormatUint(uint64(binary.BigEndian.Uint16(octets[2*i:])), 16)
	}
	return "IPv6:" + strings.Join(groups, ":")
}

// milterMacros returns the configuration from the documentation for a milter at
// address, with one change: if the milter fails, messages are deferred, so that
// the test notices.
func milterMacros(t testing.TB, address string) string {
	t.Helper()
	documentedAddress := "inet:8894@127.0.0.1"
	if strings.HasPrefix(address, "local:") {
		documentedAddress = "local:/run/authmilter/authmilter.sock"
	}
	const page = "sendmail.md"
	line := documented(t, page, "INPUT_MAIL_FILTER(", documentedAddress, address)
	return strings.Replace(line, ", T=", ", F=T, T=", 1) +
		"\n" + documented(t, page, "define(`confMUST_QUOTE_CHARS'", "", "")
}

// sendmailMC is a format for the directory, the accepted domains, and the
// configuration for the milter and the next hop. Names are only looked up in the
// host's hosts file.
//
//go:embed sendmail.mc
var sendmailMC string

// sendmailAsItCame is a format for the port of the sink, which gets each message as
// unchanged as Sendmail allows: no fields are added, no octets changed, no lines
// folded, and the size of the header is not limited.
const sendmailAsItCame = "define(`SMART_HOST', `relay:[127.0.0.1]')\n" +
	"define(`RELAY_MAILER_ARGS', `TCP $h %d')\n" +
	"define(`RELAY_MAILER_LL', `0')\n" +
	"MODIFY_MAILER_FLAGS(`RELAY', `-DFM')\n" +
	"define(`confEIGHT_BIT_HANDLING', `pass8')\n" +
	"define(`confMAX_HEADERS_LENGTH', `0')\n" +
	"define(`confMAX_MIME_HEADER_LENGTH', `0/0')\n"

// sendmailStock is a format for the port of the sink and the domain whose mail the
// sink gets over LMTP. The LMTP mailer is like the one for Cyrus, but keeps the
// domain of the recipient.
const sendmailStock = "define(`SMART_HOST', `esmtp:[127.0.0.1]')\n" +
	"define(`ESMTP_MAILER_ARGS', `TCP $h %[1]d')\n" +
	"LOCAL_RULE_0\n" +
	"R$+ < @ %[2]s . >\t$#lmtp $@ [127.0.0.1] $: $1 < @ %[2]s . >\n" +
	"MAILER_DEFINITIONS\n" +
	"Mlmtp, P=[IPC], F=lsDFMnqXzA@/:|m, S=EnvFromSMTP/HdrFromL, R=EnvToSMTP/HdrToL, E=\\r\\n, T=DNS/RFC822/SMTP, A=TCP $h %[1]d\n"
