package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// mta speaks the milter protocol as Postfix does, octet by octet. It shares no code
// with the milter.
type mta struct {
	t    testing.TB
	conn net.Conn
}

// mail is what an MTA sends for one message.
type mail struct {
	client, clientName, helo, from, queueID string
	macros                                  []string // at MAIL, alternating names and values
	header                                  [][2]string
	body                                    string
}

// connect opens a connection to a milter at an address in Sendmail's notation.
func connect(t testing.TB, address string) *mta {
	t.Helper()
	network, addr := "unix", strings.TrimPrefix(address, "unix:")
	if rest, ok := strings.CutPrefix(address, "inet:"); ok {
		port, host, _ := strings.Cut(rest, "@")
		network, addr = "tcp", net.JoinHostPort(host, port)
	}
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	m := &mta{t, conn}
	// Version 6, all actions, all protocol options.
	m.send('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff")
	if command, _ := m.receive(); command != 'O' {
		t.Fatalf("negotiation ends with %q", command)
	}
	return m
}

func (m *mta) send(command byte, payload string) {
	m.t.Helper()
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)))
	packet = append(append(packet, command), payload...)
	if _, err := m.conn.Write(packet); err != nil {
		m.t.Fatalf("command %q: %v", command, err)
	}
}

func (m *mta) receive() (command byte, payload []byte) {
	m.t.Helper()
	var length [4]byte
	if _, err := io.ReadFull(m.conn, length[:]); err != nil {
		m.t.Fatalf("reply: %v", err)
	}
	packet := make([]byte, binary.BigEndian.Uint32(length[:]))
	if _, err := io.ReadFull(m.conn, packet); err != nil {
		m.t.Fatalf("reply: %v", err)
	}
	return packet[0], packet[1:]
}

// begin sends a message up to its body.
func (m *mta) begin(msg mail) {
	m.t.Helper()
	family := "4"
	if a, err := netip.ParseAddr(msg.client); err == nil && a.Is6() {
		family = "6"
	}
	if msg.client == "" {
		m.send('C', msg.clientName+"\x00U") // the MTA does not know the address
	} else {
		m.send('C', msg.clientName+"\x00"+family+"\x12\x34"+msg.client+"\x00")
	}
	m.send('H', msg.helo+"\x00")
	m.send('D', "M"+strings.Join(append(msg.macros, ""), "\x00"))
	m.send('M', "<"+msg.from+">\x00")
	m.send('R', "<bob@rcpt.example.org>\x00")
	m.send('T', "")
	for _, f := range msg.header {
		m.send('L', f[0]+"\x00"+f[1]+"\x00")
	}
	m.send('N', "")
}

// end sends the rest and returns the edits of the header that the milter requests:
// "delete 2 Name", and inserted fields. A reply to the client is the last one.
func (m *mta) end(msg mail) (edits []string) {
	m.t.Helper()
	m.send('B', msg.body)
	if command, _ := m.receive(); command != 'c' && command != 's' {
		m.t.Fatalf("reply %q to the body", command)
	}
	m.send('D', "Ei\x00"+msg.queueID+"\x00")
	m.send('E', "")
	for {
		command, payload := m.receive()
		switch command {
		case 'c', 'a':
			return edits
		case 'y':
			return append(edits, "reply "+until0(payload))
		case 'p':
		case 'm':
			edits = append(edits, fmt.Sprintf("delete %d %s", binary.BigEndian.Uint32(payload), until0(payload[4:])))
		case 'i':
			name := until0(payload[4:])
			value := until0(payload[4+len(name)+1:])
			edits = append(edits, fmt.Sprintf("%s:%s", name, value))
		default:
			m.t.Fatalf("reply %q to the end of the message", command)
		}
	}
}

func (m *mta) deliver(msg mail) []string {
	m.t.Helper()
	m.begin(msg)
	return m.end(msg)
}

func until0(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
