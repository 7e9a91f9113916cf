// Package arc verifies Authenticated Received Chains and adds to them (RFC 8617).
//
// [Begin] parses the chain of a message whose body is still arriving. It returns a
// [Verification], which leads to a [Result]. A [Sealer] makes the next set.
// Signatures, keys and digests come from package dkim, so one pass over the body
// serves both. Nothing here starts a goroutine or reads a clock.
package arc
