package policy

import (
	"strings"

	"authmilter/verify"
	"authmilter/verify/clean"
	"authmilter/verify/spf"
)

// ReceivedSPF returns the value of a Received-SPF field (RFC 7208 section 9.1),
// without leading white space, for the SPF result of a message that receiver
// verified.
func ReceivedSPF(receiver string, env verify.Envelope, r *spf.Result) string {
	identity := "mailfrom"
	if r.Identity == spf.Helo {
		identity = "helo"
	}
	var pairs []string
	add := func(key, value string) {
		if value != "" {
			pairs = append(pairs, key+"="+spfValue(value))
		}
	}
	add("receiver", receiver)
	add("client-ip", env.Client())
	add("envelope-from", env.MailFrom)
	add("helo", env.Helo)
	add("identity", identity)
	add("mechanism", r.Mechanism)
	if r.Err != nil {
		add("problem", r.Text())
	}
	return string(r.Status) + "\r\n\t" + strings.Join(pairs, ";\r\n\t")
}

// maxSPFValue is the maximum length of one value, in octets.
const maxSPFValue = 320

// spfValue returns s as it is if it is a dot-atom, otherwise as a quoted-string
// (RFC 7208 section 9.1).
func spfValue(s string) string {
	s = clean.Text(s, maxSPFValue)
	const other = "!#$%&'*+-/=?^_`{|}~"
	plain := s != "" && s[0] != '.' && s[len(s)-1] != '.' && !strings.Contains(s, "..")
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c == '.' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte(other, c) >= 0
	}
	if plain {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
