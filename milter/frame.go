package milter

import "bytes"

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

// The violations.
const (
	EmptyPacket      Violation = "empty_packet"
	PacketTooLarge   Violation = "packet_too_large"
	UnknownCommand   Violation = "unknown_command"
	NotNegotiated    Violation = "not_negotiated"
	MalformedPayload Violation = "malformed_payload"
	Truncated        Violation = "truncated"
	TooSlow          Violation = "too_slow"
)

// Violations returns every Violation.
func Violations() []Violation {
	return []Violation{EmptyPacket, PacketTooLarge, UnknownCommand, NotNegotiated, MalformedPayload, Truncated, TooSlow}
}

// Error makes a Violation the error of a read.
func (v Violation) Error() string { return "milter protocol violation: " + string(v) }

// checkLength returns the Violation of a packet of command and length, which
// counts the command, as far as that can be told.
func checkLength(length uint32, command byte, first bool) error {
	switch {
	case first && command != cmdNegotiate:
		return NotNegotiated
	case first && length > maxNegotiation, length > maxFrame:
		return PacketTooLarge
	}
	return nil
}

// checkPayload returns the Violation of a whole packet but for a body chunk,
// which may hold anything. It lets through what go-milter reads without
// reaching beyond the payload, and no more.
func checkPayload(command byte, payload []byte) error {
	ok := false
	switch command {
	case cmdNegotiate:
		ok = len(payload) >= 3*4
	case cmdMacro:
		// The command it is for, then names and values in turn.
		ok = len(payload) == 1 || len(payload) > 1 && ended(payload)
	case cmdConnect:
		ok = checkConnect(payload)
	case cmdHelo, cmdUnknown:
		ok = ended(payload)
	case cmdMail, cmdRcpt:
		ok = ended(payload)
	case cmdHeader:
		ok = ended(payload) && bytes.Count(payload, []byte{0}) == 2
	case cmdData, cmdEndHeader, cmdEndMessage, cmdAbort, cmdQuit, cmdQuitNew:
		ok = len(payload) == 0
	default:
		return UnknownCommand
	}
	if !ok {
		return MalformedPayload
	}
	return nil
}

// ended tells whether payload ends in the NUL of a string.
func ended(payload []byte) bool {
	return len(payload) > 0 && payload[len(payload)-1] == 0
}

// checkConnect holds a payload to: the name of the client, the family of its
// address and, unless that is unknown, a port and the address.
func checkConnect(payload []byte) bool {
	end := bytes.IndexByte(payload, 0)
	if end < 0 || end+1 == len(payload) {
		return false
	}
	family, rest := payload[end+1], payload[end+2:]
	switch family {
	case 'U':
		return true
	case 'L', '4', '6':
		return len(rest) > 2 && ended(rest[2:])
	}
	return false
}
