// Package client speaks the milter protocol the way Postfix does, octet for
// octet and at little cost, and measures how long it waits.
package client

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Options of the protocol that a milter may choose: events that it does not
// want, and events that it does not reply to.
const (
	noConnect = 1 << iota
	noHelo
	noMail
	noRcpt
	noBody
	noHeader
	noEndHeader
	noHeaderReply
	noUnknown
	noData
	skip
	rejectedRcpt
	noConnectReply
	noHeloReply
	noMailReply
	noRcptReply
	noDataReply
	noUnknownReply
	noEndHeaderReply
	noBodyReply
	leadingSpace

	allOptions = 1<<iota - 1
	allActions = 0x1ff
	version    = 6
)

// Sizes of Postfix's output buffer. Over TCP the size is twice the segment
// size, which is near 64 KiB on loopback.
const (
	unixBuffer = 4 << 10
	tcpBuffer  = 128 << 10
)

// chunkSize is the largest body chunk that Postfix sends.
const chunkSize = 65535

// patience is how long a milter may take for anything.
const patience = 2 * time.Minute

// conn is a connection to one milter.
type conn struct {
	net.Conn
	in       *bufio.Reader
	out      []byte
	limit    int // of out
	protocol uint32
	reply    []byte
}

// dial connects to a milter at an address in Postfix's notation,
// "unix:/path" or "inet:host:port", and negotiates.
func dial(address string) (*conn, error) {
	network, addr, _ := strings.Cut(address, ":")
	limit := unixBuffer
	if network == "inet" {
		network, limit = "tcp", tcpBuffer
	}
	nc, err := net.Dial(network, addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, in: bufio.NewReaderSize(nc, unixBuffer), out: make([]byte, 0, limit), limit: limit}
	if err := c.negotiate(); err != nil {
		nc.Close()
		return nil, fmt.Errorf("negotiation with %s: %w", address, err)
	}
	return c, nil
}

func (c *conn) negotiate() error {
	var offer [12]byte
	binary.BigEndian.PutUint32(offer[0:], version)
	binary.BigEndian.PutUint32(offer[4:], allActions)
	binary.BigEndian.PutUint32(offer[8:], allOptions)
	if err := c.send('O', offer[:]); err != nil {
		return err
	}
	reply, payload, err := c.receive()
	if err != nil {
		return err
	}
	if reply != 'O' || len(payload) < len(offer) {
		return fmt.Errorf("reply %q of %d octets", reply, len(payload))
	}
	c.protocol = binary.BigEndian.Uint32(payload[8:])
	return nil
}

// send sends a packet, at the latest with the next receive. parts make up its
// payload.
func (c *conn) send(command byte, parts ...[]byte) error {
	size := 1
	for _, p := range parts {
		size += len(p)
	}
	head := [5]byte{4: command}
	binary.BigEndian.PutUint32(head[:], uint32(size))
	if err := c.write(head[:]); err != nil {
		return err
	}
	for _, p := range parts {
		if err := c.write(p); err != nil {
			return err
		}
	}
	return nil
}

// write buffers p, and writes out the buffer whenever it is full.
func (c *conn) write(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), c.limit-len(c.out))
		c.out = append(c.out, p[:n]...)
		p = p[n:]
		if len(c.out) == c.limit {
			if err := c.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.Conn.Write(c.out)
	c.out = c.out[:0]
	return err
}

// receive returns the next packet. Its payload is valid until the next call.
func (c *conn) receive() (command byte, payload []byte, err error) {
	if err := c.flush(); err != nil {
		return 0, nil, err
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	var length [4]byte
	if _, err := io.ReadFull(c.in, length[:]); err != nil {
		return 0, nil, err
	}
	n := int(binary.BigEndian.Uint32(length[:]))
	if n < 1 || n > 1<<20 {
		return 0, nil, fmt.Errorf("packet of %d octets", n)
	}
	if n > cap(c.reply) {
		c.reply = make([]byte, n)
	}
	c.reply = c.reply[:n]
	if _, err := io.ReadFull(c.in, c.reply); err != nil {
		return 0, nil, err
	}
	return c.reply[0], c.reply[1:], nil
}

// event sends an event unless the milter does not want it, and reads the reply
// if there is one. noEvent and noReply are the options that tell.
func (c *conn) event(command byte, noEvent, noReply uint32, parts ...[]byte) error {
	if c.protocol&noEvent != 0 {
		return nil
	}
	if err := c.send(command, parts...); err != nil {
		return err
	}
	if c.protocol&noReply != 0 {
		return nil
	}
	reply, _, err := c.receive()
	if err == nil && reply != 'c' {
		err = fmt.Errorf("reply %q to %q", reply, command)
	}
	return err
}

// macros sends names and values, alternating and each ended by a NUL, for a
// command.
func (c *conn) macros(command byte, list string) error {
	return c.send('D', []byte{command}, []byte(list))
}
