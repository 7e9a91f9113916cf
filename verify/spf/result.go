// Package spf evaluates the Sender Policy Framework, RFC 7208: whether the
// domain in MAIL FROM or HELO lets a client send mail in its name.
//
// [ParseRecord] parses a record, [Check] finds and evaluates one. Both are pure:
// they look nothing up but through the [dns.Resolver] they are given.
package spf

// Status is the outcome of an evaluation, in the words of RFC 7208 section 2.6.
type Status string

// The statuses of RFC 7208 section 2.6.
const (
	None      Status = "none"      // no domain to ask, or no record
	Neutral   Status = "neutral"   // the domain says nothing of the client
	Pass      Status = "pass"      // the client may use the domain
	Fail      Status = "fail"      // the client may not use the domain
	SoftFail  Status = "softfail"  // the client probably may not use the domain
	TempError Status = "temperror" // a look-up did not finish
	PermError Status = "permerror" // the published records cannot be used
)

// Identity is what an evaluation is about.
type Identity string

// The identities of RFC 7208 sections 2.3 and 2.4, as its section 9.1 writes
// them.
const (
	MailFrom Identity = "mailfrom"
	Helo     Identity = "helo"
)
