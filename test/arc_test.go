package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authmilter/test/daemon"
	"authmilter/test/interop"
	"authmilter/test/mta"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
)

// keyPath returns the path of a test key, which is also its name.
func keyPath(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs("testdata/keys/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// publish adds a test key to a zone.
func publish(t testing.TB, zone *dnstest.Zone, selector, domain, name string) {
	t.Helper()
	text, err := os.ReadFile(keyPath(t, name))
	if err != nil {
		t.Fatal(err)
	}
	key, err := dkim.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	zone.AddTXT(selector+"._domainkey."+domain, key.Record())
}

// checked is the part of the output of "authmilter check --json" that the tests
// read.
type checked struct {
	DKIM []struct{ Result, Domain, Selector string }
	ARC  struct {
		Result     string
		Error      string
		OldestPass *int `json:"oldest_pass"`
		Sets       []struct {
			Instance int
			Domain   string
			Results  string
		}
	}
}

// check verifies a message with the command line.
func check(t testing.TB, dns string, message []byte) checked {
	t.Helper()
	cmd := exec.Command(daemon.Binary(t), "check", "--json", "--resolver", dns, "-")
	cmd.Stdin = bytes.NewReader(message)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, _ := cmd.Output() // its exit status depends on DMARC
	var c checked
	if err := json.Unmarshal(out, &c); err != nil {
		t.Fatalf("%v\n%s%s", err, out, &stderr)
	}
	return c
}

// whole returns a delivered message.
func whole(d mta.Delivery) []byte {
	return slices.Concat(d.Top, d.Header, []byte("\r\n"), d.Body)
}

// arcClient sends the messages of these tests.
var arcClient = mta.Client{Addr: netip.MustParseAddr("203.0.113.5"), Name: "out.example.com", Helo: "out.example.com"}

const arcZone = `
example.com. TXT "v=spf1 ip4:203.0.113.5 -all"
_dmarc.example.com. TXT "v=DMARC1; p=reject"
`

func arcMessage() mta.Message {
	return mta.Message{
		From: "joe@example.com",
		To:   "reader@" + mta.Domain,
		Data: []byte(strings.ReplaceAll(`From: Joe <joe@example.com>
To: list@example.org
Subject: dinner
 tonight
Date: Thu, 14 Jan 2021 15:00:01 -0800
Message-ID: <1@example.com>

We lost the game.  Are you hungry?

Joe.
`, "\n", "\r\n")),
	}
}

// TestHops passes messages through up to five Postfix instances in a row, each
// with an authmilter that seals. We, dkimpy and Mail::DKIM all verify what
// comes out, and none of us verifies it once it has been changed.
func TestHops(t *testing.T) {
	const hops = 5
	zone := dnstest.MustParse(t, arcZone)
	dns := dnstest.Serve(t, zone)
	tools := interop.Tools(t, dns)
	var entries [hops + 1]*mta.Postfix // indexed by the number of hops that follow
	for n := 1; n <= hops; n++ {
		domain, key := fmt.Sprintf("hop%d.example", n), []string{"rsa2048", "rsa1024"}[n%2]
		publish(t, zone, "arc", domain, key)
		port := mta.FreePort(t)
		milter := fmt.Sprintf("inet:127.0.0.1:%d", port)
		if n == 1 {
			entries[n] = mta.StartPostfix(t, milter)
		} else {
			entries[n] = mta.StartPostfixBefore(t, entries[n-1], "mx."+domain, milter)
		}
		daemon.Start(t, daemon.Config{
			Listen:     fmt.Sprintf("inet:%d@127.0.0.1", port),
			AuthservID: "mx." + domain,
			DNS:        dns,
			Metrics:    mta.Loopback(mta.FreePort(t)),
			More: fmt.Sprintf("skip.networks = []\narc.seal = true\narc.domain = %q\narc.selector = \"arc\"\narc.key_file = %q\n",
				domain, keyPath(t, key)),
		})
	}
	for n := 1; n <= hops; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			d := entries[n].Deliver(t, arcClient, arcMessage())[0]
			if d.Code != 250 {
				t.Fatalf("refused: %s", d.Reply)
			}
			message := whole(d)
			c := check(t, dns, message)
			if c.ARC.Result != "pass" || *c.ARC.OldestPass != 0 || len(c.ARC.Sets) != n {
				t.Errorf("%+v", c.ARC)
			}
			// The first hop saw the author's own client.
			if first := c.ARC.Sets[0]; first.Domain != fmt.Sprintf("hop%d.example", n) ||
				!strings.Contains(first.Results, "dmarc=pass header.from=example.com") ||
				!strings.Contains(first.Results, "arc=none smtp.remote-ip=203.0.113.5") {
				t.Errorf("%+v", first)
			}
			for _, tool := range tools {
				if v := tool.VerifyARC(message); v.Result != "pass" {
					t.Errorf("%s: %+v\n%s", tool.Name, v, message)
				}
			}
			changed := bytes.Replace(message, []byte("We lost"), []byte("We won!"), 1)
			if c := check(t, dns, changed); c.ARC.Result != "fail" {
				t.Errorf("changed: %+v", c.ARC)
			}
			for _, tool := range tools {
				if v := tool.VerifyARC(changed); v.Result != "fail" {
					t.Errorf("changed, %s: %+v", tool.Name, v)
				}
			}
			// The newest field of the header is the seal, and each line is short.
			if !bytes.HasPrefix(d.Top, []byte("ARC-Seal: i="+fmt.Sprint(n))) {
				t.Errorf("on top:\n%s", d.Top)
			}
			for line := range bytes.Lines(d.Top) {
				if width := len(bytes.Replace(bytes.TrimSuffix(line, []byte("\r\n")), []byte("\t"), []byte("        "), 1)); width > 78 && bytes.HasPrefix(line, []byte("ARC-")) {
					t.Errorf("a line of %d columns: %s", width, line)
				}
			}
		})
	}
}

// TestOwnMail checks that mail from our own users is signed but not changed in
// any other way, and that no other mail is signed.
func TestOwnMail(t *testing.T) {
	zone := dnstest.MustParse(t, arcZone)
	publish(t, zone, "rsa", "example.com", "rsa2048")
	publish(t, zone, "ed", "example.com", "ed25519")
	publish(t, zone, "arc", "example.org", "rsa1024")
	dns := dnstest.Serve(t, zone)
	tools := interop.Tools(t, dns)
	port := mta.FreePort(t)
	postfix := mta.StartPostfix(t, fmt.Sprintf("inet:127.0.0.1:%d", port))
	d := daemon.Start(t, daemon.Config{
		Listen: fmt.Sprintf("inet:%d@127.0.0.1", port), AuthservID: mta.Hostname, DNS: dns, Metrics: mta.Loopback(mta.FreePort(t)),
		More: fmt.Sprintf(`arc.seal = true
arc.domain = "example.org"
arc.selector = "arc"
arc.key_file = %q
[[sign]]
domain = "example.com"
selector = "rsa"
key_file = %q
[[sign]]
domain = "example.com"
selector = "ed"
key_file = %q
`, keyPath(t, "rsa1024"), keyPath(t, "rsa2048"), keyPath(t, "ed25519")),
	})
	d.WaitMetric(t, `authmilter_key_state{domain="example.com",selector="ed",state="ok",use="sign"}`, 1)
	d.WaitMetric(t, `authmilter_key_state{domain="example.org",selector="arc",state="ok",use="seal"}`, 1)

	user, local, other := arcClient, arcClient, arcMessage()
	user.Login = "joe"
	local.Addr, local.Name = netip.MustParseAddr("127.0.0.1"), "localhost"
	other.Data = bytes.Replace(other.Data, []byte("joe@example.com"), []byte("joe@elsewhere.example"), 1)
	odd := func(from string) mta.Message {
		m := arcMessage()
		m.Data = bytes.Replace(m.Data, []byte("Joe <joe@example.com>"), []byte(from), 1)
		return m
	}
	long, longField := arcMessage(), arcMessage()
	long.Data = append(long.Data, strings.Repeat("x", 999)+"\r\n"...)
	longField.Data = append([]byte("X-Long: "+strings.Repeat("x", 991)+"\r\n"), longField.Data...)
	sub := arcMessage()
	sub.Data = bytes.Replace(sub.Data, []byte("joe@example.com"), []byte("joe@mail.example.com"), 1)
	for _, test := range []struct {
		name    string
		client  mta.Client
		message mta.Message
		signed  bool
	}{
		{"user", user, arcMessage(), true},
		{"local", local, arcMessage(), true},
		{"subdomain", user, sub, true},
		{"another domain", user, other, false},
		{"a comma in From", user, odd("Doe, Joe <joe@example.com>"), true},
		{"text behind the address", user, odd("Joe <joe@example.com> via list"), true},
		{"two dots", user, odd("<jo..e@example.com>"), true},
		{"a semicolon", user, odd("joe@example.com;"), true},
		{"square brackets", user, odd("Scanner [3rd floor] <joe@example.com>"), true},
		{"a single label", user, odd("Joe @ home, inc. <joe@example.com>"), true},
		{"two authors", user, odd("joe@example.com, joe@elsewhere.example"), false},
		{"a long line", user, long, false},
		{"a long field", user, longField, false},
		{"stranger", arcClient, arcMessage(), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := postfix.Deliver(t, test.client, test.message)[0]
			if d.Code != 250 {
				t.Fatalf("refused: %s", d.Reply)
			}
			added := strings.Count("\r\n"+string(d.Top), "\r\nDKIM-Signature:")
			if !test.signed {
				if added != 0 {
					t.Errorf("signed:\n%s", d.Top)
				}
				return
			}
			if added != 2 || strings.Contains(string(d.Top), "Authentication-Results") || strings.Contains(string(d.Top), "ARC-") {
				t.Errorf("on top:\n%s", d.Top)
			}
			message := whole(d)
			c := check(t, dns, message)
			if len(c.DKIM) != 2 || c.DKIM[0].Result != "pass" || c.DKIM[1].Result != "pass" || c.DKIM[0].Domain != "example.com" {
				t.Errorf("%+v", c.DKIM)
			}
			for _, tool := range tools {
				passed := 0
				for _, v := range tool.VerifyDKIM(message) {
					if v.Result == "pass" {
						passed++
					}
				}
				want := 2
				if tool.Name == "Mail::DKIM" {
					want = 1 // it does not support Ed25519
				}
				if passed != want {
					t.Errorf("%s: %d signatures pass, want %d", tool.Name, passed, want)
				}
			}
			changed := check(t, dns, bytes.Replace(message, []byte("We lost"), []byte("We won!"), 1))
			for _, s := range changed.DKIM {
				if s.Result != "fail" {
					t.Errorf("changed: %+v", s)
				}
			}
		})
	}
}

// TestRotation changes the sealing key while messages flow. Each message is
// sealed with the old key or the new one, and every chain verifies.
func TestRotation(t *testing.T) {
	zone := dnstest.MustParse(t, arcZone)
	publish(t, zone, "old", "example.org", "rsa1024")
	publish(t, zone, "new", "example.org", "rsa2048")
	dns := dnstest.Serve(t, zone)
	port := mta.FreePort(t)
	postfix := mta.StartPostfix(t, fmt.Sprintf("inet:127.0.0.1:%d", port))
	sealWith := func(selector, key string) string {
		return fmt.Sprintf("arc.seal = true\narc.domain = \"example.org\"\narc.selector = %q\narc.key_file = %q\n", selector, keyPath(t, key))
	}
	d := daemon.Start(t, daemon.Config{
		Listen: fmt.Sprintf("inet:%d@127.0.0.1", port), AuthservID: mta.Hostname, DNS: dns, Metrics: mta.Loopback(mta.FreePort(t)),
		More: sealWith("old", "rsa1024"),
	})
	const messages = 30
	delivered := make(chan mta.Delivery, messages)
	go func() {
		defer close(delivered) // also where one fails
		for range messages {
			delivered <- postfix.Deliver(t, arcClient, arcMessage())[0]
		}
	}()
	first, ok := <-delivered
	if !ok {
		t.FailNow()
	}
	bad, rotated := d.Config, d.Config
	bad.More = sealWith("new", "rsa2048") + "\narc.typo = true\n"
	rotated.More = sealWith("new", "rsa2048")
	d.Reload(t, bad) // changes nothing
	d.WaitMetric(t, "authmilter_config_last_reload_successful", 0)
	d.Reload(t, rotated)
	d.WaitMetric(t, "authmilter_config_last_reload_successful", 1)
	d.WaitMetric(t, `authmilter_key_state{domain="example.org",selector="new",state="ok",use="seal"}`, 1)
	last := postfix.Deliver(t, arcClient, arcMessage())[0]
	all := []mta.Delivery{first}
	for d := range delivered {
		all = append(all, d)
	}
	for i, m := range append(all, last) {
		if c := check(t, dns, whole(m)); c.ARC.Result != "pass" {
			t.Errorf("message %d: %+v", i, c.ARC)
		}
	}
	if !strings.Contains(string(first.Top), " s=old;") || !strings.Contains(string(last.Top), " s=new;") {
		t.Errorf("first\n%s\nlast\n%s", first.Top, last.Top)
	}
	if _, ok := d.Metrics(t)[`authmilter_key_state{domain="example.org",selector="old",state="ok",use="seal"}`]; ok {
		t.Error("the old key is still monitored")
	}
}
