// Package spf evaluates the Sender Policy Framework, RFC 7208: whether the
// domain in MAIL FROM or HELO lets a client send mail in its name.
//
// [ParseRecord] parses a record, [Check] finds and evaluates one. Both are pure:
// they look nothing up but through the [dns.Resolver] they are given.
package spf
