// Package dkim verifies DomainKeys Identified Mail signatures: RFC 6376 with
// the algorithms of RFC 8301 and RFC 8463 and the internationalized names of
// RFC 8616.
//
// [ParseSignature] and [ParseKey] parse, [LookupKeys] looks up, and [Begin] puts
// them together for a message whose body is still arriving: a [Verification] is
// one signature of it. Nothing here starts a goroutine or reads a clock.
package dkim
