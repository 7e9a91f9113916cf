package policy

import (
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

// TempErrors say what a temporary error of each method does to a message.
type TempErrors struct{ DMARC, SPF, DKIM, IPRev TempError }

// TempError is what a temporary error of a method does to a message.
type TempError string

// What there is to choose from.
const (
	// TempErrorByPolicy defers the message if it would not be accepted, as far as is known,
	// should the method fail when it is asked again: a sender whose name servers are
	// silent gains nothing by that.
	TempErrorByPolicy TempError = ""
	// TempErrorAccept accepts the message.
	TempErrorAccept TempError = "accept"
	// TempErrorTempfail defers the message, unless DMARC passes.
	TempErrorTempfail TempError = "tempfail"
)

// open returns what is done with a message for which f would be done if a method
// failed that could not finish now. subject is what the method is about.
func (f finding) open(method *method, subject string, setting TempError) finding {
	if f.disposition == None || setting == TempErrorAccept {
		return finding{disposition: None}
	}
	return method.deferral(subject)
}

// method is one that may defer a message.
type method struct {
	// name is what people call it, and code the enhanced status code, without its
	// class, that tells the client.
	name, code string
	// failed reports whether it has a temporary error, and about which domain or
	// address; "" if that is not known.
	failed func(*Message) (subject string, ok bool)
}

var (
	methodDMARC = method{"DMARC", "7.1", func(m *Message) (string, bool) {
		for _, d := range results(m.Result) {
			if d.Status == dmarc.TempError {
				return d.Author, true
			}
		}
		return "", false
	}}
	methodSPF = method{"SPF", "7.24", func(m *Message) (string, bool) {
		return m.Result.SPF.Domain, m.Result.SPF.Status == spf.TempError
	}}
	methodDKIM = method{"the DKIM signature", "7.20", func(m *Message) (string, bool) {
		for i := range m.Result.DKIM {
			if d := &m.Result.DKIM[i]; d.Status == dkim.TempError {
				return d.Signature.Domain, true
			}
		}
		return "", false
	}}
	methodIPRev = method{"reverse DNS", "7.25", func(m *Message) (string, bool) {
		return clientText(m), m.Result.IPRev != nil && m.Result.IPRev.Status == iprev.TempError
	}}
)

// deferral returns what is done with a message because of a temporary error. The
// text names whose DNS does not answer: the postmaster there is the one who can
// mend it.
func (m *method) deferral(subject string) finding {
	text := "Cannot check " + m.name
	if subject != "" {
		text += " of " + subject
	}
	return finding{
		disposition: Defer, reason: ReasonTempError, code: m.code,
		text: text + " now, please try again later",
	}
}

// tempError returns what is done with a message for any temporary error. A message
// that passed DMARC has been judged.
func (r *Rules) tempError(list []finding, m *Message) []finding {
	if m.Result.DMARC.Status == dmarc.Pass {
		return list
	}
	for _, t := range []struct {
		method  *method
		setting TempError
	}{
		{&methodDMARC, r.PerReason.TempErrors.DMARC}, {&methodSPF, r.PerReason.TempErrors.SPF},
		{&methodDKIM, r.PerReason.TempErrors.DKIM}, {&methodIPRev, r.PerReason.TempErrors.IPRev},
	} {
		if t.setting != TempErrorTempfail {
			continue
		}
		if subject, failed := t.method.failed(m); failed {
			list = with(list, t.method.deferral(subject))
		}
	}
	return list
}
