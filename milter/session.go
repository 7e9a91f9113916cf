package milter

import (
	"context"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/authres"
	"authmilter/verify/message"
	"authmilter/verify/trace"
)

// session is one connection from an MTA: one SMTP session, or several in a row
// (SMFIC_QUIT_NC). go-milter calls its methods one at a time, and does not
// recover from a panic in them: each method recovers by itself, and answers as
// if nothing had happened.
type session struct {
	server   *Server
	listener string

	client     netip.Addr
	clientName string
	helo       string
	message    *transaction // nil between two messages
}

// transaction is one message in flight.
type transaction struct {
	settings   *Settings
	begun      time.Time
	env        verify.Envelope
	recipients policy.Recipients
	// crowded is set if there were too many messages in flight when it began.
	crowded bool
	skip    policy.Skip
	check   *verify.Check // nil if nothing is verified; of our own mail, only DKIM is
	own     *ownMail      // nil if the message is not ours
	// relay is the relay of ours that passed the message on; the zero Addr if there
	// is none. relayed is nil once the relay's client is known. relayResults are
	// the results that relays added.
	relay        netip.Addr
	relayed      *relayed
	relayResults []authres.Method
	headerDone   bool
	removals     removals
	// failure is the panic that ended the verification.
	failure error
}

// guard confines a panic to the message in which it happened: the results of
// that message become temporary errors, and the connection continues.
func (s *session) guard() {
	v := recover()
	if v == nil {
		return
	}
	s.server.config.Counter.Panic()
	stack := debug.Stack()
	if p, ok := v.(*verify.Panic); ok {
		v, stack = p.Value, p.Stack
	}
	s.server.config.Log.Error("internal error", "error", v, "stack", string(stack))
	if t := s.message; t != nil {
		t.failure = errInternal
		s.cancel(t)
	}
}

// cancel ends the verification of a message without a result.
func (s *session) cancel(t *transaction) {
	if t.own != nil {
		t.own.cancel()
	}
	check := t.check
	if check == nil {
		return
	}
	t.check = nil
	defer s.guard() // Cancel re-raises the panic of a look-up
	check.Cancel()
}

// reset ends the message in flight, if any, without a result.
func (s *session) reset() {
	t := s.message
	if t == nil {
		return
	}
	s.message = nil
	s.server.inFlight.Add(-1)
	s.server.config.Counter.MessageEnded()
	// A panic while one message is cleaned up must not harm the next one.
	defer s.guard()
	s.cancel(t)
}

func (s *session) NewConnection(gomilter.Modifier) error {
	defer s.guard()
	s.reset()
	s.client, s.clientName, s.helo = netip.Addr{}, "", ""
	return nil
}

func (s *session) Connect(host, family string, _ uint16, addr string, m gomilter.Modifier) (resp *gomilter.Response, err error) {
	resp = gomilter.RespContinue
	defer s.guard()
	s.reset()
	s.helo = ""
	s.client, _ = netip.ParseAddr(strings.TrimPrefix(addr, "IPv6:"))
	if !s.client.IsValid() {
		// The family has no address, but the MTA may still know one.
		s.client, _ = netip.ParseAddr(strings.TrimPrefix(m.Get("{client_addr}"), "IPv6:"))
	}
	s.client = s.client.Unmap()
	// "unknown" and the bare address stand for a name that did not verify.
	s.clientName = host
	if strings.HasPrefix(host, "[") || strings.EqualFold(host, "unknown") {
		s.clientName = ""
	}
	return gomilter.RespContinue, nil
}

func (s *session) Helo(name string, _ gomilter.Modifier) (resp *gomilter.Response, err error) {
	resp = gomilter.RespContinue
	defer s.guard()
	s.reset() // RFC 5321 section 4.1.4
	s.helo = name
	return gomilter.RespContinue, nil
}

func (s *session) MailFrom(path, _ string, m gomilter.Modifier) (resp *gomilter.Response, err error) {
	resp = gomilter.RespContinue
	defer s.guard()
	s.reset()
	t := &transaction{
		settings: s.server.settings.Load(),
		begun:    time.Now(),
		env: verify.Envelope{
			ClientIP:   s.client,
			ClientName: s.clientName,
			Helo:       s.helo,
			MailFrom:   path,
		},
	}
	s.message = t
	inFlight := s.server.inFlight.Add(1)
	s.server.config.Counter.MessageBegan()
	t.crowded = inFlight > int64(t.settings.MaxMessages)
	macro, given := m.GetEx(gomilter.MacroMailAddr)
	t.env.MailFrom = meantPath(path, macro, given)
	if trail := trace.NewTrail(t.settings.Relays, s.client); trail != nil {
		// Even if it has authenticated: its mail comes from elsewhere.
		t.relay = s.client
		t.relayed = &relayed{trail: trail}
		t.removals.fields = t.settings.ownFields(policy.NotSkipped)
		t.env.ClientIP, t.env.ClientName, t.env.Helo = netip.Addr{}, "", ""
		return gomilter.RespContinue, nil
	}
	t.begin(t.skipReason(m))
	return gomilter.RespContinue, nil
}

// begin begins what is done with the message, which is skipped because of why, once
// it is known where it comes from.
func (t *transaction) begin(why policy.Skip) {
	t.skip = why
	switch {
	case why != policy.NotSkipped:
		t.own = newOwnMail(t.settings, why)
	case t.crowded:
		t.skip = policy.Overload
	}
	t.removals.fields = t.settings.ownFields(t.skip)
	switch {
	case t.skip == policy.NotSkipped:
		t.check = t.settings.Verifier.Begin(context.Background(), t.env)
	case t.own != nil && t.settings.SkipCheckDKIM && !t.crowded:
		t.check = t.settings.Verifier.BeginDKIM(context.Background())
	}
}

// skipReason returns why the message is not verified, if it is not inbound.
func (t *transaction) skipReason(m gomilter.Modifier) policy.Skip {
	if t.settings.SkipAuthenticated && (m.Get("{auth_authen}") != "" || m.Get("{auth_type}") != "") {
		return policy.Authenticated
	}
	if contains(t.settings.SkipNetworks, t.env.ClientIP) {
		return policy.LocalNetwork
	}
	return policy.NotSkipped
}

func (s *session) RcptTo(path, _ string, m gomilter.Modifier) (resp *gomilter.Response, err error) {
	resp = gomilter.RespContinue
	defer s.guard()
	if t := s.message; t != nil {
		macro, given := m.GetEx(gomilter.MacroRcptAddr)
		t.recipients.Add(meantPath(path, macro, given))
	}
	return gomilter.RespContinue, nil
}

func (s *session) Data(gomilter.Modifier) (*gomilter.Response, error) {
	return gomilter.RespContinue, nil
}

func (s *session) Header(name, value string, m gomilter.Modifier) (resp *gomilter.Response, err error) {
	resp = gomilter.RespContinue
	defer s.guard()
	t := s.message
	if t == nil {
		return noMessage()
	}
	t.removals.see(name, value)
	if t.headerDone || t.check == nil && t.own == nil && t.relayed == nil {
		return gomilter.RespContinue, nil
	}
	if m.Protocol()&gomilter.OptHeaderLeadingSpace == 0 {
		value = restoreSpace(value)
	}
	f := message.NewField(name, value)
	if t.relayed == nil {
		t.take(f)
	} else if t.relayed.add(f) {
		t.arrive()
	}
	return gomilter.RespContinue, nil
}

// take takes the next field of the header.
func (t *transaction) take(f message.Field) {
	if t.own != nil {
		t.own.field(f)
	}
	if t.check != nil {
		t.check.Field(f)
	}
}

// noMessage answers part of a message that never began, or that was lost to a
// command out of order. The message was not checked in full, so it must not pass.
// guarded has already counted and logged it.
func noMessage() (*gomilter.Response, error) { return gomilter.RespTempFail, nil }

// restoreSpace returns a value as it was after the colon, for an MTA that removes
// one space there. Such an MTA keeps a TAB, and the fold after an empty first line.
func restoreSpace(value string) string {
	if value == "" || strings.IndexByte("\t\r\n", value[0]) >= 0 {
		return value
	}
	return " " + value
}

func (s *session) Headers(gomilter.Modifier) (resp *gomilter.Response, err error) {
	resp = gomilter.RespContinue
	defer s.guard()
	t := s.message
	if t == nil {
		return noMessage()
	}
	t.endHeader()
	return gomilter.RespContinue, nil
}

// endHeader ends the header of t if that has not happened. A panic in it must
// not stop forged fields from being removed.
func (s *session) endHeader(t *transaction) {
	defer s.guard()
	t.endHeader()
}

// endHeader ends the header of the message, once: a peer that sends the end of
// the header twice, or not at all before a body, must not upset the Check.
func (t *transaction) endHeader() {
	if t.headerDone {
		return
	}
	t.headerDone = true
	if t.relayed != nil {
		t.arrive()
	}
	if t.own != nil {
		t.own.endHeader(&t.removals)
		if t.own.reported && t.check != nil {
			// A second field beside our results of an earlier pass would contradict
			// them: a content filter may have changed the message since.
			t.check.Cancel()
			t.check = nil
		}
	}
	if t.check != nil {
		t.check.EndHeader()
	}
}

func (s *session) BodyChunk(chunk []byte, m gomilter.Modifier) (resp *gomilter.Response, err error) {
	resp = gomilter.RespContinue
	defer s.guard()
	t := s.message
	if t == nil {
		return noMessage()
	}
	t.endHeader()
	if t.wantsBody(chunk) {
		return gomilter.RespContinue, nil
	}
	if m.Protocol()&gomilter.OptSkip != 0 {
		return gomilter.RespSkip, nil
	}
	return gomilter.RespContinue, nil
}

// wantsBody takes the next octets of the body, and reports whether any later
// ones matter.
func (t *transaction) wantsBody(chunk []byte) bool {
	wanted := false
	if t.check != nil {
		_, _ = t.check.Write(chunk) // never fails before Finish
		wanted = t.check.WantsBody()
	}
	if t.own != nil && t.own.write(chunk) {
		wanted = true
	}
	return wanted
}

func (s *session) Abort(gomilter.Modifier) error {
	defer s.guard()
	s.reset()
	return nil
}

func (s *session) Unknown(string, gomilter.Modifier) (*gomilter.Response, error) {
	return gomilter.RespContinue, nil
}

func (s *session) Cleanup(gomilter.Modifier) {
	defer s.guard()
	s.reset()
}
