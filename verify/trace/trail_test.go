package trace

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"authmilter/verify/message"
)

func TestTrail(t *testing.T) {
	const (
		outside  = "Received: from helo.example (mail.example.net [203.0.113.5]) by mx1.example.org (Postfix) with ESMTP id 1; x"
		relay    = "Received: from mx1.example.org (mx1.example.org [10.0.0.1]) by mx2.example.org (Postfix) with ESMTP id 2; x"
		loopback = "Received: from localhost (localhost [127.0.0.1]) by mx1.example.org (Postfix) with ESMTP id 3; x"
		within   = "Received: by mx1.example.org (Postfix, from userid 5) id 4; x"
		odd      = "Received: from somewhere"
		other    = "X-Other: from a (b [192.0.2.1]) by c"
		forged   = "Received: from bank.example (mail.bank.example [192.0.2.10]) by mx1.example.org (Postfix) with ESMTP id 5; x"
	)
	for _, test := range []struct {
		name   string
		header []string
		client string // "" means that it is not known
		above  int
		err    error
	}{
		{"one relay", []string{outside, forged}, "203.0.113.5", 0, nil},
		{"two relays", []string{relay, outside, forged}, "203.0.113.5", 1, nil},
		{"a relay with a content filter", []string{relay, loopback, within, outside, forged}, "203.0.113.5", 3, nil},
		{"fields that relays added", []string{other, relay, other, other, outside, other}, "203.0.113.5", 4, nil},
		{"no fields", nil, "", 0, ErrNoOrigin},
		{"only relays", []string{relay, other, loopback, within}, "", 0, ErrNoOrigin},
		{"unreadable", []string{odd, outside}, "", 0, ErrUnreadable},
		{"unreadable below a relay", []string{relay, odd, outside}, "", 0, ErrUnreadable},
		{"unreadable below the outside", []string{outside, odd}, "203.0.113.5", 0, nil},
		{"a loop", strings.Split(strings.Repeat(relay+"\n", maxHops)+outside, "\n"), "", 0, ErrNoOrigin},
	} {
		trail := Trail{Relays: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/30")}}
		for _, line := range test.header {
			name, value, _ := strings.Cut(line, ":")
			trail.Field(message.NewField(name, value))
		}
		got, above, err := trail.Origin()
		var want netip.Addr
		if test.client != "" {
			want = netip.MustParseAddr(test.client)
		}
		if got.Client != want || above != test.above || !errors.Is(err, test.err) {
			t.Errorf("%s: got %+v, %d, %v", test.name, got, above, err)
		}
		if test.name == "unreadable below a relay" && !strings.HasSuffix(err.Error(), ": number 2 from the top") {
			t.Error(err)
		}
	}
}
