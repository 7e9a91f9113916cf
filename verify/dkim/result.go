package dkim

import "authmilter/verify/fault"

// Status is the result of one signature, in the words of
// RFC 8601 section 2.7.1.
type Status string

// The statuses, and when each is given.
const (
	None      Status = "none"      // the message has no signature
	Pass      Status = "pass"      // verified and acceptable
	Fail      Status = "fail"      // the body hash or the signature does not match
	Policy    Status = "policy"    // refused here for its key, hash or coverage, or one signature too many
	Neutral   Status = "neutral"   // the signature field is malformed, of an unknown kind, expired or in the future
	TempError Status = "temperror" // the key could not be fetched now
	PermError Status = "permerror" // it can never verify
)

// Statuses returns every Status.
func Statuses() []Status {
	return []Status{None, Pass, Fail, Policy, Neutral, TempError, PermError}
}

// Reason names why a signature did not pass, from a fixed set, for counting.
type Reason string

// The reasons, by the status they lead to.
const (
	// Fail.
	ReasonBodyHash   Reason = "body_hash"
	ReasonBodyLength Reason = "body_length"
	ReasonSignature  Reason = "signature"
	// Policy.
	ReasonWeakKey           Reason = "weak_key"
	ReasonLargeKey          Reason = "large_key"
	ReasonWeakHash          Reason = "weak_hash"
	ReasonPartialBody       Reason = "partial_body"
	ReasonUnsignedDuplicate Reason = "unsigned_duplicate"
	ReasonTooMany           Reason = "too_many_signatures"
	// Neutral.
	ReasonSyntax           Reason = "syntax"
	ReasonVersion          Reason = "version"
	ReasonAlgorithm        Reason = "algorithm"
	ReasonCanonicalization Reason = "canonicalization"
	ReasonQuery            Reason = "query_method"
	ReasonExpired          Reason = "expired"
	ReasonFuture           Reason = "future"
	// TempError.
	ReasonDNS Reason = "dns"
	// PermError.
	ReasonFromNotSigned  Reason = "from_not_signed"
	ReasonSignatureSize  Reason = "signature_size"
	ReasonNoKey          Reason = "no_key"
	ReasonKeySyntax      Reason = "key_syntax"
	ReasonRevoked        Reason = "revoked"
	ReasonKeyUse         Reason = "key_use"
	ReasonHeaderTooLarge Reason = "header_too_large"
)

// Outcome is a status with a reason for it.
type Outcome struct {
	Status Status
	Reason Reason
}

// Outcomes returns every possible Outcome.
func Outcomes() []Outcome {
	return []Outcome{
		{None, ""},
		{Pass, ""},
		{Fail, ReasonBodyHash},
		{Fail, ReasonBodyLength},
		{Fail, ReasonSignature},
		{Policy, ReasonWeakKey},
		{Policy, ReasonLargeKey},
		{Policy, ReasonWeakHash},
		{Policy, ReasonPartialBody},
		{Policy, ReasonUnsignedDuplicate},
		{Policy, ReasonTooMany},
		{Neutral, ReasonSyntax},
		{Neutral, ReasonVersion},
		{Neutral, ReasonAlgorithm},
		{Neutral, ReasonCanonicalization},
		{Neutral, ReasonQuery},
		{Neutral, ReasonExpired},
		{Neutral, ReasonFuture},
		{TempError, ReasonDNS},
		{PermError, ReasonFromNotSigned},
		{PermError, ReasonSignatureSize},
		{PermError, ReasonNoKey},
		{PermError, ReasonKeySyntax},
		{PermError, ReasonRevoked},
		{PermError, ReasonKeyUse},
		{PermError, ReasonHeaderTooLarge},
	}
}

// Result is the result of verifying one signature.
type Result struct {
	Status Status
	// Reason is empty for a pass.
	Reason Reason
	// Err explains each status but pass to a person.
	Err error
	// Signature holds what could be parsed of the field; a [Verification] never
	// leaves it nil.
	Signature *Signature
	// Key is the published key, nil if it was not found or not readable.
	Key *Key
}

// Error explains why a signature did not pass. Every error of this package's
// parsers and look-ups is one.
type Error = fault.Error[Status, Reason]

// because returns r with the status and reason of err, and err as its explanation.
func (r Result) because(err *Error) Result {
	r.Status, r.Reason, r.Err = err.Status, err.Reason, err
	return r
}
