// Package dmarc evaluates Domain-based Message Authentication, Reporting, and
// Conformance, RFC 9989: what policy the domain in the From field publishes,
// and whether an authenticated identifier of the message aligns with it.
package dmarc
