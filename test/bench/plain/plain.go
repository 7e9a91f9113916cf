// Package plain is a plain combination of libraries: a milter built on
// go-milter that keeps each message and has go-msgauth and blitiri spf check it
// at its end. It is meant for comparison, not for use.
package plain

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/mail"
	"strings"
	"sync"

	"blitiri.com.ar/go/spf"
	gomilter "github.com/d--j/go-milter"
	"github.com/emersion/go-msgauth/authres"
	"github.com/emersion/go-msgauth/dkim"
	"github.com/emersion/go-msgauth/dmarc"
	"golang.org/x/net/publicsuffix"

	"authmilter/test/bench/client"
)

// Serve answers the MTAs that connect to l, until l is closed. It uses the
// resolver at dns, given as host:port.
func Serve(l net.Listener, dns string) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, dns)
	}}
	s := gomilter.NewServer(
		gomilter.WithMilter(func() gomilter.Milter { return &session{resolver: resolver} }),
		gomilter.WithActions(gomilter.OptAddHeader),
		gomilter.WithProtocols(gomilter.OptNoConnReply|gomilter.OptNoHeloReply|gomilter.OptNoMailReply|
			gomilter.OptNoRcptReply|gomilter.OptNoDataReply|gomilter.OptNoHeaderReply|gomilter.OptNoBodyReply|
			gomilter.OptNoEOHReply|gomilter.OptNoUnknown|gomilter.OptHeaderLeadingSpace),
	)
	return s.Serve(l)
}

type session struct {
	gomilter.NoOpMilter
	resolver *net.Resolver

	ip         net.IP
	helo, from string
	author     string
	message    bytes.Buffer
}

func (s *session) Connect(_, _ string, _ uint16, addr string, _ gomilter.Modifier) (*gomilter.Response, error) {
	s.ip = net.ParseIP(addr)
	return gomilter.RespContinue, nil
}

func (s *session) Helo(name string, _ gomilter.Modifier) (*gomilter.Response, error) {
	s.helo = name
	return gomilter.RespContinue, nil
}

func (s *session) MailFrom(from, _ string, _ gomilter.Modifier) (*gomilter.Response, error) {
	s.from, s.author = from, ""
	s.message.Reset()
	return gomilter.RespContinue, nil
}

func (s *session) Header(name, value string, _ gomilter.Modifier) (*gomilter.Response, error) {
	if strings.EqualFold(name, "From") {
		if a, err := mail.ParseAddress(value); err == nil {
			_, s.author, _ = strings.Cut(a.Address, "@")
		}
	}
	s.message.WriteString(name + ":" + strings.ReplaceAll(value, "\n", "\r\n") + "\r\n")
	return gomilter.RespContinue, nil
}

func (s *session) Headers(gomilter.Modifier) (*gomilter.Response, error) {
	s.message.WriteString("\r\n")
	return gomilter.RespContinue, nil
}

func (s *session) BodyChunk(chunk []byte, _ gomilter.Modifier) (*gomilter.Response, error) {
	s.message.Write(chunk)
	return gomilter.RespContinue, nil
}

func (s *session) EndOfMessage(m gomilter.Modifier) (*gomilter.Response, error) {
	var signatures []*dkim.Verification
	var sender spf.Result
	var policy *dmarc.Record
	var wg sync.WaitGroup
	wg.Go(func() {
		signatures, _ = dkim.VerifyWithOptions(bytes.NewReader(s.message.Bytes()), &dkim.VerifyOptions{LookupTXT: s.txt})
	})
	wg.Go(func() {
		sender, _ = spf.CheckHostWithSender(s.ip, s.helo, s.from, spf.WithResolver(s.resolver))
	})
	wg.Go(func() { policy = s.policy() })
	wg.Wait()
	results := append(dkimResults(signatures),
		&authres.SPFResult{Value: authres.ResultValue(sender), From: s.from, Helo: s.helo},
		&authres.DMARCResult{Value: s.judge(policy, signatures, sender), From: s.author},
	)
	if err := m.InsertHeader(0, "Authentication-Results", " "+authres.Format(client.AuthservID, results)); err != nil {
		return nil, err
	}
	return gomilter.RespAccept, nil
}

func (s *session) txt(name string) ([]string, error) {
	return s.resolver.LookupTXT(context.Background(), name)
}

// policy returns the record of the author domain, or of its organizational
// domain, or nil.
func (s *session) policy() *dmarc.Record {
	for _, name := range []string{s.author, organization(s.author)} {
		r, err := dmarc.LookupWithOptions(name, &dmarc.LookupOptions{LookupTXT: s.txt})
		if err == nil {
			return r
		}
		if !errors.Is(err, dmarc.ErrNoPolicy) {
			return nil
		}
	}
	return nil
}

func organization(domain string) string {
	name, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return name
}

func dkimResults(all []*dkim.Verification) []authres.Result {
	if len(all) == 0 {
		return []authres.Result{&authres.DKIMResult{Value: authres.ResultNone}}
	}
	var results []authres.Result
	for _, v := range all {
		r := &authres.DKIMResult{Value: authres.ResultPass, Domain: v.Domain, Identifier: v.Identifier}
		switch {
		case v.Err == nil:
		case dkim.IsTempFail(v.Err):
			r.Value = authres.ResultTempError
		case dkim.IsPermFail(v.Err):
			r.Value = authres.ResultPermError
		default:
			r.Value = authres.ResultFail
		}
		results = append(results, r)
	}
	return results
}

func (s *session) judge(policy *dmarc.Record, signatures []*dkim.Verification, sender spf.Result) authres.ResultValue {
	if policy == nil {
		return authres.ResultNone
	}
	_, domain, _ := strings.Cut(s.from, "@")
	if sender == spf.Pass && s.aligned(domain, policy.SPFAlignment) {
		return authres.ResultPass
	}
	for _, v := range signatures {
		if v.Err == nil && s.aligned(v.Domain, policy.DKIMAlignment) {
			return authres.ResultPass
		}
	}
	return authres.ResultFail
}

func (s *session) aligned(domain string, mode dmarc.AlignmentMode) bool {
	if mode == dmarc.AlignmentStrict {
		return strings.EqualFold(domain, s.author)
	}
	return strings.EqualFold(organization(domain), organization(s.author))
}
