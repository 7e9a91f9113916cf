// Package milter speaks the milter protocol with Postfix and Sendmail: it feeds
// each message to package verify, has package policy decide what happens to it,
// and sends that decision to the MTA. No other package imports d--j/go-milter.
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
	// DefaultMaxForged takes Postfix a few milliseconds. The time grows with the
	// square: 8,000 take it seconds.
	DefaultMaxForged = 200
	// DefaultQuarantineField is the name that other milters use.
	DefaultQuarantineField = "X-Disposition-Quarantine"
	// DefaultEndOfMessage is below the 10 seconds after which Sendmail gives up
	// on a milter that says nothing.
	DefaultEndOfMessage = 8 * time.Second
)

// Settings can change on reload. A message keeps the settings it began with.
// The zero value of a bound means its default.
type Settings struct {
	// AuthservID is our authserv-id in Authentication-Results; Claimant
	// recognizes fields that forge it.
	AuthservID string
	Claimant   *authres.Claimant
	Verifier   *verify.Verifier
	Rules      *policy.Rules
	// Results say what our Authentication-Results field shows.
	Results policy.ResultsOptions
	// QuarantineField is the name of the field that marks a message for
	// quarantine; ReceivedSPF adds a Received-SPF field too.
	QuarantineField string
	ReceivedSPF     bool
	// Signing holds the keys that sign our own mail: the messages skipped as not
	// inbound.
	Signing []SigningKey
	// SkipAuthenticated and SkipNetworks say which messages are not inbound.
	SkipAuthenticated bool
	SkipNetworks      []netip.Prefix
	// Relays are the networks of hosts of ours that pass on mail from outside: the
	// client of such a message is the one that gave it to the first relay, as the
	// Received fields say. KeepRelayResults keeps what the relays added under our
	// name.
	Relays           []netip.Prefix
	KeepRelayResults bool
	// SkipCheckDKIM verifies the signatures of these messages all the same.
	SkipCheckDKIM bool
	// MaxMessages bounds the messages in flight. Any message beyond it passes
	// unverified, and any field that claims otherwise is removed.
	MaxMessages int
	// MaxForged bounds the forged fields that are removed from one message. A message
	// with more is refused: rejected, or deferred if DeferForged is set.
	MaxForged   int
	DeferForged bool
	// EndOfMessage bounds how long the MTA waits after the last octet.
	EndOfMessage time.Duration
	// ExplainRules records in each Verdict the rules that were tried.
	ExplainRules bool
}

// ownFields returns the fields to remove as forged from a message skipped for
// the given reason, if any.
func (s *Settings) ownFields(why policy.Skip) policy.OwnFields {
	fields := policy.OwnFields{Claimant: s.Claimant, Quarantine: s.QuarantineField, ReceivedSPF: s.ReceivedSPF}
	if why == policy.Authenticated || why == policy.LocalNetwork {
		return fields.OfOwnMail()
	}
	return fields
}

// Config holds what stays the same for the life of a Server.
type Config struct {
	// MaxConnections bounds the connections from MTAs on all listeners.
	MaxConnections int
	// Observers are called for each finished message.
	Observers []policy.Observer
	// Counter counts everything else.
	Counter Counter
	Log     *slog.Logger
}

// Counter counts what a [Server] does besides finishing messages. It must be
// quick and safe for concurrent use.
type Counter interface {
	ConnObserver
	// MessageBegan and MessageEnded track the messages in flight.
	MessageBegan()
	MessageEnded()
	// Panic counts a panic that was confined to one message.
	Panic()
	// Error counts an error in a [Stage] that is our fault or the machine's.
	// A bad or refused message is not an error.
	Error(stage string)
}

// Stage is the stage of processing in which an error happened.
type Stage string

// The stages.
const (
	StageListen  Stage = "listener" // accepting connections
	StageVerify  Stage = "verify"   // verification failed because of a bug: temperrors
	StageAnswer  Stage = "answer"   // the MTA went away, or the reply could not be sent
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

// NewServer returns a Server with no listeners. Call Serve to add one.
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

// quietLibrary sends the warnings of go-milter, which has one log for the whole
// process, to our log at debug level: the guard has already reported them, or
// they only say that a connection ended.
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

// Set applies a copy of settings to messages that begin from now on.
func (s *Server) Set(settings *Settings) {
	c := *settings
	if c.MaxMessages == 0 {
		c.MaxMessages = DefaultMaxMessages
	}
	if c.MaxForged == 0 {
		c.MaxForged = DefaultMaxForged
	}
	if c.QuarantineField == "" {
		c.QuarantineField = DefaultQuarantineField
	}
	if c.EndOfMessage == 0 {
		c.EndOfMessage = DefaultEndOfMessage
	}
	s.settings.Store(&c)
}

// Serve answers the MTAs that connect to l until Stop or Shutdown, then closes
// l. The name identifies the listener in logs and rules.
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

// Stop ends one listener passed to Serve: each of its connections ends as soon
// as no message is in flight on it.
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

// Shutdown stops accepting connections, ends idle connections, and waits for the
// messages in flight until ctx ends.
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

// What we ask the MTA for. It grants what it supports.
const (
	wantedActions = gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptQuarantine
	// No reply to events at which nothing is decided: each saves a round trip.
	// Body chunks do get replies, which can say that we want no more of them.
	wantedProtocol = gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoMailReply |
		gomilter.OptNoRcptReply | gomilter.OptNoDataReply | gomilter.OptNoHeaderReply |
		gomilter.OptNoEOHReply | gomilter.OptNoUnknownReply | gomilter.OptNoUnknown |
		gomilter.OptSkip | gomilter.OptHeaderLeadingSpace
	// versionTwo are the options that version 2 of the protocol knows.
	versionTwo = gomilter.OptProtocol(0x7f)
)

// Macros to request. A request replaces the lists that the MTA's administrator
// has set, so it must name everything we need.
var (
	connectMacros = []gomilter.MacroName{"j", "_", "{daemon_name}", "{daemon_addr}", "{daemon_port}", "{if_name}", "{if_addr}",
		"{client_addr}", "{client_name}", "{client_port}", "{client_ptr}", "v"}
	mailMacros = []gomilter.MacroName{"i", "{auth_type}", "{auth_authen}", "{auth_ssf}", "{auth_author}",
		"{mail_addr}", "{mail_host}", "{mail_mailer}"}
	rcptMacros  = []gomilter.MacroName{"i", "{rcpt_addr}"}
	queueMacros = []gomilter.MacroName{"i"}
)

// negotiate returns the negotiation callback for a listener. It logs a refusal,
// because the MTA sees only that the connection ends.
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

// negotiate accepts whatever we want that the MTA offers. Only the permission to
// change headers is indispensable: a forged field must not pass.
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
	// Chunks of 64 KiB, because a whole chunk is held in memory.
	return version, actions, protocol, gomilter.DataSize64K, nil
}
