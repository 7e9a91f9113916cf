package mta

import (
	"fmt"
	"strings"
	"testing"
)

// relaysPage is the page whose lines the functions in this file use.
const relaysPage = "relays.md"

// StartBorder starts an instance called name that passes everything on to the
// instance inner, from a loopback address. milter may be "".
func StartBorder(t testing.TB, inner *Postfix, name, addr, milter string) *Postfix {
	t.Helper()
	line := documented(t, relaysPage, "relay_transport = ", "[10.0.0.25]", hop(inner))
	return startPostfix(t, name, milter, inner.sink, fmt.Sprintf(asItCame, inner.port())+"\nsmtp_bind_address = "+addr+"\n"+line)
}

// StartBeforeFilter starts an instance called name without a milter, whose content
// filter is the instance filter.
func StartBeforeFilter(t testing.TB, filter *Postfix, name string) *Postfix {
	t.Helper()
	line := documented(t, relaysPage, "content_filter = ", "[127.0.0.1]:10024", hop(filter))
	return startPostfix(t, name, "", filter.sink, fmt.Sprintf(asItCame, filter.port())+"\n"+line)
}

// StartSubmission starts an instance called name that users submit mail to, and that
// passes it on to the instance inner, from another address than the border: addr.
func StartSubmission(t testing.TB, inner *Postfix, name, addr string) *Postfix {
	t.Helper()
	block := documentedBlock(t, relaysPage, "# border, master.cf\n")
	_, options, _ := strings.Cut(block, "smtpd\n")
	options = strings.NewReplacer("[10.0.0.25]", hop(inner), "10.0.0.3", addr).Replace(options)
	return launchPostfix(t, &Postfix{name: name, arrival: byXClient, options: options}, "", inner.sink, fmt.Sprintf(asItCame, inner.port()))
}

// StartPostfixBehindProxy starts an instance whose clients come through a load
// balancer that speaks the PROXY protocol.
func StartPostfixBehindProxy(t testing.TB, milter string) *Postfix {
	t.Helper()
	sink := NewSink(t)
	line := documented(t, relaysPage, "smtpd_upstream_proxy_protocol = ", "", "")
	return launchPostfix(t, &Postfix{name: Hostname, arrival: byProxy}, milter, sink, fmt.Sprintf(asItCame, sink.Port())+"\n"+line)
}

// StartPostfixForwarded starts an instance whose clients come through a host that
// names them with XFORWARD.
func StartPostfixForwarded(t testing.TB, milter string) *Postfix {
	t.Helper()
	sink := NewSink(t)
	return launchPostfix(t, &Postfix{name: Hostname, arrival: byXForward}, milter, sink, fmt.Sprintf(asItCame, sink.Port()))
}

// RelayConfig returns the documented line of authmilter's configuration that sets
// relay.networks to shown, with addrs instead.
func RelayConfig(t testing.TB, shown, addrs string) string {
	t.Helper()
	return documented(t, relaysPage, "relay.networks = ", shown, addrs) + "\n"
}

// hop returns how Postfix writes the instance p as a next hop.
func hop(p *Postfix) string { return fmt.Sprintf("[127.0.0.1]:%d", p.port()) }
