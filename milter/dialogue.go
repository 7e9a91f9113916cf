package milter

import (
	"bytes"
	"encoding/binary"
)

// maxMacros bounds the macros held for later commands, in octets: libmilter
// accepts no larger packet.
const maxMacros = 64 << 10

// dialogue tracks how far a connection has come in the order of events.
//
// go-milter treats a macro packet as the event of its command, and an event out
// of order as the start of another message: it invents an abort, and the message
// in flight is lost. So dialogue holds macros until their command comes, and if a
// message really ends early, it sends the abort itself. So one type knows
// whether there is a message, and can report octets that belong to none.
type dialogue struct {
	// macros holds the payloads for each command, empty if there are none; held
	// is their total size.
	macros [macroCommands][]byte
	held   int
	// message is set from MAIL until the end of the message. last is the place
	// of its latest command in the order.
	message bool
	last    int
	// reported is set once octets without a message have been reported.
	reported bool
	// queueID is the queue ID of the message, "" until the MTA sends it.
	queueID string
}

// Places of commands in the order of events. A command of a message may be
// repeated, but not after one that follows it in the order.
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
	atUnknown // may come at any time too, but has macros
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

// hold keeps the payload of a macro packet, already checked, until its command
// comes. It drops macros for commands that have none in go-milter, and for an
// abort, which go-milter would mistake for the abort itself.
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

// drop discards the macros held for the command at a place. It keeps the
// buffer for reuse if it is small.
func (d *dialogue) drop(at int) {
	d.held -= len(d.macros[at])
	if cap(d.macros[at]) > inBuffer {
		d.macros[at] = nil
	}
	d.macros[at] = d.macros[at][:0]
}

// noteQueueID looks for the queue ID in macros: alternating names and values.
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

// next appends to packets what go-milter must see before a command. stray is true
// if the command is the first to carry part of a message that never began or was
// lost; queueID is the message's queue ID, if known.
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
		d.message, d.reported, d.last = at == atMail, false, at
	case d.message && ofMessage:
		d.last = at
	case ofMessage && at >= atHeader:
		stray, d.reported = !d.reported, true
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

// end ends the message, if there is one, on the command at a place. It drops the
// macros held for later commands, even for the next MAIL, so that nobody passes
// for a user who authenticated for another message. It keeps the macros for the
// command that ends the message.
func (d *dialogue) end(by int) {
	d.message, d.reported = false, false
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
