// Package milter speaks the milter protocol with Postfix and Sendmail: it takes
// each message apart for package verify, has package policy decide, and tells
// the MTA what to do. It is the sole home of d--j/go-milter.
package milter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/authres"
)

// Defaults of [Settings] and [Config].
const (
	DefaultMaxConnections = 1000
	DefaultMaxMessages    = 1000
	// DefaultQuarantineField is what other milters call it.
	DefaultQuarantineField = "X-Disposition-Quarantine"
	// DefaultEndOfMessage is below the 10 seconds after which Sendmail gives up
	// on a milter that says nothing.
	DefaultEndOfMessage = 8 * time.Second
)

// Settings are what a reload may change. A message keeps those that it began
// with. The zero value of a bound means its default.
type Settings struct {
	// AuthservID names us in Authentication-Results; Claimant knows the fields
	// that forge it.
	AuthservID string
	Claimant   *authres.Claimant
	Verifier   *verify.Verifier
	Rules      *policy.Rules
	// QuarantineField is the name of the field that marks a message to be
	// quarantined; ReceivedSPF asks for a Received-SPF field too.
	QuarantineField string
	ReceivedSPF     bool
	// Signing are the keys that sign own mail, which is what is skipped as not
	// inbound.
	Signing []SigningKey
	// SkipAuthenticated and SkipNetworks name the messages that are not inbound.
	SkipAuthenticated bool
	SkipNetworks      []netip.Prefix
	// MaxMessages bounds the messages in flight. Those beyond it pass on
	// without verification, and without a field that says otherwise.
	MaxMessages int
	// EndOfMessage bounds what the MTA waits after the last octet.
	EndOfMessage time.Duration
	// ExplainRules has each Verdict tell the rules that were tried.
	ExplainRules bool
}

// ownFields returns the fields that are removed, as forged, from a message that
// is skipped for a reason, or is not.
func (s *Settings) ownFields(why policy.Skip) policy.OwnFields {
	fields := policy.OwnFields{Claimant: s.Claimant, Quarantine: s.QuarantineField, ReceivedSPF: s.ReceivedSPF}
	if why == policy.Authenticated || why == policy.LocalNetwork {
		return fields.OfOwnMail()
	}
	return fields
}

// Config is what stays as long as a Server does.
type Config struct {
	// MaxConnections bounds the connections from MTAs on all listeners.
	MaxConnections int
	// Observers are told of each finished message.
	Observers []policy.Observer
	// Counter counts what happens outside of messages.
	Counter Counter
	Log     *slog.Logger
}

// Counter counts what a [Server] does besides finishing messages. It must be
// quick and safe for concurrent use.
type Counter interface {
	ConnObserver
	// MessageBegan and MessageEnded follow the messages in flight.
	MessageBegan()
	MessageEnded()
	// Panic tells of a failure of ours that was confined to one message.
	Panic()
	// Error tells that something went wrong in a [Stage], by our fault or the
	// machine's. What a message is refused for, or lacks, is no error.
	Error(stage string)
}

// Stage is where an error happened.
type Stage string

// The stages.
const (
	StageListen  Stage = "listener" // accepting connections
	StageVerify  Stage = "verify"   // verification ended by a fault: temperrors
	StageAnswer  Stage = "answer"   // the MTA went away, or the reply was impossible
	StageObserve Stage = "observe"  // log, metrics or status page
)

// Stages returns every Stage.
func Stages() []Stage { return []Stage{StageListen, StageVerify, StageAnswer, StageObserve} }

// Server answers MTAs.
type Server struct {
	config   Config
	settings atomic.Pointer[Settings]
	slots    slots
	inFlight atomic.Int64

	mu        sync.Mutex
	ended     bool
	listeners map[*guardedListener]*gomilter.Server
	serving   sync.WaitGroup
}

// NewServer returns a Server that serves nothing yet.
func NewServer(c Config, s *Settings) *Server {
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultMaxConnections
	}
	quietLibrary(c.Log)
	server := &Server{
		config:    c,
		slots:     make(slots, c.MaxConnections),
		listeners: map[*guardedListener]*gomilter.Server{},
	}
	server.Set(s)
	return server
}

// quietLibrary has go-milter, which knows one log for the whole process, write
// to ours. What it warns of is told by the guard already, or is the end of a
// connection.
var quietLibrary = func() func(*slog.Logger) {
	var once sync.Once
	return func(log *slog.Logger) {
		once.Do(func() {
			gomilter.LogWarning = func(format string, args ...any) {
				log.Debug(fmt.Sprintf(format, args...))
			}
		})
	}
}()

// Set makes a copy of settings those of the messages that begin from now on.
func (s *Server) Set(settings *Settings) {
	c := *settings
	if c.MaxMessages == 0 {
		c.MaxMessages = DefaultMaxMessages
	}
	if c.QuarantineField == "" {
		c.QuarantineField = DefaultQuarantineField
	}
	if c.EndOfMessage == 0 {
		c.EndOfMessage = DefaultEndOfMessage
	}
	s.settings.Store(&c)
}

// Serve answers the MTAs that connect to l, which name calls, until Stop or
// Shutdown. It closes l.
func (s *Server) Serve(l net.Listener, name string) error {
	guarded := newGuardedListener(l, s.slots, s.config.Counter, s.config.Log)
	inner := gomilter.NewServer(
		gomilter.WithMilter(func() gomilter.Milter { return &session{server: s, listener: name} }),
		gomilter.WithNegotiationCallback(s.negotiate(name)),
		gomilter.WithActions(wantedActions),
		gomilter.WithProtocols(wantedProtocol),
		gomilter.WithMacroRequest(gomilter.StageConnect, connectMacros),
		gomilter.WithMacroRequest(gomilter.StageMail, mailMacros),
		gomilter.WithMacroRequest(gomilter.StageRcpt, rcptMacros),
		gomilter.WithMacroRequest(gomilter.StageData, queueMacros),
		gomilter.WithMacroRequest(gomilter.StageEOH, queueMacros),
		gomilter.WithMacroRequest(gomilter.StageEOM, queueMacros),
	)
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return l.Close()
	}
	s.listeners[guarded] = inner
	s.serving.Add(1)
	s.mu.Unlock()
	defer s.serving.Done()
	err := inner.Serve(guarded)
	if errors.Is(err, net.ErrClosed) || errors.Is(err, gomilter.ErrServerClosed) {
		return nil
	}
	s.config.Counter.Error(string(StageListen))
	return err
}

// Stop ends one listener that Serve serves: its connections end as soon as they
// carry no message.
func (s *Server) Stop(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for guarded := range s.listeners {
		if guarded.Listener == l {
			_ = guarded.Close()
			guarded.end()
		}
	}
}

// Shutdown stops accepting connections, ends those that carry no message, and
// waits for the messages in flight until ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for guarded := range s.listeners {
		_ = guarded.Close()
		guarded.end()
	}
	var errs []error
	for _, inner := range s.listeners {
		errs = append(errs, inner.Shutdown(ctx))
	}
	s.serving.Wait()
	return errors.Join(errs...)
}

// What we ask the MTA for. It grants what it knows.
const (
	wantedActions = gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine
	// No replies where nothing is decided, which saves a round trip each; but
	// replies to body chunks, which can say that no more of them are wanted.
	wantedProtocol = gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoMailReply |
		gomilter.OptNoRcptReply | gomilter.OptNoDataReply | gomilter.OptNoHeaderReply |
		gomilter.OptNoEOHReply | gomilter.OptNoUnknownReply | gomilter.OptNoUnknown |
		gomilter.OptSkip | gomilter.OptHeaderLeadingSpace
	// versionTwo are the options that version 2 of the protocol knows.
	versionTwo = gomilter.OptProtocol(0x7f)
)

// Macros asked for. Asking replaces the lists that the MTA's administrator has
// set, so everything needed is here.
var (
	connectMacros = []gomilter.MacroName{"j", "_", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_name}", "{if_addr}",
		"{client_addr}", "{client_name}", "{client_port}", "{client_ptr}", "v"}
	mailMacros = []gomilter.MacroName{"i", "{auth_type}", "{auth_authen}", "{auth_ssf}", "{auth_author}",
		"{mail_addr}", "{mail_host}", "{mail_mailer}"}
	rcptMacros  = []gomilter.MacroName{"i", "{rcpt_addr}"}
	queueMacros = []gomilter.MacroName{"i"}
)

// negotiate returns the callback of a listener. A refusal is told: the MTA sees
// no more than a connection that ends.
func (s *Server) negotiate(listener string) gomilter.NegotiationCallbackFunc {
	return func(mtaVersion, ourVersion uint32, mtaActions, ourActions gomilter.OptAction,
		mtaProtocol, ourProtocol gomilter.OptProtocol, offered gomilter.DataSize,
	) (uint32, gomilter.OptAction, gomilter.OptProtocol, gomilter.DataSize, error) {
		version, actions, protocol, size, err := negotiate(
			mtaVersion, ourVersion, mtaActions, ourActions, mtaProtocol, ourProtocol, offered)
		if err != nil {
			s.config.Log.Error("connection refused", "listener", listener, "error", err)
		}
		return version, actions, protocol, size, err
	}
}

// negotiate agrees with what the MTA offers of what we want. Only headers that
// can be changed are indispensable: a forged field must not pass.
func negotiate(mtaVersion, ourVersion uint32, mtaActions, ourActions gomilter.OptAction,
	mtaProtocol, ourProtocol gomilter.OptProtocol, _ gomilter.DataSize,
) (uint32, gomilter.OptAction, gomilter.OptProtocol, gomilter.DataSize, error) {
	if mtaVersion < 2 {
		return 0, 0, 0, 0, fmt.Errorf("the MTA speaks version %d of the milter protocol, which is too old", mtaVersion)
	}
	version := min(mtaVersion, ourVersion)
	actions := mtaActions & ourActions
	protocol := mtaProtocol & ourProtocol
	if version < 6 {
		actions &^= gomilter.OptSetMacros
		if version < 3 {
			protocol &= versionTwo
		}
	}
	const headers = gomilter.OptAddHeader | gomilter.OptChangeHeader
	if actions&headers != headers {
		return 0, 0, 0, 0, errors.New("the MTA does not let a milter change headers")
	}
	// Chunks of 64 KiB: larger ones would be held in memory whole.
	return version, actions, protocol, gomilter.DataSize64K, nil
}
