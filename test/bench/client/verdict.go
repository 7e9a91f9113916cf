package client

import (
	"authmilter/test/bench/corpus"
	"authmilter/verify/authres"
	"authmilter/verify/message"
)

// AuthservID is the authserv-id that milters must use.
const AuthservID = "mx.rcpt.example"

// verdict returns what the Authentication-Results fields say. The corpus has no
// such fields of its own, and rspamd uses the host's name as its authserv-id.
func verdict(h message.Header) corpus.Verdict {
	var v corpus.Verdict
	for _, f := range h {
		if !f.Is("authentication-results") {
			continue
		}
		r, err := authres.Parse(f.Raw)
		if err != nil {
			continue
		}
		for _, m := range r.Methods {
			switch m.Name {
			case "dkim":
				if v.DKIM == "" || m.Result == "pass" {
					v.DKIM = m.Result
				}
			case "spf":
				v.SPF = m.Result
			case "dmarc":
				v.DMARC = m.Result
			case "arc":
				v.ARC = m.Result
			}
		}
	}
	return v
}
