// Package arc verifies Authenticated Received Chains and adds to them (RFC 8617).
//
// [Begin] reads the chain of a message whose body is still arriving;
// [Verification] is that chain on its way to a [Result]; a [Sealer] makes the
// next set. Signatures, keys and digests come from package dkim, so one pass over
// the body serves both. Nothing here starts a goroutine or reads a clock.
package arc
