package milter

import (
	"bytes"
	"net"
	"slices"
	"strings"
)

// Commands of the milter protocol: the first octet of each packet that the MTA
// sends.
const (
	cmdNegotiate  = 'O'
	cmdMacro      = 'D'
	cmdConnect    = 'C'
	cmdHelo       = 'H'
	cmdMail       = 'M'
	cmdRcpt       = 'R'
	cmdData       = 'T'
	cmdHeader     = 'L'
	cmdEndHeader  = 'N'
	cmdBody       = 'B'
	cmdEndMessage = 'E'
	cmdAbort      = 'A'
	cmdQuit       = 'Q'
	cmdQuitNew    = 'K'
	cmdUnknown    = 'U'

	replyProgress = 'p'
)

// Sizes of packets, in octets.
const (
	// lengthSize is the size of the length before each packet. The length does not
	// include itself.
	lengthSize = 4
	// maxFrame is the largest packet accepted: the largest body chunk that can be
	// negotiated, and a little more.
	maxFrame = 1<<20 + 4<<10
	// maxNegotiation is the largest first packet accepted: a command and three
	// numbers, and room for what a later protocol adds.
	maxNegotiation = 1 + 3*4 + 1<<10
)

// Violation is a way in which a peer can break the milter protocol. There is a
// fixed set of them.
type Violation string

// The violations that end a connection.
const (
	EmptyPacket      Violation = "empty_packet"
	PacketTooLarge   Violation = "packet_too_large"
	UnknownCommand   Violation = "unknown_command"
	NotNegotiated    Violation = "not_negotiated"
	NegotiatedTwice  Violation = "negotiated_twice"
	MalformedPayload Violation = "malformed_payload"
	Truncated        Violation = "truncated"
	TooSlow          Violation = "too_slow"
)

// The violations that a connection survives.
const (
	// NoMessage is a header field, body or end of a message that did not begin
	// with MAIL, or that was lost to a command out of order. The message is
	// deferred.
	NoMessage Violation = "no_message"
	// UnreadableAddress is a client address that cannot be parsed. It is treated
	// as unknown.
	UnreadableAddress Violation = "unreadable_address"
)

// Violations returns every Violation.
func Violations() []Violation {
	return []Violation{
		EmptyPacket, PacketTooLarge, UnknownCommand, NotNegotiated, NegotiatedTwice, MalformedPayload, Truncated, TooSlow,
		NoMessage, UnreadableAddress,
	}
}

// Error implements error: a Violation is returned by a read.
func (v Violation) Error() string { return "milter protocol violation: " + string(v) }

// checkLength returns the Violation that the command and length of a packet
// reveal, if any. The length includes the command.
func checkLength(length uint32, command byte, first bool) error {
	switch {
	case first && command != cmdNegotiate:
		return NotNegotiated
	case !first && command == cmdNegotiate:
		return NegotiatedTwice
	case first && length > maxNegotiation, length > maxFrame:
		return PacketTooLarge
	}
	return nil
}

// checkPayload returns the Violation of a whole packet, if any. It accepts only
// what go-milter can read without reaching past the payload. A body chunk and the
// end of a message may hold anything, and so may CONNECT, which [readableConnect]
// repairs.
func checkPayload(command byte, payload []byte) error {
	ok := false
	switch command {
	case cmdNegotiate:
		ok = len(payload) >= 3*4
	case cmdMacro:
		// The command it is for, then alternating names and values.
		ok = len(payload) == 1 || len(payload) > 1 && ended(payload)
	case cmdConnect, cmdBody, cmdEndMessage:
		ok = true
	case cmdHelo, cmdUnknown:
		ok = ended(payload)
	case cmdMail, cmdRcpt:
		ok = ended(payload)
	case cmdHeader:
		ok = ended(payload) && bytes.Count(payload, []byte{0}) == 2
	case cmdData, cmdEndHeader, cmdAbort, cmdQuit, cmdQuitNew:
		ok = len(payload) == 0
	default:
		return UnknownCommand
	}
	if !ok {
		return MalformedPayload
	}
	return nil
}

// ended reports whether payload ends in the NUL of a string.
func ended(payload []byte) bool {
	return len(payload) > 0 && payload[len(payload)-1] == 0
}

// Families of the address in CONNECT.
const (
	familyUnknown = 'U'
	familyUnix    = 'L'
	familyIPv4    = '4'
	familyIPv6    = '6'
)

// readableConnect returns the payload of CONNECT in a form that go-milter can read:
// the name of the client, the family of its address and, unless that is unknown, a
// port and the address. If the address cannot be read, ok is false and the family
// is unknown: a client without an address has no SPF result, but that is no reason
// to end the MTA's connection.
func readableConnect(payload []byte) (readable []byte, ok bool) {
	name, rest, found := bytes.Cut(payload, []byte{0})
	if found && readableAddress(rest) {
		return payload, true
	}
	return append(slices.Clip(bytes.Clone(name)), 0, familyUnknown), false
}

// readableAddress reports whether go-milter can read an address: a family and,
// unless that is unknown, a port and text.
func readableAddress(address []byte) bool {
	if len(address) == 0 {
		return false
	}
	family, rest := address[0], address[1:]
	if family == familyUnknown {
		return true
	}
	const portSize = 2
	if len(rest) < portSize {
		return false
	}
	text, _, _ := strings.Cut(string(rest[portSize:]), "\x00")
	switch family {
	case familyUnix:
		return true
	case familyIPv4:
		return net.ParseIP(text).To4() != nil
	case familyIPv6:
		text = strings.TrimPrefix(text, "IPv6:")
		if len(text) > len("[]") && text[0] == '[' && text[len(text)-1] == ']' {
			text = text[1 : len(text)-1]
		}
		return net.ParseIP(text) != nil
	}
	return false
}
