package milter

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/authres"
	"authmilter/verify/dns"
	"authmilter/verify/dns/dnstest"
)

// exampleZone holds the keys in RFC 6376 appendix C and RFC 8463 appendix A.2, and
// records that the author of the message there could publish.
const exampleZone = `
brisbane._domainkey.football.example.com. IN TXT ("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
test._domainkey.football.example.com. IN TXT ("v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
 "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC"
 "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
 "Ip3G+2kryOTIKT+l/K4w3QIDAQAB")
brisbane._domainkey.example.com. IN TXT ("v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQ"
  "KBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYt"
  "IxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v"
  "/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhi"
  "tdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB")
football.example.com. TXT "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 -all"
mx.football.example.com. TXT "v=spf1 ip4:192.0.2.1 -all"
_dmarc.football.example.com. TXT "v=DMARC1; p=reject; aspf=s; adkim=s"
`

// Names of keys that a test can make slow.
const (
	edKey  = "brisbane._domainkey.football.example.com"
	rsaKey = "test._domainkey.football.example.com"
)

// verdicts is an observer that remembers every Verdict.
type verdicts struct {
	mu  sync.Mutex
	all []*policy.Verdict
}

func (v *verdicts) Observe(verdict *policy.Verdict) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all = append(v.all, verdict)
}

func (v *verdicts) list() []*policy.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.all)
}

// take returns the verdicts seen since the last call.
func (v *verdicts) take() []*policy.Verdict {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := v.all
	v.all = nil
	return all
}

// rig is a Server on a loopback port.
type rig struct {
	*Server
	t        *testing.T
	addr     string
	listener net.Listener
	count    *counter
	seen     *verdicts
}

// patience is how long a test waits for what should happen soon. It leaves room for a
// machine that is busy with something else.
const patience = time.Minute

// options change how a rig is started.
type options struct {
	resolver  dns.Resolver // instead of a zone in memory
	zone      string       // instead of exampleZone
	set       func(*Settings)
	verify    func(*verify.Options)
	observers []policy.Observer
	log       *slog.Logger // instead of none
}

func start(t *testing.T, o options) *rig {
	t.Helper()
	if o.zone == "" {
		o.zone = exampleZone
	}
	if o.resolver == nil {
		o.resolver = dnstest.MustParse(t, o.zone)
	}
	v := verify.Options{Resolver: o.resolver, Receiver: "mx.example.org"}
	if o.verify != nil {
		o.verify(&v)
	}
	s := &Settings{
		AuthservID:        "mx.example.org",
		Claimant:          authres.NewClaimant("mx.example.org"),
		Verifier:          verify.New(v),
		Rules:             &policy.Rules{},
		SkipAuthenticated: true,
	}
	if o.set != nil {
		o.set(s)
	}
	if o.log == nil {
		o.log = slog.New(slog.DiscardHandler)
	}
	r := &rig{t: t, count: &counter{}, seen: &verdicts{}}
	r.Server = NewServer(Config{
		Observers: append(o.observers, r.seen),
		Counter:   r.count,
		Log:       o.log,
	}, s)
	r.addr, r.listener = r.listen()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = r.Shutdown(ctx) // the test may have done so already
		if n := r.inFlight.Load(); n != 0 {
			t.Errorf("%d messages in flight at the end", n)
		}
		if n := r.count.get().inFlight; n != 0 {
			t.Errorf("%d messages counted as in flight at the end", n)
		}
		if n := r.count.get().open; n != 0 {
			t.Errorf("%d connections open at the end", n)
		}
	})
	return r
}

// listen serves another port.
func (r *rig) listen() (string, net.Listener) {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	go func() {
		if err := r.Serve(l, "test"); err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	}()
	return l.Addr().String(), l
}

// field is a header field as sent over the wire.
type field struct{ name, value string }

// mail is one message with its envelope and client.
type mail struct {
	family gomilter.ProtoFamily // FamilyInet if zero
	client string
	helo   string
	from   string
	macros map[string]string
	fields []field
	body   string
}

// example returns the message in RFC 8463 appendix A.3.
func example(t testing.TB) mail {
	t.Helper()
	return load(t, "rfc8463.eml")
}

// load reads an example message from the standards.
func load(t testing.TB, file string) mail {
	t.Helper()
	text, err := os.ReadFile("../verify/dkim/testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
	m := mail{client: "192.0.2.1", helo: "mx.football.example.com", from: "joe@football.example.com"}
	header, body, _ := strings.Cut(string(text), "\r\n\r\n")
	m.body = body
	for line := range strings.SplitSeq(header, "\r\n") {
		if last := len(m.fields) - 1; line[0] == ' ' || line[0] == '\t' {
			m.fields[last].value += "\n" + line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		m.fields = append(m.fields, field{name, value})
	}
	return m
}

// unsigned returns a message without signatures, whose body is not needed.
func unsigned() mail {
	return mail{
		client: "192.0.2.1", helo: "mx.football.example.com", from: "joe@football.example.com",
		fields: []field{{"From", " joe@football.example.com"}, {"Subject", " x"}},
		body:   strings.Repeat("line\r\n", 100),
	}
}

// dial opens a session.
func (r *rig) dial(opts ...gomilter.Option) *gomilter.ClientSession {
	r.t.Helper()
	s, err := gomilter.NewClient("tcp", r.addr, opts...).Session(gomilter.NewMacroBag())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = s.Close() })
	return s
}

// deliver opens a session, sends m over it, and returns the changes to it.
func (r *rig) deliver(m mail, opts ...gomilter.Option) []string {
	r.t.Helper()
	s := r.begin(m, opts...)
	defer s.Close()
	return r.finish(s, m)
}

// begin opens a session and sends m over it, up to the end of its header.
func (r *rig) begin(m mail, opts ...gomilter.Option) *gomilter.ClientSession {
	r.t.Helper()
	bag := gomilter.NewMacroBag()
	for name, value := range m.macros {
		bag.Set(name, value)
	}
	s, err := gomilter.NewClient("tcp", r.addr, opts...).Session(bag)
	if err != nil {
		r.t.Fatal(err)
	}
	r.open(s, m)
	r.envelope(s, m)
	r.header(s, m)
	return s
}

func (r *rig) must(a *gomilter.Action, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	if a.Type != gomilter.ActionContinue {
		r.t.Fatalf("action %v", a)
	}
}

func (r *rig) open(s *gomilter.ClientSession, m mail) {
	r.t.Helper()
	family := m.family
	if family == 0 {
		family = gomilter.FamilyInet
	}
	r.must(s.Conn("client.example.net", family, 25, m.client))
	r.must(s.Helo(m.helo))
}

func (r *rig) envelope(s *gomilter.ClientSession, m mail) {
	r.t.Helper()
	r.must(s.Mail(m.from, ""))
	r.must(s.Rcpt("suzie@shopping.example.net", ""))
	r.must(s.DataStart())
}

func (r *rig) header(s *gomilter.ClientSession, m mail) {
	r.t.Helper()
	for _, f := range m.fields {
		r.must(s.HeaderField(f.name, f.value, nil))
	}
	r.must(s.HeaderEnd())
}

// finish sends the body and returns the changes, one per line.
func (r *rig) finish(s *gomilter.ClientSession, m mail) []string {
	r.t.Helper()
	acts, action, err := s.BodyReadFrom(strings.NewReader(m.body))
	if err != nil {
		r.t.Fatal(err)
	}
	if action.Type != gomilter.ActionAccept {
		r.t.Errorf("action %v", action)
	}
	var list []string
	for _, a := range acts {
		list = append(list, a.String())
	}
	return list
}

// value returns the value of our field, which must be the only field inserted, at
// the top and as the last change.
func (r *rig) value(acts []string) string {
	r.t.Helper()
	const before = `InsertHeader 0 "Authentication-Results" `
	if len(acts) == 0 || !strings.HasPrefix(acts[len(acts)-1], before) || strings.Count(strings.Join(acts, "\n"), "InsertHeader") != 1 {
		r.t.Fatalf("changes %q", acts)
	}
	return acts[len(acts)-1][len(before):]
}

// wire is a connection without go-milter's client, to break the rules that the
// client follows.
type wire struct {
	net.Conn
	t *testing.T
}

func (r *rig) wire() *wire {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	w := &wire{conn, r.t}
	w.send(negotiation)
	if code, _ := w.reply(); code != 'O' {
		r.t.Fatalf("answer %q to the negotiation", code)
	}
	return w
}

func (w *wire) send(frames ...[]byte) {
	w.t.Helper()
	if _, err := w.Write(bytes.Join(frames, nil)); err != nil {
		w.t.Fatal(err)
	}
}

// reply returns the next packet, or code 0 at the end of the connection.
func (w *wire) reply() (code byte, payload []byte) {
	w.t.Helper()
	head := make([]byte, lengthSize)
	if _, err := io.ReadFull(w, head); err != nil {
		if err != io.EOF {
			w.t.Fatalf("reading a reply: %v", err)
		}
		return 0, nil
	}
	packet := make([]byte, binary.BigEndian.Uint32(head))
	if _, err := io.ReadFull(w, packet); err != nil {
		w.t.Fatal(err)
	}
	return packet[0], packet[1:]
}

// answer returns the next reply that decides something, or code 0 at the end of the
// connection.
func (w *wire) answer() byte {
	w.t.Helper()
	_, final := w.verdict()
	return final
}

// verdict returns the number of changes before the reply that ends a message, and
// that reply.
func (w *wire) verdict() (changes int, final byte) {
	w.t.Helper()
	for {
		switch code, _ := w.reply(); code {
		case 'p', 'c', 's':
		case 'i', 'm':
			changes++
		default:
			return changes, code
		}
	}
}

// eventually waits for a condition to become true.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// noLeak returns a function that fails if more goroutines are left than now.
func noLeak(t *testing.T) func() {
	t.Helper()
	before := runtime.NumGoroutine()
	return func() {
		t.Helper()
		for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<16)
				t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
			}
		}
	}
}

// gate is a Resolver that answers for some names only once opened, or panics for
// them.
type gate struct {
	dns.Resolver
	names  []string
	panics bool
	opened chan struct{}
	// waiting counts the look-ups that wait or have panicked.
	mu      sync.Mutex
	waiting int
}

func newGate(t testing.TB, names ...string) *gate {
	return &gate{Resolver: dnstest.MustParse(t, exampleZone), names: names, opened: make(chan struct{})}
}

func (g *gate) TXT(ctx context.Context, name string) (dns.Answer[string], error) {
	if slices.Contains(g.names, name) {
		if g.panics {
			g.add(1)
			panic("look-up of " + name)
		}
		g.add(1)
		defer g.add(-1)
		select {
		case <-g.opened:
		case <-ctx.Done():
			return dns.Answer[string]{}, &dns.Error{Type: "TXT", Name: name, Err: ctx.Err()}
		}
	}
	return g.Resolver.TXT(ctx, name)
}

func (g *gate) add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting += n
}

func (g *gate) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting
}
