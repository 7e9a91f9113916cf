package milter

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
)

// forgedMail returns a message with n fields that claim to be ours.
func forgedMail(t *testing.T, n int) mail {
	m := example(t)
	m.fields = append(slices.Repeat([]field{{resultsName, " mx.example.org; dmarc=pass"}}, n), m.fields...)
	return m
}

// TestTooManyForged checks that the MTA is not asked to remove more fields than the
// limit, and that a message with more is refused in every mode, also if it is skipped.
func TestTooManyForged(t *testing.T) {
	const limit = 5
	for _, test := range []struct {
		name  string
		count int
		defers,
		skipped bool
		want string // the reply; "" if the message is accepted
	}{
		{name: "as many as the limit", count: limit},
		{name: "one more", count: limit + 1, want: "550 5.6.0 more than 5 header fields claim to be results of this host"},
		{name: "one more, deferred", count: limit + 1, defers: true, want: "451 4.6.0 more than 5 header fields claim to be results of this host"},
		{name: "skipped", count: limit, skipped: true},
		{name: "skipped, one more", count: limit + 1, skipped: true, want: "550 5.6.0 more than 5 header fields claim to be results of this host"},
		{name: "very many", count: 20_000, want: "550 5.6.0 more than 5 header fields claim to be results of this host"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := start(t, options{set: func(s *Settings) { s.MaxForged, s.DeferForged = limit, test.defers }})
			m := forgedMail(t, test.count)
			if test.skipped {
				m.macros = map[string]string{"{auth_authen}": "joe"}
			}
			changes, action := r.answer(m)
			v := r.seen.take()[0]
			if test.want == "" {
				removed := slices.DeleteFunc(changes, func(a string) bool { return !strings.HasPrefix(a, "ChangeHeader") })
				if action.Type != gomilter.ActionAccept || len(removed) != test.count || v.Refused != policy.NotRefused || v.Removed.Total() != test.count {
					t.Errorf("%v, %d removed, %+v", action, len(removed), v.Removed)
				}
				return
			}
			reply := fmt.Sprintf("%d %s %s", v.Decision.Reply.Code, v.Decision.Reply.Status, v.Decision.Reply.Text)
			if len(changes) != 0 || reply != test.want || !strings.Contains(action.SMTPReply, test.want) || v.Refused != policy.TooManyForged || v.Removed.Total() != 0 {
				t.Errorf("%d changes, %v, reply %q, %s, removed %v", len(changes), action, reply, v.Refused, v.Removed)
			}
		})
	}
}

// answer sends m and returns the changes to it and the answer.
func (r *rig) answer(m mail) (changes []string, action *gomilter.Action) {
	r.t.Helper()
	bag := gomilter.NewMacroBag()
	for name, value := range m.macros {
		bag.Set(name, value)
	}
	s, err := gomilter.NewClient("tcp", r.addr).Session(bag)
	if err != nil {
		r.t.Fatal(err)
	}
	defer s.Close()
	r.open(s, m)
	r.envelope(s, m)
	r.header(s, m)
	acts, action, err := s.BodyReadFrom(strings.NewReader(m.body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, a := range acts {
		changes = append(changes, a.String())
	}
	return changes, action
}
