package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"authmilter/metrics"
	"authmilter/milter"
	"authmilter/policy"
	"authmilter/verify/dns"
)

func serveCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the milter",
		Long: `Run the milter until SIGTERM or SIGINT, which let the messages in flight finish.
SIGHUP reloads the whole configuration; a bad one is refused and the old one kept.

Without a config file it listens on inet:8894@127.0.0.1, serves metrics on
127.0.0.1:9894, asks the resolvers of /etc/resolv.conf, and only reports.
Sockets passed by systemd take the place of the configured ones.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := loadConfig(path)
			if err != nil {
				return err
			}
			s := &service{path: path, stderr: cmd.ErrOrStderr()}
			return s.run(cmd.Context(), cfg)
		},
	}
	configFlag(cmd, &path)
	return cmd
}

// service is the running milter with all that a reload may replace.
type service struct {
	path   string
	stderr io.Writer

	level   slog.LevelVar
	log     *slog.Logger
	metrics *metrics.Metrics
	milter  *milter.Server
	web     *webServer
	serving sync.WaitGroup

	// The following change with a reload. Only run's goroutine does that; mu is
	// for readers beside it.
	mu        sync.Mutex
	cfg       *Config
	resolver  *dns.Client
	listeners map[string]net.Listener // by address; empty where systemd passed them
}

// run serves until ctx ends.
func (s *service) run(ctx context.Context, cfg *Config) error {
	// Before anybody can know that we are here: unhandled, it ends the process.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	s.metrics = metrics.New(build())
	s.setLog(cfg)
	resolver, err := cfg.newResolver(s.metrics)
	if err != nil {
		return err
	}
	s.cfg, s.resolver = cfg, resolver
	passed, err := activation.Listeners()
	if err != nil {
		return fmt.Errorf("sockets passed by systemd: %w", err)
	}
	var opened map[string]net.Listener
	if len(passed) == 0 {
		if opened, err = openListeners(cfg, nil); err != nil {
			return located(s.path, nil, err)
		}
	}
	s.listeners = opened
	s.web = &webServer{handler: s.metrics.Handler(s.ready), log: s.log}
	if err := s.web.listen(cfg.Metrics.Listen); err != nil {
		closeAll(opened)
		return err
	}
	s.milter = milter.NewServer(milter.Config{
		MaxConnections: cfg.Limits.Connections,
		Observers:      []policy.Observer{s.metrics, messageLog{s.logger}},
		Counter:        s.metrics,
		Log:            s.log,
	}, cfg.settings(resolver))
	for _, l := range passed {
		s.serve(l, l.Addr().String())
	}
	for name, l := range opened {
		s.serve(l, name)
	}
	s.metrics.Reloaded(true, time.Now())
	s.log.Info("serving", "version", build().Version, "authserv_id", cfg.AuthservID,
		"listen", cfg.Listen, "metrics", cfg.Metrics.Listen)
	notify(daemon.SdNotifyReady)
	s.wait(ctx, hangups)
	return s.shutdown()
}

// wait carries out signals until ctx ends.
func (s *service) wait(ctx context.Context, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			err := s.reload()
			s.metrics.Reloaded(err == nil, time.Now())
			if err != nil {
				s.log.Error("configuration refused, the old one is kept", "error", err)
			} else {
				s.log.Info("configuration reloaded")
			}
		}
	}
}

// reload puts the configuration file into force, or nothing of it.
func (s *service) reload() error {
	cfg, err := loadConfig(s.path)
	if err != nil {
		return err
	}
	if cfg.Limits.Connections != s.cfg.Limits.Connections {
		return fmt.Errorf("%s: limits.connections cannot change without a restart", s.path)
	}
	resolver := s.resolver
	if !cfg.sameDNS(s.cfg) {
		if resolver, err = cfg.newResolver(s.metrics); err != nil {
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
		if err := s.web.listen(cfg.Metrics.Listen); err != nil {
			closeAll(opened)
			return err
		}
	}
	// From here on nothing fails.
	s.milter.Set(cfg.settings(resolver))
	wanted := map[string]bool{}
	for _, a := range cfg.Listen {
		wanted[a.String()] = true
	}
	for name, l := range s.listeners {
		if !wanted[name] {
			s.milter.Stop(l)
			delete(s.listeners, name)
		}
	}
	for name, l := range opened {
		s.listeners[name] = l
		s.serve(l, name)
	}
	s.mu.Lock()
	s.cfg, s.resolver = cfg, resolver
	s.mu.Unlock()
	s.setLog(cfg)
	return nil
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
	s.web.close()
	s.log.Info("stopped")
	return nil
}

// serve answers on l in the background until the milter stops it.
func (s *service) serve(l net.Listener, name string) {
	s.serving.Go(func() {
		if err := s.milter.Serve(l, name); err != nil {
			s.log.Error("listener failed", "listener", name, "error", err)
		}
	})
}

// ready tells whether mail can be verified now: whether a resolver answers.
func (s *service) ready(ctx context.Context) error {
	s.mu.Lock()
	resolver := s.resolver
	s.mu.Unlock()
	return resolver.Ping(ctx)
}

// setLog makes the log what cfg asks for.
func (s *service) setLog(cfg *Config) {
	s.level.Set(cfg.Log.Level)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = newLog(s.stderr, cfg.Log.Format, &s.level)
}

// logger returns the log in force.
func (s *service) logger() *slog.Logger {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log
}

func newLog(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// openListeners opens the addresses of cfg that are not open already. On an
// error it opens none.
func openListeners(cfg *Config, open map[string]net.Listener) (map[string]net.Listener, error) {
	opened := map[string]net.Listener{}
	for _, a := range cfg.Listen {
		name := a.String()
		if open[name] != nil || opened[name] != nil {
			continue
		}
		l, err := a.Listen(os.FileMode(cfg.SocketMode))
		if err != nil {
			closeAll(opened)
			return nil, &keyError{"listen", err}
		}
		opened[name] = l
	}
	return opened, nil
}

func closeAll(listeners map[string]net.Listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// notify tells systemd; without systemd it does nothing.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }
