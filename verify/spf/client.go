package spf

import (
	"context"
	"slices"
	"strings"
	"time"

	"authmilter/verify/dns"
	"authmilter/verify/domain"
)

// namesTime bounds the total time spent looking up the client's names and their
// addresses. The owner of the client's address can name ten hosts whose DNS
// servers do not answer. A look-up that fails only means that the name is not the
// client's (RFC 7208 section 5.5), and must not use up the time for all others.
const namesTime = 3 * time.Second

// clientNames are the client's names in the reverse DNS. They are looked up once
// per evaluation.
type clientNames struct {
	// ctx bounds their look-ups; it is nil before the first. cancel ends it.
	ctx    context.Context
	cancel context.CancelFunc
	asked  bool
	names  []clientName
}

// end releases the context of the look-ups.
func (c *clientNames) end() {
	if c.cancel != nil {
		c.cancel()
	}
}

// clientName is a name that may be the client's. Its addresses are only looked up
// when a term depends on it.
type clientName struct {
	name    string // in lower case
	checked bool
	valid   bool
}

// askNames looks up the client's names, once. If that fails, the client has none
// (RFC 7208 section 5.5).
func (e *evaluation) askNames(ctx context.Context) *Error {
	if e.client.asked {
		return nil
	}
	if e.client.ctx == nil {
		e.client.ctx, e.client.cancel = context.WithTimeout(ctx, namesTime)
	}
	a, err := e.resolver.PTR(e.client.ctx, e.ip)
	if x := unfinished(ctx, err); x != nil {
		return x
	}
	e.client.asked = true
	if len(a.Values) == 0 && (err == nil || dns.IsNotFound(err)) {
		return e.countVoid()
	}
	// RFC 7208 section 4.6.4: only the first ten names count, because the owner
	// of the client's address decides how many there are.
	for _, name := range a.Values[:min(len(a.Values), MaxNames)] {
		e.client.names = append(e.client.names, clientName{name: strings.ToLower(name)})
	}
	return nil
}

// validate reports whether n has the client's address. If the look-up fails, it
// does not. Neither a failed look-up nor an empty one counts against the limit on
// void look-ups (RFC 7208 section 5.5).
func (e *evaluation) validate(ctx context.Context, n *clientName) (bool, *Error) {
	if n.checked || !isName(n.name) {
		return n.valid, nil
	}
	a, err := e.addresses(e.client.ctx, n.name)
	if x := unfinished(ctx, err); x != nil {
		return false, x
	}
	n.checked = true
	n.valid = err == nil && slices.Contains(a.Values, e.ip)
	return n.valid, nil
}

// matchPTR evaluates "ptr" (RFC 7208 section 5.5). The RFC says twice when it
// matches. The second statement swaps the two names; the text before it and the
// example after it have them right.
func (e *evaluation) matchPTR(ctx context.Context, target string) (bool, *Error) {
	if x := e.askNames(ctx); x != nil {
		return false, x
	}
	target = strings.ToLower(target)
	for i := range e.client.names {
		n := &e.client.names[i]
		if !domain.IsSubdomain(n.name, target) {
			continue
		}
		if valid, x := e.validate(ctx, n); valid || x != nil {
			return valid, x
		}
	}
	return false, nil
}

// validatedName returns the expansion of %{p}: the validated name that equals
// current, else one below it, else any (RFC 7208 section 7.3). The look-up
// counts like the look-up of a term (section 4.6.4).
func (e *evaluation) validatedName(ctx context.Context, current string) (string, *Error) {
	if !e.client.asked {
		void := e.termVoid
		if x := e.countLookup(); x != nil {
			return "", x
		}
		e.termVoid = void
		if x := e.askNames(ctx); x != nil {
			return "", x
		}
	}
	current = strings.ToLower(current)
	for _, fits := range [...]func(name string) bool{
		func(name string) bool { return name == current },
		func(name string) bool { return domain.IsSubdomain(name, current) },
		func(string) bool { return true },
	} {
		for i := range e.client.names {
			n := &e.client.names[i]
			if !fits(n.name) {
				continue
			}
			valid, x := e.validate(ctx, n)
			if x != nil {
				return "", x
			}
			if valid {
				return n.name, nil
			}
		}
	}
	return unknownName, nil
}
