package policy

import (
	"bufio"
	"bytes"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"

	"authmilter/test/need"
	"authmilter/verify"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// TestTrustShared reads sealed messages from a folder next to the project, if it
// exists. Their sets are written as large providers write them.
func TestTrustShared(t *testing.T) {
	for _, name := range []string{"aar-key-value-without-ptype", "aar-header-from-address"} {
		text := func(file string) []byte {
			b, err := os.ReadFile(need.Shared(t, "faults/"+name+"/"+file))
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		zone := dnstest.MustParse(t, strings.ReplaceAll(string(text("zone.txt")), " 0 IN ", " "))
		env := verify.Envelope{ClientIP: netip.MustParseAddr("192.0.2.1"), Helo: "out.forwarder.example", MailFrom: "bounce@forwarder.example"}
		msg := bytes.ReplaceAll(bytes.ReplaceAll(text("message.eml"), []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		header, body, err := message.ReadHeader(bufio.NewReader(bytes.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
		if err != nil {
			t.Fatal(err)
		}
		c := verify.New(verify.Options{Resolver: zone}).Begin(t.Context(), env)
		for _, f := range header {
			c.Field(f)
		}
		c.EndHeader()
		if _, err := io.Copy(c, body); err != nil {
			t.Fatal(err)
		}
		<-c.Ready()
		d := (&Rules{Mode: ModeEnforce, TrustedSealers: []string{"forwarder.example"}}).Decide(&Message{Envelope: env, Result: c.Finish()})
		if want := (OverrideReason{TrustedForwarder, "forwarder.example saw dmarc=pass (i=1)"}); d.Override != want || d.Disposition != None {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
