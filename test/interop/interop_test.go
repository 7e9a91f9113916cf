package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// keyNames are the test keys, in files of those names, with their algorithms.
var keyNames = map[string]string{"rsa2048": "rsa-sha256", "rsa1024": "rsa-sha256", "ed25519": "ed25519-sha256"}

// world is the DNS in which each domain publishes every test key.
type world struct {
	zone  *dnstest.Zone
	tools []*Tool
}

// domains are the domains that sign and seal.
var domains = []string{"author.example", "hop1.example", "hop2.example", "hop3.example", "hop4.example"}

func newWorld(t *testing.T) world {
	zone := dnstest.MustParse(t, "author.example. TXT \"v=spf1 -all\"\n_dmarc.author.example. TXT \"v=DMARC1; p=reject\"\n")
	for _, d := range domains {
		for name := range keyNames {
			zone.AddTXT(name+"._domainkey."+d, privateKey(t, name).Record())
		}
	}
	return world{zone, Tools(t, dnstest.Serve(t, zone))}
}

func keyText(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile("../testdata/keys/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func privateKey(t testing.TB, name string) *dkim.PrivateKey {
	t.Helper()
	k, err := dkim.ParsePrivateKey([]byte(keyText(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func foreignKey(t testing.TB, domain, name string) Key {
	return Key{Domain: domain, Selector: name, PEM: keyText(t, name), Algorithm: keyNames[name]}
}

// ours verifies a message, and returns it with the sealer's ARC Set on top of
// it.
func (w world) ours(t testing.TB, msg []byte, s *arc.Sealer) (*verify.Result, []byte) {
	t.Helper()
	env := verify.Envelope{ClientIP: netip.MustParseAddr("192.0.2.1"), Helo: "mx.author.example", MailFrom: "joe@author.example"}
	c := verify.New(verify.Options{Resolver: w.zone, Sealer: s}).Begin(context.Background(), env)
	defer c.Cancel()
	header, body, err := message.ReadHeader(bufio.NewReader(bytes.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range header {
		c.Field(f)
	}
	c.EndHeader()
	if _, err := io.Copy(c, body); err != nil {
		t.Fatal(err)
	}
	<-c.Ready()
	r := c.Finish()
	if s == nil {
		return r, msg
	}
	d := (&policy.Rules{}).Decide(&policy.Message{Envelope: env, Result: r})
	id := "mx." + s.Domain
	own := policy.OwnFields{Claimant: authres.NewClaimant(id)}
	relays, ok := own.OfRelay(policy.ResultsField, " "+id+relayResults)
	if !ok || len(relays) != 4 {
		t.Fatalf("results of a relay: %+v", relays)
	}
	fields, err := c.Seal(id, policy.ARCResults(id, env, r, d, policy.ResultsOptions{}, relays))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		msg = append([]byte(f.Name+":"+f.Raw+"\r\n"), msg...)
	}
	return r, msg
}

// relayResults are what a relay of ours found, with values that are not ASCII, long or
// quoted.
var relayResults = "; auth=pass (PLAIN; x) smtp.auth=j\u00f6e@author.example; x-virus=none policy.scanner=\"Clam AV; 1.0\"\r\n\tpolicy.x=\"\xff\\\"(\"" +
	"; iprev=pass reason=\"a; b\" policy.iprev=192.0.2.1 policy.name=" + strings.Repeat("a.", 900) + "; spf=pass smtp.mailfrom=\"a b\"@author.example"

var plain = []byte(strings.ReplaceAll(`Received: from a by b; Thu, 14 Jan 2021 15:00:01 -0800
From: Joe <joe@author.example>
To: list@hop1.example
Cc: a@hop2.example,
 b@hop2.example
Subject: dinner,
	tonight?
Date: Thu, 14 Jan 2021 15:00:01 -0800
Message-ID: <1@author.example>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

We lost the game.  Are you hungry?	

Joe.


`, "\n", "\r\n"))

// broken returns messages that differ from msg in what is signed.
func broken(msg []byte) map[string][]byte {
	return map[string][]byte{
		"body":    bytes.Replace(msg, []byte("We lost"), []byte("We won!"), 1),
		"more":    append(bytes.Clone(msg), "more\r\n"...),
		"subject": bytes.Replace(msg, []byte("dinner"), []byte("supper"), 1),
		"From":    append([]byte("From: Eve <eve@author.example>\r\n"), msg...),
	}
}

func TestDKIM(t *testing.T) {
	w := newWorld(t)
	for name, algorithm := range keyNames {
		// Mail::DKIM does not support Ed25519.
		tools := w.tools
		if algorithm == "ed25519-sha256" {
			tools = tools[:1]
		}
		for _, signer := range tools {
			msg := signer.SignDKIM(plain, foreignKey(t, "author.example", name))
			if r, _ := w.ours(t, msg, nil); len(r.DKIM) != 1 || r.DKIM[0].Status != dkim.Pass || r.DMARC.Status != "pass" {
				t.Errorf("%s by %s: %+v", name, signer.Name, r.DKIM)
			}
			for _, verifier := range tools {
				if v := verifier.VerifyDKIM(msg); len(v) != 1 || v[0].Result != "pass" {
					t.Errorf("%s by %s, verified by %s: %+v", name, signer.Name, verifier.Name, v)
				}
			}
			for what, changed := range broken(msg) {
				if what == "From" {
					continue // which fields to sign is the signer's choice
				}
				if r, _ := w.ours(t, changed, nil); r.DKIM[0].Status != dkim.Fail {
					t.Errorf("%s by %s, changed %s: %+v", name, signer.Name, what, r.DKIM)
				}
			}
		}
	}
}

// TestARC passes messages through hops that seal with our code, dkimpy and
// Mail::DKIM, in every order. All of them agree about every chain, whole or
// broken. The other two do not support chains with Ed25519.
func TestARC(t *testing.T) {
	w := newWorld(t)
	const hops = 3
	orders := 1
	for range hops {
		orders *= 3
	}
	for order := range orders {
		msg := plain
		var path []string
		for hop, n := 1, order; hop <= hops; hop, n = hop+1, n/3 {
			domain := fmt.Sprintf("hop%d.example", hop)
			name := []string{"rsa2048", "rsa1024"}[(order+hop)%2]
			if n%3 == 0 {
				k := privateKey(t, name)
				_, msg = w.ours(t, msg, &arc.Sealer{Domain: domain, Selector: name, Key: k})
				path = append(path, "ours")
			} else {
				tool := w.tools[n%3-1]
				msg = w.sealed(t, tool, msg, foreignKey(t, domain, name))
				path = append(path, tool.Name)
			}
			path = append(path, name)
			w.agree(t, strings.Join(path, " "), msg, arc.Pass)
		}
		if order%5 == 0 {
			for what, changed := range broken(msg) {
				if what == "From" && order%3 != 0 {
					continue
				}
				w.agree(t, strings.Join(path, " ")+", changed "+what, changed, arc.Fail)
			}
		}
	}
}

// sealed is the tool's SealARC for the results that we find.
func (w world) sealed(t testing.TB, tool *Tool, msg []byte, k Key) []byte {
	t.Helper()
	r, _ := w.ours(t, msg, nil)
	id := "mx." + k.Domain
	results := fmt.Sprintf("Authentication-Results: %s; spf=%s smtp.mailfrom=joe@author.example; arc=%s\r\n", id, r.SPF.Status, r.ARC.Status)
	return tool.SealARC(append([]byte(results), msg...), id, k)
}

// agree checks that all find the same about the chain of a message.
func (w world) agree(t testing.TB, what string, msg []byte, want arc.Status) {
	t.Helper()
	if r, _ := w.ours(t, msg, nil); r.ARC.Status != want {
		t.Errorf("%s: we find %s, %v\n%s", what, r.ARC.Status, r.ARC.Err, msg)
	}
	for _, tool := range w.tools {
		if v := tool.VerifyARC(msg); v.Result != string(want) {
			t.Errorf("%s: %s finds %+v\n%s", what, tool.Name, v, msg)
		}
	}
}
