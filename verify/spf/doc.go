// Package spf implements the Sender Policy Framework, RFC 7208: it checks
// whether the domain in MAIL FROM or HELO lets a client send mail in its name.
//
// [ParseRecord] parses a record, [Check] finds and evaluates one. All look-ups
// go through the [dns.Resolver] that Check is given.
package spf
