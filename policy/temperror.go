package policy

import (
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/iprev"
	"authmilter/verify/spf"
)

// TempErrors say how a temporary error of each method affects a message.
type TempErrors struct{ DMARC, SPF, DKIM, IPRev TempError }

// TempError is how a temporary error of a method affects a message.
type TempError string

// The effects of a temporary error.
const (
	// TempErrorByPolicy defers the message if, as far as is known, it would not be
	// accepted should the method fail next time. A sender gains nothing from name
	// servers that do not answer.
	TempErrorByPolicy TempError = ""
	// TempErrorAccept accepts the message.
	TempErrorAccept TempError = "accept"
	// TempErrorTempfail defers the message, unless DMARC passes.
	TempErrorTempfail TempError = "tempfail"
)

// open returns the finding for a method that could not finish now and would lead
// to f if it failed. subject is the domain or address that the method checks.
func (f finding) open(method *method, subject string, setting TempError) finding {
	if f.disposition == None || setting == TempErrorAccept {
		return finding{disposition: None}
	}
	return method.deferral(subject)
}

// method is a method whose temporary error can defer a message.
type method struct {
	// name is shown to people. code is the enhanced status code for the client,
	// without its class.
	name, code string
	// failed reports whether the method has a temporary error. subject is the
	// domain or address concerned, "" if not known.
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
		return m.Envelope.Client(), m.Result.IPRev != nil && m.Result.IPRev.Status == iprev.TempError
	}}
)

// deferral returns the finding for a temporary error. The text names the domain
// whose DNS does not answer: its postmaster can fix it.
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

// tempError adds deferrals for temporary errors, unless the message passed DMARC.
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
