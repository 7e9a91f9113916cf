package verify_test

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authmilter/verify"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// zone holds the keys in RFC 8463 appendix A.2, and records that the author of its
// message could publish.
const zone = `
brisbane._domainkey.football.example.com. IN TXT ("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
test._domainkey.football.example.com. IN TXT ("v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
 "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC"
 "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
 "Ip3G+2kryOTIKT+l/K4w3QIDAQAB")
football.example.com. TXT "v=spf1 ip4:192.0.2.1 -all"
mx.football.example.com. TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.football.example.com. TXT "v=DMARC1; p=reject; aspf=s; adkim=s"
_dmarc.victim.example. TXT "v=DMARC1; p=reject"
victim.example. TXT "v=spf1 -all"
`

const (
	spfName   = "football.example.com"
	dmarcName = "_dmarc.football.example.com"
	edName    = "brisbane._domainkey.football.example.com"
	rsaName   = "test._domainkey.football.example.com"
)

var envelope = verify.Envelope{
	ClientIP: netip.MustParseAddr("192.0.2.1"),
	Helo:     "mx.football.example.com",
	MailFrom: "joe@football.example.com",
}

// example returns the message in RFC 8463 appendix A.3.
func example(t testing.TB) (message.Header, []byte) {
	t.Helper()
	text, err := os.ReadFile("dkim/testdata/rfc8463.eml")
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	head, body, _ := strings.Cut(string(text), "\r\n\r\n")
	return header(strings.Split(head, "\r\n")...), []byte(body)
}

// header returns lines as header fields.
func header(lines ...string) message.Header {
	var h message.Header
	for _, line := range lines {
		if last := len(h) - 1; line[0] == ' ' || line[0] == '\t' {
			h[last].Raw += "\r\n" + line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		h = append(h, message.NewField(name, value))
	}
	return h
}

// resolver answers from a zone, but holds back the answers for some names until
// opened, and panics for others. It records the names looked up.
type resolver struct {
	dns.Resolver
	held   []string
	opened chan struct{}
	panics string

	mu    sync.Mutex
	asked []string
}

func newResolver(t testing.TB, held ...string) *resolver {
	return &resolver{Resolver: dnstest.MustParse(t, zone), held: held, opened: make(chan struct{})}
}

func (r *resolver) TXT(ctx context.Context, name string) (dns.Answer[string], error) {
	r.mu.Lock()
	r.asked = append(r.asked, name)
	r.mu.Unlock()
	if name == r.panics {
		panic("look-up of " + name)
	}
	if slices.Contains(r.held, name) {
		select {
		case <-r.opened:
		case <-ctx.Done():
			return dns.Answer[string]{}, &dns.Error{Type: "TXT", Name: name, Err: ctx.Err()}
		}
	}
	return r.Resolver.TXT(ctx, name)
}

// patience is how long a test waits for what should happen soon. It leaves room for a
// machine that is busy with something else.
const patience = time.Minute

// await waits until all of names have been looked up.
func (r *resolver) await(t *testing.T, names ...string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if missing := r.missing(names); len(missing) == 0 {
			return
		} else if time.Now().After(end) {
			t.Fatalf("never looked up: %v", missing)
		}
	}
}

func (r *resolver) missing(names []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(r.asked, n) })
}

// run verifies one message, and finishes after its look-ups have ended.
func run(v *verify.Verifier, env verify.Envelope, h message.Header, body ...[]byte) *verify.Result {
	c := v.Begin(context.Background(), env)
	defer c.Cancel()
	for _, f := range h {
		c.Field(f)
	}
	c.EndHeader()
	for _, p := range body {
		_, _ = c.Write(p)
	}
	<-c.Ready()
	return c.Finish()
}

// noLeak returns a function that fails if more goroutines are left than now.
func noLeak(t *testing.T) func() {
	t.Helper()
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
			}
		}
	}
}
