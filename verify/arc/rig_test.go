package arc_test

import (
	"bufio"
	"context"
	"strings"
	"testing"
	"time"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/message"
)

var ctx = context.Background()

// now is when the messages of the tests arrive.
var now = time.Unix(1_600_000_000, 0)

// parsed is a message taken apart.
type parsed struct {
	header message.Header
	index  *message.Index
	body   []byte
}

func split(t testing.TB, msg string) parsed {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(msg))
	header, _, err := message.ReadHeader(r, message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(msg, "\r\n\r\n")
	return parsed{header, message.NewIndex(header), []byte(body)}
}

// verify returns the result of the chain of msg, whose body arrives in pieces of
// at most chunk octets.
func verify(t testing.TB, msg string, r dns.Resolver, opts dkim.Options, chunk int) arc.Result {
	t.Helper()
	p := split(t, msg)
	body := &message.Body{}
	v := arc.Begin(opts, &dkim.Input{Header: p.header, Index: p.index, Body: body, Now: now})
	if v != nil {
		v.CheckHeader(func(n arc.KeyName) ([]*dkim.Key, error) {
			return dkim.LookupKeys(ctx, r, n.Selector, n.Domain)
		})
	}
	for rest := p.body; len(rest) > 0; {
		n := min(chunk, len(rest))
		_, _ = body.Write(rest[:n])
		rest = rest[n:]
	}
	return v.Result(body)
}
