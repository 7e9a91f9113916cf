package mta

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
)

// StartBorder starts an instance without a milter, or with one if milter is not "",
// that passes everything on to the instance inner, as docs/relays.md describes. It
// connects from the address addr, which is a loopback address.
func StartBorder(t testing.TB, inner *Postfix, name, addr, milter string) *Postfix {
	t.Helper()
	transport := documented(t, relaysPage, "relay_transport = ", "[10.0.0.25]", fmt.Sprintf("[127.0.0.1]:%d", inner.port()))
	return startPostfix(t, name, milter, inner.sink, fmt.Sprintf(asItCame, inner.port())+"\nsmtp_bind_address = "+addr+"\n"+transport)
}

// StartPostfixBehindProxy starts an instance whose clients come through a load
// balancer that speaks the PROXY protocol, as docs/relays.md describes.
func StartPostfixBehindProxy(t testing.TB, milter string) *Postfix {
	t.Helper()
	sink := NewSink(t)
	proxied := documented(t, relaysPage, "smtpd_upstream_proxy_protocol = ", "", "")
	return launchPostfix(t, &Postfix{name: Hostname, arrive: arriveByProxy, hail: "PROXY UNKNOWN\r\n"}, milter, sink, fmt.Sprintf(asItCame, sink.Port())+"\n"+proxied)
}

// StartPostfixForwarded starts an instance whose clients come through a host that
// names them with XFORWARD.
func StartPostfixForwarded(t testing.TB, milter string) *Postfix {
	t.Helper()
	p := StartPostfix(t, milter)
	p.arrive = arriveByXForward
	return p
}

// relaysPage is the page with the lines for relays.
const relaysPage = "relays.md"

// arriveByXClient makes Postfix treat the client as c, in every respect.
func arriveByXClient(conn net.Conn, c Client) (*smtpClient, error) {
	hello := c.hello()
	return openSMTP(conn, slices.Concat(hello, []step{{xclient(c), 220}}, hello)...)
}

// arriveByXForward makes Postfix log the client as c.
func arriveByXForward(conn net.Conn, c Client) (*smtpClient, error) {
	return openSMTP(conn, append(c.hello(), step{strings.Replace(xclient(c), "XCLIENT", "XFORWARD", 1), 250})...)
}

// arriveByProxy sends the header of version 1 of the PROXY protocol.
func arriveByProxy(conn net.Conn, c Client) (*smtpClient, error) {
	family := "TCP4"
	if c.Addr.Is6() {
		family = "TCP6"
	}
	if _, err := fmt.Fprintf(conn, "PROXY %s %s %s 40000 25\r\n", family, c.Addr, c.Addr); err != nil {
		conn.Close()
		return nil, err
	}
	return openSMTP(conn, c.hello()...)
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
