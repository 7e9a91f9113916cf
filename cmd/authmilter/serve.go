package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"authmilter/config"
	"authmilter/milter"
	"authmilter/policy"
	"authmilter/verify/dns"
	"authmilter/web"
)

func serveCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the milter",
		Long: `Run the milter in the foreground. SIGTERM and SIGINT stop it after the messages in
flight have finished. SIGHUP reloads the whole configuration; if the new one is
invalid, the old one stays in force.

Without a configuration file, the milter listens on inet:8894@127.0.0.1, serves
metrics on 127.0.0.1:9894, uses the resolvers in /etc/resolv.conf, and only reports.
Sockets passed by systemd replace the configured listeners.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			tuneGC()
			// A log that nobody reads any more must not end the process.
			signal.Ignore(syscall.SIGPIPE)
			s := newService(path, cfg, cmd.ErrOrStderr())
			defer s.closeLog()
			s.endInTime(cmd.Context())
			s.warn(cfg.Warnings())
			return s.run(cmd.Context())
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// service is the running milter with everything that a reload can replace.
type service struct {
	path    string
	target  *logTarget
	lines   *asyncLog
	log     *slog.Logger
	seen    *monitor
	milter  *milter.Server
	web     *web.Server
	keys    *keyCheck
	serving sync.WaitGroup
	// resolver and failed are for /readyz; failed is set once a listener has failed.
	resolver atomic.Pointer[dns.Client]
	failed   atomic.Bool
	// profiling is set if profiles are served.
	profiling atomic.Bool
	// limit is limits.shutdown in nanoseconds; stopped is closed when shutdown has ended.
	limit   atomic.Int64
	stopped chan struct{}

	// The following are used only by run's goroutine.
	cfg       *config.Config
	listeners map[string]net.Listener // by address; nil if systemd passed them
}

func newService(path string, cfg *config.Config, stderr io.Writer) *service {
	s := &service{path: path, cfg: cfg, seen: newMonitor(), stopped: make(chan struct{})}
	s.limit.Store(int64(cfg.Limits.Shutdown))
	s.target, s.lines = newLogTarget(stderr, s.seen.LogLinesDropped)
	s.target.set(cfg.Log)
	s.log = slog.New(s.target)
	s.keys = &keyCheck{log: s.log, seen: s.seen}
	return s
}

// observers returns the observers of finished messages.
func (s *service) observers() []policy.Observer {
	return []policy.Observer{s.seen.Metrics, s.seen.page, explainLog{s.log}, messageLog{s.log}}
}

func (s *service) warn(warnings []string) {
	for _, w := range warnings {
		s.log.Warn(w)
	}
}

// gcPercent lets the heap grow to two and a half times its live size before garbage is
// collected, unless GOGC is set in the environment. The live heap is so small that the
// default would collect every few dozen messages, at the cost of a tenth of the CPU
// time or more. This setting costs a few MiB of memory.
const gcPercent = 150

// tuneGC sets gcPercent.
func tuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// run serves until ctx ends.
func (s *service) run(ctx context.Context) error {
	// This comes first, because an unhandled SIGHUP ends the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	cfg := s.cfg
	resolver, err := cfg.NewResolver(s.seen)
	if err != nil {
		return err
	}
	s.resolver.Store(resolver)
	passed, err := passedListeners()
	if err != nil {
		return err
	}
	opened := passed
	if len(passed) == 0 {
		if opened, err = openListeners(cfg, nil); err != nil {
			return err
		}
		s.listeners = opened
	}
	s.web = web.NewServer(web.Handler(web.Config{
		Metrics:   s.seen.Handler(),
		Ready:     func(c context.Context) error { return s.ready(ctx, c) },
		Page:      s.seen.page,
		Names:     s.seen.hostNames,
		Profiling: s.profiling.Load,
	}), s.log)
	if err := s.web.Listen(cfg.Metrics.Listen); err != nil {
		closeAll(opened)
		return cfg.ErrorAt("metrics.listen", err)
	}
	s.milter = milter.NewServer(milter.Config{
		MaxConnections: cfg.Limits.Connections,
		Observers:      s.observers(),
		Counter:        s.seen,
		Log:            s.log,
	}, cfg.Settings(resolver))
	s.show(cfg)
	var addresses []string
	for name, l := range opened {
		addresses = append(addresses, listenerName(l))
		s.serve(l, name)
	}
	slices.Sort(addresses)
	s.log.Info("serving", "version", build().Version, "authserv_id", cfg.AuthservID,
		"listen", strings.Join(addresses, " "), "metrics", s.web.Addr())
	notify(daemon.SdNotifyReady)
	s.keys.start(cfg.Keys(), resolver.Uncached())
	s.wait(ctx, hangups)
	return s.shutdown()
}

// wait handles signals until ctx ends.
func (s *service) wait(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			if err := s.reload(); err != nil {
				s.seen.refused(err, s.cfg)
				s.log.Error("configuration refused, keeping the old one", "error", err)
			} else {
				s.log.Info("configuration reloaded")
			}
		}
	}
}

// reload applies the configuration file as a whole or, on an error, not at all.
func (s *service) reload() error {
	cfg, err := config.Load(s.path)
	if err != nil {
		return err
	}
	if cfg.Limits.Connections != s.cfg.Limits.Connections {
		return cfg.ErrorAt("limits.connections", errors.New("cannot change without a restart"))
	}
	resolver := s.resolver.Load()
	if !cfg.SameDNS(s.cfg.File) {
		if resolver, err = cfg.NewResolver(s.seen); err != nil {
			return err
		}
	}
	var opened map[string]net.Listener
	if s.listeners != nil {
		if opened, err = openListeners(cfg, s.listeners); err != nil {
			return err
		}
	}
	if cfg.Metrics.Listen != s.cfg.Metrics.Listen {
		if err := s.web.Listen(cfg.Metrics.Listen); err != nil {
			closeAll(opened)
			return cfg.ErrorAt("metrics.listen", err)
		}
	}
	// Nothing can fail from here on.
	s.target.set(cfg.Log)
	s.limit.Store(int64(cfg.Limits.Shutdown))
	s.resolver.Store(resolver)
	s.milter.Set(cfg.Settings(resolver))
	s.replaceListeners(cfg, opened)
	s.show(cfg)
	s.keys.start(cfg.Keys(), resolver.Uncached())
	s.warn(cfg.Warnings())
	s.cfg = cfg
	return nil
}

// show applies the settings in cfg that affect what is shown over HTTP.
func (s *service) show(cfg *config.Config) {
	s.profiling.Store(cfg.Metrics.Profiling)
	s.seen.inForce(cfg)
}

// replaceListeners stops the listeners that are not in cfg, or were opened again, and
// serves the newly opened ones.
func (s *service) replaceListeners(cfg *config.Config, opened map[string]net.Listener) {
	wanted := map[string]bool{}
	for _, a := range cfg.Listen {
		wanted[a.String()] = true
	}
	for name, l := range s.listeners {
		if !wanted[name] || opened[name] != nil {
			s.milter.Stop(l)
			delete(s.listeners, name)
			continue
		}
		if a, ok := l.Addr().(*net.UnixAddr); ok && cfg.SocketMode != s.cfg.SocketMode {
			if err := os.Chmod(a.Name, os.FileMode(cfg.SocketMode)); err != nil {
				s.log.Error("cannot change the permissions of a socket", "error", err)
			}
		}
	}
	for name, l := range opened {
		s.listeners[name] = l
		s.serve(l, name)
	}
}

// shutdown lets the messages in flight finish.
func (s *service) shutdown() error {
	notify(daemon.SdNotifyStopping)
	limit := time.Duration(s.cfg.Limits.Shutdown)
	s.log.Info("shutting down", "limit", limit)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := s.milter.Shutdown(ctx); err != nil {
		s.log.Warn("messages in flight were cut off", "error", err)
	}
	s.serving.Wait()
	s.keys.stop()
	s.web.Close()
	s.log.Info("stopped")
	close(s.stopped)
	return nil
}

// serve serves l in the background until the milter stops it.
func (s *service) serve(l net.Listener, name string) {
	s.seen.ListenerAdded(name)
	s.serving.Go(func() {
		if err := s.milter.Serve(l, name); err != nil {
			s.failed.Store(true)
			s.log.Error("listener failed", "listener", name, "error", err)
		}
	})
}

// ready returns an error unless mail can be verified now: serving has not ended, no
// listener has failed, and a resolver answers.
func (s *service) ready(serving, ctx context.Context) error {
	if serving.Err() != nil {
		return errors.New("shutting down")
	}
	if s.failed.Load() {
		return errors.New("a listener has failed")
	}
	return s.resolver.Load().Ping(ctx)
}

// notify notifies systemd. Without systemd it does nothing.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }
