package dmarc

import (
	"context"
	"slices"
	"strings"

	"authmilter/verify/domain"
	"authmilter/verify/fault"
)

// The methods that authenticate identifiers (RFC 9989 section 4.3).
const (
	MethodDKIM = "dkim"
	MethodSPF  = "spf"
)

// Identifier is a domain that a method authenticated or tried to: the d= domain
// of a signature, the domain of MAIL FROM.
type Identifier struct {
	// Method is MethodDKIM or MethodSPF. An Identifier of any other method never
	// aligns.
	Method string
	// Domain is a domain name in any form. An invalid name never aligns.
	Domain string
	// Pass reports whether the method authenticated the domain; TempError,
	// whether it could not finish.
	Pass, TempError bool
}

var errNoOrgDomain = fault.New(TempError, ReasonAlignmentLookup, "organizational domain was not looked up")

// orgDomains are the Organizational Domains known so far.
type orgDomains struct {
	known []orgDomain
	// find looks up another one; nil before and after the look-ups.
	find func(name string, c claim) (string, *Error)
}

type orgDomain struct {
	name, org string
	err       *Error
}

func (o *orgDomains) set(name, org string, err *Error) {
	o.known = append(o.known, orgDomain{name, org, err})
}

// of returns the Organizational Domain of name.
func (o *orgDomains) of(name string, c claim) (string, *Error) {
	i := slices.IndexFunc(o.known, func(k orgDomain) bool { return k.name == name })
	if i >= 0 {
		return o.known[i].org, o.known[i].err
	}
	if o.find == nil {
		return "", errNoOrgDomain
	}
	org, err := o.find(name, c)
	o.set(name, org, err)
	return org, err
}

func (f *finder) orgDomain(ctx context.Context, name string, c claim) (string, *Error) {
	if f.mode == PSL {
		return registered(name), nil
	}
	steps, err := f.treeWalk(ctx, name, c)
	if err != nil {
		return "", fault.New(TempError, ReasonAlignmentLookup, "organizational domain of "+name).Because(err)
	}
	return organizational(name, steps), nil
}

// aligned reports whether id, authenticated or not, aligns with the author domain
// of p (RFC 9989 section 4.10.2). It returns an error if that is not known. It
// looks up only what it needs to decide.
func (o *orgDomains) aligned(p *Policy, id Identifier) (bool, *Error) {
	name, m := p.compare(id)
	if m != matchOrg {
		return m == matchEqual, nil
	}
	org, err := o.of(p.AuthorDomain, reserved)
	if err != nil {
		return false, err
	}
	// A domain is its Organizational Domain or lies below it.
	if !domain.IsSubdomain(name, org) {
		return false, nil
	}
	other, err := o.of(name, spare)
	return err == nil && other == org, err
}

// match is how two domains compare before anything is looked up.
type match uint8

const (
	matchNever match = iota
	matchEqual
	matchOrg // they match if they have the same Organizational Domain
)

// compare compares the domain of id with the author domain, and returns the
// domain's name.
func (p *Policy) compare(id Identifier) (name string, m match) {
	mode, ok := p.Record.For(id.Method)
	if !ok {
		return "", matchNever
	}
	name, err := domain.ToASCII(id.Domain)
	switch {
	case err != nil:
		return "", matchNever
	case name == p.AuthorDomain:
		return name, matchEqual
	case mode == Strict || topLevel(name) != topLevel(p.AuthorDomain):
		// Without a common top-level domain they cannot have a common
		// Organizational Domain.
		return name, matchNever
	}
	return name, matchOrg
}

func topLevel(name string) string {
	return name[strings.LastIndexByte(name, '.')+1:]
}
