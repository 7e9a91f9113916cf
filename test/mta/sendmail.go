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

// sendmailDir is where test/install.sh unpacks Sendmail. Its packages cannot be
// installed beside Postfix.
const sendmailDir = "/var/cache/authmilter-test/sendmail"

// Ports of the host that Sendmail runs on.
const (
	smtpPort = 25
	sinkPort = 2525
)

// Sendmail is a private instance of Sendmail: its own configuration, queue and
// host, nothing shared with an instance of the machine's own.
type Sendmail struct {
	relay
	host *host
	dir  string

	// arrival lets clients come one by one: Sendmail looks up the name of each
	// before it greets it.
	arrival sync.Mutex
}

var _ MTA = (*Sendmail)(nil)

// StartSendmail starts an instance that consults the milter at an address in
// Sendmail's notation, such as "inet:8894@127.0.0.1" or "local:/run/socket". It
// is stopped at the end of the test, which shows its log if the test failed.
func StartSendmail(t testing.TB, milter string) *Sendmail {
	t.Helper()
	return startSendmail(t, milter, fmt.Sprintf(sendmailAsItCame, sinkPort))
}

// StartStockSendmail starts an instance that changes messages on the way as
// Sendmail does unless it is told otherwise. It passes mail for [Domain] on over
// SMTP, and mail for [LMTPDomain] over LMTP.
func StartStockSendmail(t testing.TB, milter string) *Sendmail {
	t.Helper()
	return startSendmail(t, milter, fmt.Sprintf(sendmailStock, sinkPort, LMTPDomain))
}

// startSendmail starts an instance with lines of configuration that say how it
// passes everything on to the sink.
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

// password is that of every user.
const password = "secret"

// saslConf tells Cyrus SASL to look for users in a file of ours.
const saslConf = `pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: %s/sasldb2
mech_list: PLAIN
`

// findSendmail tells what is missing for an instance, if anything.
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

// configure writes the configuration, and returns the path of what m4 makes of
// it.
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

// connect opens a session as c, from its address.
func (s *Sendmail) connect(c Client) (*smtpClient, error) {
	client, err := s.arrive(c)
	if err != nil {
		return nil, err
	}
	steps := []step{{"EHLO " + c.Helo, 250}}
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

// enroll makes login a user who may authenticate.
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

// sendmailReceived matches the Received field that Sendmail writes for a
// message. All of it is known beforehand but its version, the queue's id and
// the time.
func sendmailReceived(c Client, m Message) *regexp.Regexp {
	client := "[" + longAddr(c.Addr) + "]"
	helo := c.Helo
	if strings.ContainsAny(helo, " <>()\\\";@") {
		helo = client // it repeats no text that is no name
	}
	if c.Name != "" {
		client = c.Name + " " + client
	}
	login := ""
	if c.Login != "" {
		login = "(authenticated bits=0)\r\n\t"
	}
	rcpt := m.RcptArg // which it repeats
	if rcpt == "" {
		rcpt = "<" + m.To + ">"
	}
	quote := regexp.QuoteMeta
	return regexp.MustCompile(`(?m)^Received: from ` + quote(helo+" ("+client+")\r\n\t"+login+"by "+Hostname) +
		` \([\d./]+\) with ESMTPA? id [0-9A-Za-z]+\r\n` +
		`\tfor ` + quote(rcpt) + `; \w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d (?:GMT|[-+]\d{4} \(\w+\))\r\n`)
}

// holds tells whether a message for a recipient is quarantined: its queue file
// then is called hf instead of qf.
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

// longAddr returns an address as Sendmail writes it, with no zeros left out.
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

// milterMacros returns the lines of the documentation for a milter at an address,
// but that a milter which fails shows: as a message that is refused for the time.
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

// sendmailMC takes the directory, the domains accepted, the lines for the milter
// and those for the next hop. No name is looked up but in the host's table of
// hosts.
//
//go:embed sendmail.mc
var sendmailMC string

// sendmailAsItCame takes the port of the sink, which gets each message as it
// came as far as Sendmail can: no field is added, no octet changed, no line
// folded, no header too large.
const sendmailAsItCame = "define(`SMART_HOST', `relay:[127.0.0.1]')\n" +
	"define(`RELAY_MAILER_ARGS', `TCP $h %d')\n" +
	"define(`RELAY_MAILER_LL', `0')\n" +
	"MODIFY_MAILER_FLAGS(`RELAY', `-DFM')\n" +
	"define(`confEIGHT_BIT_HANDLING', `pass8')\n" +
	"define(`confMAX_HEADERS_LENGTH', `0')\n" +
	"define(`confMAX_MIME_HEADER_LENGTH', `0/0')\n"

// sendmailStock takes the port of the sink, and the domain whose mail it gets
// over LMTP. That mailer is as that of Cyrus, but for keeping the domain of the
// recipient.
const sendmailStock = "define(`SMART_HOST', `esmtp:[127.0.0.1]')\n" +
	"define(`ESMTP_MAILER_ARGS', `TCP $h %[1]d')\n" +
	"LOCAL_RULE_0\n" +
	"R$+ < @ %[2]s . >\t$#lmtp $@ [127.0.0.1] $: $1 < @ %[2]s . >\n" +
	"MAILER_DEFINITIONS\n" +
	"Mlmtp, P=[IPC], F=lsDFMnqXzA@/:|m, S=EnvFromSMTP/HdrFromL, R=EnvToSMTP/HdrToL, E=\\r\\n, T=DNS/RFC822/SMTP, A=TCP $h %[1]d\n"
