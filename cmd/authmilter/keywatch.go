package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"authmilter/config"
	"authmilter/verify/dkim"
	"authmilter/verify/dns"
)

// publishedEvery is how often to check that our keys are published.
const publishedEvery = time.Hour

// keyCheck watches what DNS publishes for our keys.
type keyCheck struct {
	log  *slog.Logger
	seen *monitor

	cancel  context.CancelFunc // nil before the first start
	running sync.WaitGroup
}

// start checks keys at once and every hour from then on, instead of any keys watched
// before. The resolver r must not have a cache: an admin who has just published a
// record and reloads needs to see that record.
func (c *keyCheck) start(keys []config.Key, r dns.Resolver) {
	c.stop()
	c.seen.forgetKeys()
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	c.running.Go(func() {
		again := time.NewTicker(publishedEvery)
		defer again.Stop()
		for {
			for _, k := range keys {
				c.checkKey(ctx, k, r)
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// stop ends the watch.
func (c *keyCheck) stop() {
	if c.cancel != nil {
		c.cancel()
	}
	c.running.Wait()
}

// checkKey checks one key. A missing record does not stop the service: it may appear
// soon, and no mail is lost.
func (c *keyCheck) checkKey(ctx context.Context, k config.Key, r dns.Resolver) {
	state, err := k.Private.CheckPublished(ctx, r, k.Selector, k.Domain)
	if ctx.Err() != nil {
		return
	}
	c.seen.keyState(k, string(state))
	switch state {
	case dkim.PublishedOK:
		c.log.Info("key is published", "use", k.Use, "domain", k.Domain, "selector", k.Selector, "bits", k.Private.Bits)
	case dkim.PublishedUnknown:
		c.log.Warn("cannot check whether the key is published",
			"use", k.Use, "domain", k.Domain, "selector", k.Selector, "error", err)
	case dkim.PublishedAmbiguous:
		c.log.Error("not everybody can verify what this key signs: DNS publishes other keys at its name too",
			"use", k.Use, "name", k.Selector+"._domainkey."+k.Domain, "error", err)
	default:
		c.log.Error("nobody can verify what this key signs: DNS does not publish it",
			"use", k.Use, "name", k.Selector+"._domainkey."+k.Domain, "error", err, "publish", k.Private.Record())
	}
}
