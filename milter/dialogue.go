package milter

import (
	"bytes"
	"encoding/binary"
)

// maxMacros bounds the macros held for commands to come, in octets: libmilter
// takes no larger packet.
const maxMacros = 64 << 10

// dialogue is where a connection stands in the order of events.
//
// go-milter takes the command that a macro packet is for as an event, and every
// event that comes before its turn as the start of another message: it makes up
// an abort, and the message that was on its way is gone. So macros are held until
// their command comes, and where a message really ends early, an abort of ours
// says so. Then there is one place that knows whether there is a message, and
// can tell about the octets of one that belong to none.
type dialogue struct {
	// macros are the payloads held, by the command that they are for; empty if
	// there are none. held is their size.
	macros [macroCommands][]byte
	held   int
	// message says that there is one: since MAIL, and up to its end. last is
	// its last command's place in the order.
	message bool
	last    int
	// told says that the octets of no message were told about already.
	told bool
	// queueID is that of the message, as far as the MTA has told it.
	queueID string
}

// Places of commands in the order of events. Those of a message may come again,
// but not after one that follows them.
const (
	nowhere = iota // commands that may come at any time
	atConnect
	atHelo
	atMail
	atRcpt
	atData
	atHeader
	atEndHeader
	atBody
	atEndMessage
	atUnknown // may come at any time too, and has macros
	macroCommands
)

// place returns the place of a command.
func place(command byte) int {
	switch command {
	case cmdConnect:
		return atConnect
	case cmdHelo:
		return atHelo
	case cmdMail:
		return atMail
	case cmdRcpt:
		return atRcpt
	case cmdData:
		return atData
	case cmdHeader:
		return atHeader
	case cmdEndHeader:
		return atEndHeader
	case cmdBody:
		return atBody
	case cmdEndMessage:
		return atEndMessage
	case cmdUnknown:
		return atUnknown
	}
	return nowhere
}

// hold keeps a macro packet's payload, which was checked, until its command
// comes. A packet for a command that go-milter knows no macros of is dropped, and
// so is one for an abort: go-milter would take it for the abort itself.
func (d *dialogue) hold(payload []byte) error {
	at := place(payload[0])
	if at == nowhere {
		return nil
	}
	if at >= atMail && at <= atEndMessage {
		d.noteQueueID(payload[1:])
	}
	d.drop(at)
	if d.held+len(payload) > maxMacros {
		return PacketTooLarge
	}
	d.macros[at] = append(d.macros[at], payload...)
	d.held += len(payload)
	return nil
}

// drop forgets the macros held for the command of a place. Memory for some is kept
// for the next ones.
func (d *dialogue) drop(at int) {
	d.held -= len(d.macros[at])
	if cap(d.macros[at]) > inBuffer {
		d.macros[at] = nil
	}
	d.macros[at] = d.macros[at][:0]
}

// noteQueueID looks for the queue ID among macros: names and values in turn.
func (d *dialogue) noteQueueID(macros []byte) {
	for len(macros) > 0 {
		var name, value []byte
		name, macros, _ = bytes.Cut(macros, []byte{0})
		value, macros, _ = bytes.Cut(macros, []byte{0})
		if (string(name) == "i" || string(name) == "{i}") && string(value) != d.queueID {
			d.queueID = string(value[:min(len(value), maxQueueID)])
		}
	}
}

// next appends to packets what go-milter must see before a command. It reports
// whether the command is the first one of a message that never began or that
// was lost, with what is known of its queue ID.
func (d *dialogue) next(packets []byte, command byte) (extra []byte, stray bool, queueID string) {
	at := place(command)
	ofMessage := at >= atMail && at <= atEndMessage
	restarts := at == atConnect || at == atHelo || at == atMail
	if d.message && (restarts || ofMessage && at < d.last) {
		packets = appendPacket(packets, cmdAbort, nil)
		d.end(at)
	}
	if at == atConnect || at == atHelo {
		d.end(at)
	}
	switch {
	case restarts:
		d.message, d.told, d.last = at == atMail, false, at
	case d.message && ofMessage:
		d.last = at
	case ofMessage && at >= atHeader:
		stray, d.told = !d.told, true
	}
	if macros := d.macros[at]; len(macros) > 0 {
		packets = appendPacket(packets, cmdMacro, macros)
		d.drop(at)
	}
	queueID = d.queueID
	if command == cmdEndMessage || command == cmdAbort || command == cmdQuitNew {
		d.end(at)
	}
	return packets, stray, queueID
}

// end ends the message, if there is one, by the command of a place. What the MTA
// said in it for commands to come is void, even for the next MAIL: nobody shall
// pass as a user who logged in for another message. What it said for the command
// that ends it is not.
func (d *dialogue) end(by int) {
	d.message, d.told = false, false
	for at := atMail; at <= atEndMessage; at++ {
		if at != by {
			d.drop(at)
		}
	}
	if len(d.macros[by]) == 0 {
		d.queueID = ""
	}
}

// appendPacket appends a packet to b.
func appendPacket(b []byte, command byte, payload []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(1+len(payload)))
	return append(append(b, command), payload...)
}
