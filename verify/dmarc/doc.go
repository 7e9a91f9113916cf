// Package dmarc implements Domain-based Message Authentication, Reporting, and
// Conformance, RFC 9989: it finds the policy of the domain in the From field,
// and checks whether an authenticated identifier of the message aligns with it.
//
// An evaluation has two phases. The look-ups can begin as soon as the author
// domains and the candidates for alignment are known: [Prepare] returns an
// [Evaluation], whose author domains can be looked up concurrently. Once the
// candidates have been verified, [Evaluation.Evaluate] computes the result without
// further look-ups. The package knows nothing about DKIM or SPF.
package dmarc
