package config

import (
	"os"
	"time"

	"authmilter/policy"
	"authmilter/verify/domain"
)

// normalize fills in values that depend on the host, converts names to lower-case
// A-labels, and refuses values that decode but make no sense. Its errors are of type
// *keyError.
func (f *File) normalize() error {
	for _, step := range []func() error{
		f.normalizeHost,
		f.checkResults,
		f.normalizePolicy,
		f.normalizeOverrides,
		f.normalizeKeyNames,
		f.normalizeMetrics,
		f.checkNumbers,
		f.checkDurations,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// normalizeHost normalizes the names of this host, and checks its listeners and log
// format.
func (f *File) normalizeHost() error {
	if f.AuthservID == "" {
		name, err := os.Hostname()
		if err != nil {
			return badKey("authserv_id", "the host has no name: %w", err)
		}
		f.AuthservID = name
	}
	id, err := domain.ToASCII(f.AuthservID)
	if err != nil {
		return badKey("authserv_id", "%q is %w", f.AuthservID, err)
	}
	f.AuthservID = id
	for _, alias := range f.AuthservIDAliases {
		// Aliases stay as they are: authres compares them in every spelling.
		if _, err := domain.ToASCII(alias); err != nil {
			return badKey("authserv_id_aliases", "%q is %w", alias, err)
		}
	}
	if len(f.Listen) == 0 {
		return badKey("listen", "no address to listen on")
	}
	if err := f.Relay.Unreadable.oneOf(0, "relay.unreadable", choiceTemperror, choiceNone); err != nil {
		return err
	}
	if f.Log.Format != "text" && f.Log.Format != "json" {
		return badKey("log.format", `%q is neither "text" nor "json"`, f.Log.Format)
	}
	return nil
}

// checkResults checks the results table.
func (f *File) checkResults() error {
	var words []Choice
	for _, method := range policy.Hideable() {
		words = append(words, Choice(method))
	}
	for _, method := range f.Results.HideNone {
		if err := method.oneOf(0, "results.hide_none", words...); err != nil {
			return err
		}
	}
	return nil
}

// maxAuthorDomains limits the time series for author domains.
const maxAuthorDomains = 100

// normalizeMetrics checks the metrics table and normalizes its names.
func (f *File) normalizeMetrics() error {
	m := &f.Metrics
	if m.Listen != "" {
		if err := checkHostPort(m.Listen, "127.0.0.1:9894"); err != nil {
			return badKey("metrics.listen", "%w", err)
		}
	}
	if err := m.StatusPage.oneOf(0, "metrics.status_page", StatusPageFull, StatusPageAnonymous, StatusPageOff); err != nil {
		return err
	}
	const key = "metrics.author_domains"
	if n := len(m.AuthorDomains); n > maxAuthorDomains {
		return badKey(key, "%d domains; the maximum is %d", n, maxAuthorDomains)
	}
	return normalizeNames(0, key, m.AuthorDomains)
}

// checkNumbers checks whole numbers, including sizes.
func (f *File) checkNumbers() error {
	for _, n := range []struct {
		key      string
		value    int64
		min, max int64
	}{
		{"dkim.minimum_rsa_bits", int64(f.DKIM.MinimumRSABits), 1024, 8192},
		{"dkim.maximum_rsa_bits", int64(f.DKIM.MaximumRSABits), int64(f.DKIM.MinimumRSABits), 16384},
		{"dkim.maximum_signatures", int64(f.DKIM.MaximumSignatures), 1, 100},
		{"spf.void_lookups", int64(f.SPF.VoidLookups), 0, 10},
		{"limits.connections", int64(f.Limits.Connections), 1, 1 << 20},
		{"limits.messages", int64(f.Limits.Messages), 1, 1 << 20},
		{"limits.header_bytes", int64(f.Limits.HeaderBytes), 4 << 10, 64 << 20},
		{"limits.header_fields", int64(f.Limits.HeaderFields), 10, 1 << 20},
		{"limits.forged_fields", int64(f.Limits.ForgedFields), 1, 1000},
		{"limits.dns_queries", int64(f.Limits.DNSQueries), 80, 10_000},
	} {
		if n.value < n.min || n.value > n.max {
			return badKey(n.key, "%d is not between %d and %d", n.value, n.min, n.max)
		}
	}
	return nil
}

// checkDurations checks durations.
func (f *File) checkDurations() error {
	for _, d := range []struct {
		key   string
		value Duration
		max   time.Duration
	}{
		{"dns.timeout", f.DNS.Timeout, time.Minute},
		{"limits.dns_time", f.Limits.DNSTime, 5 * time.Minute},
		{"limits.end_of_message", f.Limits.EndOfMessage, 4 * time.Minute},
		{"limits.shutdown", f.Limits.Shutdown, 10 * time.Minute},
	} {
		if d.value <= 0 || time.Duration(d.value) > d.max {
			return badKey(d.key, "must be above 0 and at most %v, not %v", d.max, time.Duration(d.value))
		}
	}
	return nil
}
