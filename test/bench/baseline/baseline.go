// Package baseline is the least that a milter built on go-milter can do: one
// SHA-256 of each body.
package baseline

import (
	"bufio"
	"crypto/sha256"
	"hash"
	"net"

	gomilter "github.com/d--j/go-milter"
)

// Serve answers the MTAs that connect to l, until l is closed.
func Serve(l net.Listener, buffered bool) error {
	if buffered {
		l = bufferedListener{l}
	}
	s := gomilter.NewServer(
		gomilter.WithMilter(func() gomilter.Milter { return &session{} }),
		gomilter.WithProtocols(gomilter.OptNoConnReply|gomilter.OptNoHeloReply|gomilter.OptNoMailReply|
			gomilter.OptNoRcptReply|gomilter.OptNoDataReply|gomilter.OptNoHeaderReply|
			gomilter.OptNoEOHReply|gomilter.OptNoUnknown),
	)
	return s.Serve(l)
}

type session struct {
	gomilter.NoOpMilter
	body hash.Hash
}

func (s *session) MailFrom(string, string, gomilter.Modifier) (*gomilter.Response, error) {
	s.body = sha256.New()
	return gomilter.RespContinue, nil
}

func (s *session) BodyChunk(chunk []byte, _ gomilter.Modifier) (*gomilter.Response, error) {
	s.body.Write(chunk)
	return gomilter.RespContinue, nil
}

func (s *session) EndOfMessage(gomilter.Modifier) (*gomilter.Response, error) {
	s.body.Sum(nil)
	return gomilter.RespAccept, nil
}

type bufferedListener struct{ net.Listener }

func (l bufferedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return bufferedConn{c, bufio.NewReaderSize(c, 16<<10)}, nil
}

type bufferedConn struct {
	net.Conn
	in *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.in.Read(p) }
