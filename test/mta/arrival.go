package mta

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// arrival is how clients come to a Postfix: always from this host, in the name of
// somebody else.
type arrival struct {
	// hail returns what the connection begins with, before Postfix greets.
	hail func(Client) string
	// hello returns the commands up to the first MAIL.
	hello func(Client) []step
	// seen returns the client that Postfix sees.
	seen func(Client) Client
}

// byXClient makes Postfix treat the client as the one announced, in every respect.
var byXClient = arrival{
	hail:  func(Client) string { return "" },
	hello: func(c Client) []step { return slices.Concat(c.hello(), []step{{xclient(c), 220}}, c.hello()) },
	seen:  func(c Client) Client { return c },
}

// byXForward makes Postfix log the announced client.
var byXForward = arrival{
	hail: byXClient.hail,
	hello: func(c Client) []step {
		return append(c.hello(), step{strings.Replace(xclient(c), "XCLIENT", "XFORWARD", 1), 250})
	},
	seen: func(c Client) Client { return Client{Addr: loopback, Helo: c.Helo} },
}

// byProxy uses version 1 of the PROXY protocol, which knows no names.
var byProxy = arrival{
	hail: func(c Client) string {
		family := "TCP4"
		if c.Addr.Is6() {
			family = "TCP6"
		}
		return fmt.Sprintf("PROXY %s %s %[2]s 40000 25\r\n", family, c.Addr)
	},
	hello: Client.hello,
	seen:  func(c Client) Client { return Client{Addr: c.Addr, Helo: c.Helo} },
}

// loopback is the address that all connections to Postfix come from.
var loopback = netip.MustParseAddr("127.0.0.1")

// dial opens a connection as c, on which Postfix sends its greeting.
func (p *Postfix) dial(c Client) (net.Conn, error) {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, p.hail(c)); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// connect opens a session as c.
func (p *Postfix) connect(c Client) (*smtpClient, error) {
	conn, err := p.dial(c)
	if err != nil {
		return nil, err
	}
	return openSMTP(conn, p.hello(c)...)
}

// port returns the TCP port of 127.0.0.1 that p listens on.
func (p *Postfix) port() int {
	_, port, _ := strings.Cut(p.addr, ":")
	n, _ := strconv.Atoi(port) // from [Loopback]
	return n
}

// xclient returns the command that makes Postfix treat the client as c.
func xclient(c Client) string {
	addr := c.Addr.String()
	if c.Addr.Is6() {
		addr = "IPV6:" + addr
	}
	name := "[UNAVAILABLE]"
	if c.Name != "" {
		name = c.Name
	}
	command := "XCLIENT ADDR=" + addr + " NAME=" + name
	if c.Login != "" {
		// As xtext (RFC 3461 section 4).
		command += " LOGIN=" + strings.NewReplacer("+", "+2B", "=", "+3D", " ", "+20").Replace(c.Login)
	}
	return command
}
