package metrics

import (
	"errors"
	"strconv"
	"strings"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// Observe counts one finished message.
func (m *Metrics) Observe(v *policy.Verdict) {
	m.observeRemoved(v)
	if v.Refused != policy.NotRefused {
		m.refused.WithLabelValues(string(v.Refused)).Inc()
	}
	if v.Skip != policy.NotSkipped {
		m.skipped.WithLabelValues(string(v.Skip)).Inc()
		if v.Skip == policy.Authenticated || v.Skip == policy.LocalNetwork {
			m.own.WithLabelValues(m.signing(v.Signing)).Inc()
		}
		if v.DKIMOnly != nil {
			m.observeOwn(v.DKIMOnly)
		}
		return
	}
	m.messages.WithLabelValues(v.Listener, string(v.Decision.Disposition)).Inc()
	m.eom.Observe(v.EndOfMessage.Seconds())
	m.stages.observe(v)
	if t := v.Decision.Override.Type; t != policy.NotOverridden {
		m.override.WithLabelValues(string(t)).Inc()
	}
	if v.Seal != (policy.Sealing{}) {
		m.seals.WithLabelValues(m.sealing(v.Seal)).Inc()
	}
	m.bytes.Add(float64(v.Result.Size))
	m.observeResult(v.Result)
	m.observeDMARC(v)
}

// Values of the label claim: what a field says that claims to be ours.
const (
	claimForged   = "forged"
	claimHarmless = "harmless"
)

// observeRemoved counts the fields that claimed to be ours. Only
// Authentication-Results fields can be harmless.
func (m *Metrics) observeRemoved(v *policy.Verdict) {
	for kind, n := range v.Removed {
		if kind == policy.ResultsField {
			n -= v.HarmlessRemoved
		}
		m.removed.WithLabelValues(string(kind), claimForged).Add(float64(n))
	}
	m.removed.WithLabelValues(string(policy.ResultsField), claimHarmless).Add(float64(v.HarmlessRemoved))
}

// observeOwn counts the DKIM results of our own mail. They are not among the results
// of the method, whose rates are about mail from outside: most of our own mail has
// no signature yet.
func (m *Metrics) observeOwn(r *verify.Result) {
	m.observeBudget(r)
	if len(r.DKIM) == 0 {
		m.ownDKIM.WithLabelValues(string(dkim.None)).Inc()
	}
	for i := range r.DKIM {
		m.ownDKIM.WithLabelValues(string(r.DKIM[i].Status)).Inc()
	}
}

func (m *Metrics) observeBudget(r *verify.Result) {
	if r.Exceeded != dns.BudgetNone {
		m.dnsExceeded.WithLabelValues(string(r.Exceeded)).Inc()
	}
}

// observeResult counts the result of each method.
func (m *Metrics) observeResult(r *verify.Result) {
	m.observeBudget(r)
	if len(r.DKIM) == 0 {
		m.results.WithLabelValues("dkim", string(dkim.None), "").Inc()
	}
	for i := range r.DKIM {
		d := &r.DKIM[i]
		m.results.WithLabelValues("dkim", string(d.Status), string(d.Reason)).Inc()
		m.dkim.WithLabelValues(string(d.Status), signatureAlgorithm(d), keyBits(d.Key)).Inc()
	}
	m.observeSPF(&r.SPF)
	if r.Helo != nil {
		m.observeSPF(r.Helo)
	}
	m.results.WithLabelValues("dmarc", string(r.DMARC.Status), string(r.DMARC.Reason)).Inc()
	if p := r.IPRev; p != nil {
		m.results.WithLabelValues("iprev", string(p.Status), string(p.Reason)).Inc()
	}
	if a := &r.ARC; a.Status != "" {
		m.results.WithLabelValues("arc", string(a.Status), string(a.Reason)).Inc()
		m.arc.WithLabelValues(string(a.Status), sets(a)).Inc()
	}
}

func (m *Metrics) observeSPF(r *spf.Result) {
	m.results.WithLabelValues("spf", string(r.Status), string(r.Reason)).Inc()
	m.spf.WithLabelValues(string(r.Identity), string(r.Status)).Inc()
}

func (m *Metrics) observeDMARC(v *policy.Verdict) {
	d := &v.Result.DMARC
	published := ""
	if d.Policy != nil {
		published = string(d.Policy.Published)
	}
	m.dmarc.WithLabelValues(string(d.Status), published, string(v.Decision.Disposition), string(v.Decision.Override.Type)).Inc()
	if name := m.authorDomains.Load().covering(v.Result.DMARCDomain()); name != "" {
		m.authors.WithLabelValues(name, string(d.Status)).Inc()
	}
}

// algorithms lists the values of the label algorithm.
var algorithms = []string{"rsa-sha256", "rsa-sha1", "ed25519-sha256", unknown}

const unknown = "unknown"

func signatureAlgorithm(r *dkim.Result) string {
	for _, a := range algorithms {
		if strings.EqualFold(r.Signature.Algorithm, a) {
			return a
		}
	}
	return unknown
}

// Classes of key sizes in bits.
const (
	bitsEd25519 = "256"
	bitsBelow   = "lt1024"
	bitsBetween = "1025-2047"
	bitsAbove   = "gt2048"
)

var keySizes = []string{unknown, bitsEd25519, bitsBelow, "1024", bitsBetween, "2048", bitsAbove}

func keyBits(k *dkim.Key) string {
	switch {
	case k == nil || k.Bits == 0:
		return unknown
	case k.Type == dkim.Ed25519:
		return bitsEd25519
	case k.Bits < 1024:
		return bitsBelow
	case k.Bits == 1024 || k.Bits == 2048:
		return strconv.Itoa(k.Bits)
	case k.Bits < 2048:
		return bitsBetween
	}
	return bitsAbove
}

// Classes of the number of sets in a chain. Real chains have few.
const (
	setsFew  = "3-5"
	setsMany = "6-50"
	setsOver = "over"
)

var setCounts = []string{"0", "1", "2", setsFew, setsMany, setsOver}

func sets(r *arc.Result) string {
	n := 0
	if r.Chain != nil {
		n = len(r.Chain.Sets)
	}
	switch {
	case r.Reason == arc.ReasonTooMany:
		return setsOver
	case n <= 2:
		return strconv.Itoa(n)
	case n <= 5:
		return setsFew
	}
	return setsMany
}

// unsealed lists the reasons not to seal a message that are not our errors.
var unsealed = [...]struct {
	err    error
	result string
}{
	{arc.ErrBroken, "broken_before"},
	{arc.ErrFull, "full"},
	{arc.ErrOwn, "own"},
	{arc.ErrUnknown, unknown},
	{arc.ErrTooManyFields, "too_many_fields"},
	{verify.ErrHeaderTooLarge, "header_too_large"},
	{message.ErrLongLine, "long_line"},
}

// Stages of the errors that a verdict holds.
const (
	stageSeal = "seal"
	stageSign = "sign"
)

// sealing returns the outcome of sealing a message, and counts an error of ours.
func (m *Metrics) sealing(s policy.Sealing) string {
	if s.Done {
		return "sealed"
	}
	for _, u := range unsealed {
		if errors.Is(s.Err, u.err) {
			return u.result
		}
	}
	m.Error(stageSeal)
	return "error"
}

// signing returns the outcome of signing a message of our own users, and counts an
// error.
func (m *Metrics) signing(s policy.Signing) string {
	switch {
	case errors.Is(s.Err, message.ErrLongLine):
		return "unsigned" // the user's program is at fault
	case s.Err != nil:
		m.Error(stageSign)
		return "error"
	case len(s.Selectors) > 0:
		return "signed"
	}
	return "unsigned"
}

// KeyState records the state of the DNS record of one of our keys. use, domain and
// selector come from the configuration; state is a [dkim.Published].
func (m *Metrics) KeyState(use, domain, selector, state string) {
	for _, s := range dkim.PublishedStates() {
		value := 0.0
		if string(s) == state {
			value = 1
		}
		m.keys.WithLabelValues(use, domain, selector, string(s)).Set(value)
	}
}

// ForgetKeys deletes what KeyState recorded.
func (m *Metrics) ForgetKeys() { m.keys.Reset() }
