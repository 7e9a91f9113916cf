// Package dmarc evaluates Domain-based Message Authentication, Reporting, and
// Conformance, RFC 9989: what policy the domain in the From field publishes,
// and whether an authenticated identifier of the message aligns with it.
//
// The work has two phases. The look-ups begin as soon as the author domains and
// the candidates for alignment are known: [Prepare] says what there is to do, and
// its parts may be done at the same time. [Evaluation.Evaluate] then judges,
// without any look-up, once the candidates have been verified. The package knows
// neither DKIM nor SPF.
package dmarc
