package spf

import (
	"context"
	"net/netip"
)

// match evaluates m, a mechanism in the record of the domain current
// (RFC 7208 section 5). target is the name that m refers to, if any.
func (e *evaluation) match(ctx context.Context, m *Mechanism, current string, depth int) (target string, match bool, x *Error) {
	switch m.Kind {
	case All:
		return "", true, nil
	case IP4, IP6:
		// Contains is false for an address of the other family.
		return "", m.Network.Contains(e.ip), nil
	}
	if x := e.countLookup(); x != nil {
		return "", false, x
	}
	if !e.expandable(m.Domain) {
		return "", false, nil
	}
	if m.Kind == Include {
		return e.matchInclude(ctx, m, current, depth)
	}
	target, ok, x := e.target(ctx, m.Domain, current)
	if x != nil || !ok {
		return target, false, x
	}
	switch m.Kind {
	case A:
		match, x = e.matchHost(ctx, m, target)
	case MX:
		match, x = e.matchMX(ctx, m, target)
	case PTR:
		match, x = e.matchPTR(ctx, target)
	case Exists:
		match, x = e.matchExists(ctx, target)
	}
	return target, match, x
}

// matchInclude evaluates "include" (RFC 7208 section 5.2).
func (e *evaluation) matchInclude(ctx context.Context, m *Mechanism, current string, depth int) (string, bool, *Error) {
	target, x := e.recordTarget(ctx, m.Domain, current)
	if x != nil {
		return target, false, x
	}
	switch o := e.checkHost(ctx, target, depth+1); o.status {
	case Pass:
		return target, true, nil
	case TempError, PermError:
		return target, false, o.err
	case None:
		return target, false, withoutRecord(o.err)
	default:
		return target, false, nil
	}
}

// matchHost reports whether an address of name equals the client's up to the
// prefix length of m (RFC 7208 section 5.3).
func (e *evaluation) matchHost(ctx context.Context, m *Mechanism, name string) (bool, *Error) {
	a, err := e.addresses(ctx, name)
	if err != nil || len(a.Values) == 0 {
		return false, e.empty(err)
	}
	bits := m.Prefix6
	if e.ip.Is4() {
		bits = m.Prefix4
	}
	for _, addr := range a.Values {
		if netip.PrefixFrom(addr, bits).Contains(e.ip) {
			return true, nil
		}
	}
	return false, nil
}

// matchMX evaluates "mx" (RFC 7208 section 5.4).
func (e *evaluation) matchMX(ctx context.Context, m *Mechanism, name string) (bool, *Error) {
	a, err := e.resolver.MX(ctx, name)
	if err != nil || len(a.Values) == 0 {
		return false, e.empty(err)
	}
	if len(a.Values) > MaxNames {
		// Checked before any look-up: the result of an "mx" must not depend on the
		// order of exchangers with equal preference.
		return false, errNames
	}
	for _, mx := range a.Values {
		if !isName(mx.Host) {
			continue // for example the null MX of RFC 7505
		}
		if match, x := e.matchHost(ctx, m, mx.Host); match || x != nil {
			return match, x
		}
	}
	return false, nil
}

// matchExists evaluates "exists". It looks up IPv4 addresses even if the client's
// address is IPv6 (RFC 7208 section 5.7).
func (e *evaluation) matchExists(ctx context.Context, name string) (bool, *Error) {
	a, err := e.resolver.A(ctx, name)
	if err != nil || len(a.Values) == 0 {
		return false, e.empty(err)
	}
	return true, nil
}
