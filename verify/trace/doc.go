// Package trace finds where a message came in from outside, if hosts of our own
// passed it on: it follows the Received fields (RFC 5321 section 4.4) that these
// relays added.
//
// Each relay adds its field at the top. So the topmost fields come from hosts that
// are trusted, and each names the client that the next one must have been added
// by. The first client that is not a relay of ours is where the message came in.
// What stands below, the sender may have written.
package trace
