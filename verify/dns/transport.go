package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/miekg/dns"

	"authmilter/verify/ascii"
)

// packets is the Transport that uses the network.
type packets struct{}

// Exchange sends query from its own socket, and so from its own port. A packet
// that does not answer the query is ignored, and is no failure either: an
// attacker may have sent it (RFC 5452 section 9.1).
func (packets) Exchange(ctx context.Context, network, server string, query []byte) ([]byte, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// End reads and writes as soon as ctx ends.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if network == "tcp" {
		query = append(binary.BigEndian.AppendUint16(nil, uint16(len(query))), query...)
	}
	if _, err := conn.Write(query); err != nil {
		return nil, cause(ctx, err)
	}
	if network == "tcp" {
		return readStream(ctx, conn, query[2:])
	}
	buf := make([]byte, udpSize)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, cause(ctx, err)
		}
		if answers(buf[:n], query) {
			return buf[:n], nil
		}
	}
}

// readStream reads one message preceded by its length (RFC 1035 section 4.2.2).
func readStream(ctx context.Context, conn net.Conn, query []byte) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, cause(ctx, cutShort(err))
	}
	buf := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, buf); err != nil {
		return nil, cause(ctx, cutShort(err))
	}
	if !answers(buf, query) {
		return buf, errors.New("the answer is to another question")
	}
	return buf, nil
}

// cutShort explains a stream that ends within a message.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("connection closed before the end of the answer")
	}
	return err
}

// cause returns the reason why ctx ended, if it did, instead of the socket's
// error.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// answers reports whether message is a response with the ID and the question of
// query (RFC 5452 section 9.1). A refusal may leave out the question.
func answers(message, query []byte) bool {
	const header, response, opcode = 12, 0x80, 0x78
	if len(message) < header || message[2]&(response|opcode) != response|query[2]&opcode ||
		message[0] != query[0] || message[1] != query[1] {
		return false
	}
	if binary.BigEndian.Uint16(message[4:]) == 0 {
		return message[3]&0x0f != dns.RcodeSuccess && message[3]&0x0f != dns.RcodeNameError
	}
	end := header
	for query[end] != 0 {
		end += 1 + int(query[end])
	}
	end += 1 + 4 // the root label, type and class
	return len(message) >= end &&
		// Servers may answer in a different case.
		equalFold(message[header:end-4], query[header:end-4]) &&
		string(message[end-4:end]) == string(query[end-4:end])
}

// equalFold compares names on the wire, where only ASCII letters have case
// (RFC 4343 section 3).
func equalFold(a, b []byte) bool {
	for i := range a {
		if ascii.Lower(a[i]) != ascii.Lower(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}
