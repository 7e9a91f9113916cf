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
	// lengthSize is the length before each packet, which does not count itself.
	lengthSize = 4
	// maxFrame is the largest packet taken: the largest body chunk that can be
	// negotiated, and a little more.
	maxFrame = 1<<20 + 4<<10
	// maxNegotiation is the largest first packet: a command and three numbers,
	// and room for what a later protocol adds.
	maxNegotiation = 1 + 3*4 + 1<<10
)

// Violation says how a peer broke the milter protocol. It is one of a fixed
// set.
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
	// with MAIL, or that was lost to a command out of order. The MTA is told to
	// try again later.
	NoMessage Violation = "no_message"
	// UnreadableAddress is a client address that cannot be read. It counts as
	// unknown.
	UnreadableAddress Violation = "unreadable_address"
)

// Violations returns every Violation.
func Violations() []Violation {
	return []Violation{
		EmptyPacket, PacketTooLarge, UnknownCommand, NotNegotiated, NegotiatedTwice, MalformedPayload, Truncated, TooSlow,
		NoMessage, UnreadableAddress,
	}
}

// Error makes a Violation the error of a read.
func (v Violation) Error() string { return "milter protocol violation: " + string(v) }

// checkLength returns the Violation of a packet of command and length, which
// counts the command, as far as that can be told.
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

// checkPayload returns the Violation of a whole packet, unless it may hold
// anything: a body chunk, which the end of a message is too, or CONNECT, which
// [readableConnect] repairs. It lets through what go-milter reads without reaching
// beyond the payload, and no more.
func checkPayload(command byte, payload []byte) error {
	ok := false
	switch command {
	case cmdNegotiate:
		ok = len(payload) >= 3*4
	case cmdMacro:
		// The command it is for, then names and values in turn.
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

// readableConnect returns the payload of CONNECT as go-milter can read it: the name
// of the client, the family of its address and, unless that is unknown, a port and
// the address. If the address cannot be read, ok is false and the family unknown:
// a client whose address is unknown has no SPF result, which is no reason to end
// the connection of the MTA.
func readableConnect(payload []byte) (readable []byte, ok bool) {
	name, rest, found := bytes.Cut(payload, []byte{0})
	if found && readableAddress(rest) {
		return payload, true
	}
	return append(slices.Clip(bytes.Clone(name)), 0, familyUnknown), false
}

// readableAddress reports whether go-milter can read an address: a family and, if
// it is a known one, a port and text.
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
