// Package iprev checks whether the address of a client has a host name that
// resolves back to that address (RFC 8601 section 3).
//
// [Check] looks up the names and their addresses through the [dns.Resolver] that
// it is given.
package iprev
