package mta

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/d--j/go-milter"
)

// Direct asks the milter without an MTA in between, the way Postfix does, and
// does with the messages what the milter says.
type Direct struct {
	network, addr string
}

var _ MTA = (*Direct)(nil)

// NewDirect returns a Direct that asks the milter at an address in Postfix's
// notation.
func NewDirect(milter string) *Direct {
	network, addr, _ := strings.Cut(milter, ":")
	if network == "inet" {
		network = "tcp"
	}
	return &Direct{network, addr}
}

// Deliver implements [MTA].
func (d *Direct) Deliver(t testing.TB, c Client, messages ...Message) []Delivery {
	t.Helper()
	bag := milter.NewMacroBag()
	if c.Login != "" {
		bag.Set("{auth_authen}", c.Login)
		bag.Set("{auth_type}", "plain")
	}
	s, err := milter.NewClient(d.network, d.addr).Session(bag)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name, family := c.Name, milter.FamilyInet
	if name == "" {
		name = "unknown"
	}
	if c.Addr.Is6() {
		family = milter.FamilyInet6
	}
	goOn(t)(s.Conn(name, family, 25, c.Addr.String()))
	goOn(t)(s.Helo(c.Helo))
	deliveries := make([]Delivery, len(messages))
	for i, m := range messages {
		bag.Set("i", fmt.Sprintf("direct%d", i))
		goOn(t)(s.Mail(m.From, m.Args))
		goOn(t)(s.Rcpt(m.To, ""))
		goOn(t)(s.DataStart())
		head, body, _ := bytes.Cut(m.Data, []byte("\r\n\r\n"))
		var fields []string
		for line := range bytes.Lines(append(head, "\r\n"...)) {
			if line[0] == ' ' || line[0] == '\t' {
				fields[len(fields)-1] += string(line)
				continue
			}
			fields = append(fields, string(line))
		}
		for _, f := range fields {
			name, value, _ := strings.Cut(strings.TrimSuffix(f, "\r\n"), ":")
			goOn(t)(s.HeaderField(name, strings.ReplaceAll(value, "\r\n", "\n"), nil))
		}
		goOn(t)(s.HeaderEnd())
		if len(body) == 0 {
			goOn(t)(s.BodyChunk(nil)) // go-milter requires an end of the body
		}
		acts, final, err := s.BodyReadFrom(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		deliveries[i] = carryOut(t, fields, body, acts, final)
	}
	return deliveries
}

// goOn returns a function that accepts the answer to a command if it decides
// nothing.
func goOn(t testing.TB) func(*milter.Action, error) {
	return func(a *milter.Action, err error) {
		t.Helper()
		if err != nil || a.Type != milter.ActionContinue {
			t.Fatalf("%v, %v", a, err)
		}
	}
}

// carryOut does with a message what the milter says.
func carryOut(t testing.TB, fields []string, body []byte, acts []milter.ModifyAction, final *milter.Action) Delivery {
	t.Helper()
	d := Delivery{MTA: "direct", Code: 250, Body: body}
	switch final.Type {
	case milter.ActionAccept:
	case milter.ActionRejectWithCode:
		d.Code = int(final.SMTPCode)
		// Postfix reads "%%" as a percent sign.
		d.Reply = strings.ReplaceAll(final.SMTPReply, "%%", "%")
		return d
	default:
		t.Fatalf("the milter's final action is %v", final)
	}
	var top []string
	for _, a := range acts {
		switch {
		case a.Type == milter.ActionQuarantine:
			d.Held = true
		case a.Type == milter.ActionInsertHeader && a.HeaderIndex == 0:
			top = slices.Insert(top, 0, a.HeaderName+":"+strings.ReplaceAll(a.HeaderValue, "\n", "\r\n")+"\r\n")
		case a.Type == milter.ActionChangeHeader && a.HeaderValue == "" && len(top) == 0:
			n := uint32(0)
			i := slices.IndexFunc(fields, func(f string) bool {
				name, _, _ := strings.Cut(f, ":")
				if strings.EqualFold(strings.TrimRight(name, " \t"), a.HeaderName) {
					n++
				}
				return n == a.HeaderIndex
			})
			if i < 0 {
				t.Fatalf("no such field: %v", a)
			}
			fields = slices.Delete(fields, i, i+1)
		default:
			t.Fatalf("the milter asks for %v", a)
		}
	}
	if d.Held {
		return Delivery{MTA: d.MTA, Code: d.Code, Held: true}
	}
	d.Top, d.Header = []byte(strings.Join(top, "")), []byte(strings.Join(fields, ""))
	return d
}
