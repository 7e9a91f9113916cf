// Package mta runs mail transfer agents for whole-system tests: a private
// instance of a real MTA on loopback that consults the milter under test, a
// client that sends it exact octets in anybody's name, and the sink that it
// relays to.
package mta

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"testing"

	"authmilter/test/need"
)

// Hostname is the name of every MTA in this package, and so of the host that
// verifies. Each accepts mail for [Domain]. Stock MTAs also accept mail for
// [LMTPDomain], and pass it on over LMTP.
const (
	Hostname   = "mx.example.org"
	Domain     = "rcpt.example.org"
	LMTPDomain = "lmtp.example.org"
)

// MTA accepts mail from a client, asks the milter under test about it, and
// passes it on. It is safe for concurrent use.
type MTA interface {
	// Deliver sends messages over one connection, and returns what became of
	// each. It fails the test if the MTA breaks the protocol, or does not pass
	// on a message that it accepted.
	Deliver(t testing.TB, c Client, messages ...Message) []Delivery
}

// Client is who the MTA believes to be connected.
type Client struct {
	Addr netip.Addr
	// Name is the verified host name; "" means none.
	Name string
	// Helo is the argument of EHLO; "" means that the client says no EHLO.
	Helo string
	// Login is the user that the client authenticated as; "" means none.
	Login string
}

// Message is what a client sends.
type Message struct {
	// From and To are the paths of the envelope, without angle brackets.
	From, To string
	// MailArg and RcptArg are the paths as the client writes them in its
	// commands; empty means "<From>" and "<To>". A "#" in RcptArg stands for
	// the number that the mailbox gets, followed by a dot.
	MailArg, RcptArg string
	// Args are the parameters of MAIL, such as "BODY=8BITMIME SMTPUTF8".
	Args string
	// Data is the message as it travels, with CRLF line ends and before dot
	// stuffing.
	Data []byte
}

// Delivery is what became of a message.
type Delivery struct {
	// MTA is the name of the MTA in lower case.
	MTA string
	// Code and Reply are the MTA's answer at the end of the message, or the
	// earlier one that refused it.
	Code  int
	Reply string
	// Held reports that the MTA has quarantined the message.
	Held bool
	// From and Args are the sender and the parameters of MAIL with which the
	// message was passed on. They, and the fields below, are empty if it was
	// not accepted or is held.
	From, Args string
	// Top holds the header fields above the MTA's own Received field, Received
	// that field, Header those beneath, and Body what follows the empty line: all
	// as passed on, with CRLF line ends.
	Top, Received, Header, Body []byte
}

// TempDir returns a new directory that is removed at the end of the test.
// Unlike t.TempDir's, its name is short enough for unix sockets, and every user
// may enter it, as the users that an MTA's processes run as must.
func TempDir(t testing.TB) string {
	t.Helper()
	return tempDir(t, "")
}

// SafeDir returns a directory like [TempDir]'s in which only root may write to
// the parents: Sendmail trusts no files and sockets elsewhere.
func SafeDir(t testing.TB) string {
	t.Helper()
	if os.Getuid() != 0 {
		need.Found(t, errNotRoot)
	}
	return tempDir(t, "/run")
}

func tempDir(t testing.TB, parent string) string {
	t.Helper()
	dir, err := os.MkdirTemp(parent, "mta")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on. It lies
// below the range that the kernel takes for outgoing connections, so none of
// them can occupy it before it is used.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", Loopback(port))
		if err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// Loopback returns the address of a port on 127.0.0.1.
func Loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

var errNotRoot = errors.New("a private MTA needs root")
