package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authmilter/verify"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// TestStreams checks that each look-up begins as soon as it is known, and that
// Ready waits for all of them.
func TestStreams(t *testing.T) {
	r := newResolver(t, spfName, dmarcName, edName, rsaName)
	h, body := example(t)
	c := verify.New(verify.Options{Resolver: r}).Begin(context.Background(), envelope)
	defer c.Cancel()
	r.await(t, spfName)
	for _, f := range h {
		c.Field(f)
	}
	if missing := r.missing([]string{edName, dmarcName}); len(missing) != 2 {
		t.Error("look-ups that depend on the header began before its end")
	}
	c.EndHeader()
	r.await(t, edName, rsaName, dmarcName)
	if !c.WantsBody() {
		t.Error("does not want the body for its digests")
	}
	_, _ = c.Write(body)
	select {
	case <-c.Ready():
		t.Error("ready before any answer")
	default:
	}
	close(r.opened)
	<-c.Ready()
	if res := c.Finish(); res.SPF.Status != spf.Pass || res.DKIM[0].Status != dkim.Pass || res.DKIM[1].Status != dkim.Pass ||
		res.DMARC.Status != dmarc.Pass || res.Size != int64(len(body)) {
		t.Errorf("%+v", res)
	}
}

// TestReadyWaitsForEach holds back one look-up at a time: Ready stays open, and
// Finish then returns a temporary error, never a fail.
func TestReadyWaitsForEach(t *testing.T) {
	for _, test := range []struct {
		name  string
		env   verify.Envelope
		spf   spf.Status
		dkim  []dkim.Status
		dmarc dmarc.Status
	}{
		{"", envelope, spf.Pass, []dkim.Status{dkim.Pass, dkim.Pass}, dmarc.Pass},
		{spfName, envelope, spf.TempError, []dkim.Status{dkim.Pass, dkim.Pass}, dmarc.Pass},
		{dmarcName, envelope, spf.Pass, []dkim.Status{dkim.Pass, dkim.Pass}, dmarc.TempError},
		{edName, envelope, spf.Pass, []dkim.Status{dkim.TempError, dkim.Pass}, dmarc.Pass},
		{rsaName, envelope, spf.Pass, []dkim.Status{dkim.Pass, dkim.TempError}, dmarc.Pass},
	} {
		synctest.Test(t, func(t *testing.T) { // it ends when all its goroutines have
			time.Sleep(20 * 365 * 24 * time.Hour) // from the year 2000 to one after the signatures were made
			r := newResolver(t, test.name)
			h, body := example(t)
			c := verify.New(verify.Options{Resolver: r}).Begin(context.Background(), test.env)
			for _, f := range h {
				c.Field(f)
			}
			c.EndHeader()
			_, _ = c.Write(body)
			select {
			case <-c.Ready():
				if test.name != "" {
					t.Errorf("%s: ready without its answer", test.name)
				}
			case <-time.After(time.Second): // all that can be done is done
				if test.name == "" {
					t.Error("not ready with all answers")
				}
			}
			res := c.Finish()
			if res.SPF.Status != test.spf || res.DMARC.Status != test.dmarc ||
				res.DKIM[0].Status != test.dkim[0] || res.DKIM[1].Status != test.dkim[1] {
				t.Errorf("%s: spf=%s dkim=%s,%s dmarc=%s", test.name, res.SPF.Status, res.DKIM[0].Status, res.DKIM[1].Status, res.DMARC.Status)
			}
		})
	}
}

// TestNothingAnswersInTime checks that a message has only temporary errors if no
// look-up ends in time.
func TestNothingAnswersInTime(t *testing.T) {
	h, body := example(t)
	finish := func(o verify.Options, wait bool) *verify.Result {
		o.Resolver = newResolver(t, spfName, dmarcName, edName, rsaName)
		c := verify.New(o).Begin(context.Background(), envelope)
		defer c.Cancel()
		for _, f := range h {
			c.Field(f)
		}
		c.EndHeader()
		_, _ = c.Write(body)
		if wait {
			<-c.Ready()
		}
		return c.Finish()
	}
	for name, res := range map[string]*verify.Result{
		"finished at once": finish(verify.Options{}, false),
		"out of time":      finish(verify.Options{LookupTime: 20 * time.Millisecond}, true),
	} {
		if res.SPF.Status != spf.TempError || res.DKIM[0].Status != dkim.TempError || res.DKIM[1].Status != dkim.TempError ||
			res.DMARC.Status != dmarc.TempError || res.DMARC.Disposition != dmarc.DispositionNone {
			t.Errorf("%s: spf=%s dkim=%s,%s dmarc=%s", name, res.SPF.Status, res.DKIM[0].Status, res.DKIM[1].Status, res.DMARC.Status)
		}
	}
}

func TestCancelAtEachStage(t *testing.T) {
	h, body := example(t)
	for stage := range 6 {
		check := noLeak(t)
		ctx, cancel := context.WithCancel(context.Background())
		c := verify.New(verify.Options{Resolver: newResolver(t, spfName, dmarcName, edName, rsaName), HeloResult: true}).Begin(ctx, envelope)
		if stage >= 1 {
			for _, f := range h {
				c.Field(f)
			}
		}
		if stage >= 2 {
			c.EndHeader()
		}
		if stage >= 3 {
			_, _ = c.Write(body)
		}
		switch stage {
		case 4:
			c.Finish()
		case 5:
			cancel() // the caller's context has the same effect
			<-c.Ready()
		}
		c.Cancel()
		c.Cancel()
		cancel()
		check()
	}
}

// TestPanic checks that a panic in a look-up is raised where the message is handled,
// and only once.
func TestPanic(t *testing.T) {
	h, body := example(t)
	raised := func(fn func()) (p *verify.Panic) {
		defer func() {
			if v := recover(); v != nil {
				p = v.(*verify.Panic)
			}
		}()
		fn()
		return nil
	}
	for _, name := range []string{spfName, dmarcName, edName} {
		for _, end := range []string{"Finish", "Cancel"} {
			check := noLeak(t)
			r := newResolver(t)
			r.panics = name
			c := verify.New(verify.Options{Resolver: r}).Begin(context.Background(), envelope)
			for _, f := range h {
				c.Field(f)
			}
			c.EndHeader()
			_, _ = c.Write(body)
			<-c.Ready()
			var p *verify.Panic
			if end == "Finish" {
				p = raised(func() { c.Finish() })
			} else {
				p = raised(c.Cancel)
			}
			if p == nil || p.Value != "look-up of "+name || !bytes.Contains(p.Stack, []byte("TXT")) || !strings.Contains(p.Error(), name) {
				t.Errorf("%s, %s: %v", name, end, p)
			}
			if again := raised(c.Cancel); again != nil {
				t.Errorf("%s, %s: raised again", name, end)
			}
			check()
		}
	}
}

func TestHeaderBounds(t *testing.T) {
	h := header("From: joe@victim.example", "To: x", "Subject: y")
	size := 0
	for _, f := range h {
		size += len(f.Name) + len(":") + len(f.Raw) + len("\r\n")
	}
	for _, test := range []struct {
		fields, bytes int
		fits          bool
	}{
		{3, size, true},
		{2, size, false},
		{3, size - 1, false},
		{0, 0, true}, // the defaults
	} {
		v := verify.New(verify.Options{Resolver: newResolver(t), MaxHeaderFields: test.fields, MaxHeaderBytes: test.bytes})
		res := run(v, envelope, h, []byte("x\r\n"))
		if res.SPF.Status != spf.Pass {
			t.Errorf("%+v: %+v", test, res)
		}
		if got := res.Header; test.fits && !slices.Equal(got, h) || !test.fits && got != nil {
			t.Errorf("%+v: header %q", test, got)
		}
		if test.fits {
			if res.DMARC.Status != dmarc.Fail || res.DMARC.Disposition != dmarc.DispositionReject || len(res.DKIM) != 0 || len(res.Authors) != 1 {
				t.Errorf("%+v: %+v", test, res)
			}
			continue
		}
		if res.DMARC.Status != dmarc.PermError || res.DMARC.Pending != dmarc.DispositionReject ||
			len(res.DKIM) != 1 || res.DKIM[0].Status != dkim.PermError || res.DKIM[0].Reason != dkim.ReasonHeaderTooLarge ||
			len(res.Authors) != 2 || !errors.Is(res.Authors[1].Err, verify.ErrHeaderTooLarge) || res.Authors[1].Status != dmarc.PermError {
			t.Errorf("%+v: %+v", test, res)
		}
	}
}

// TestHeaderTooLarge checks that no number or size of fields hides whose policy
// applies to a message.
func TestHeaderTooLarge(t *testing.T) {
	const from = "From: joe@victim.example"
	many := slices.Repeat([]string{"A: b"}, 100)
	large := "X: " + strings.Repeat("x", 1000)
	for _, test := range []struct {
		name    string
		lines   []string
		want    string // dmarc and the disposition that its policy asks for
		authors string
		bounds  bool // whether authors are known to be incomplete
	}{
		{name: "fields after it", lines: append([]string{from}, many...), want: "permerror reject", authors: "victim.example"},
		{name: "fields before it", lines: append(slices.Clone(many), from), want: "permerror reject", authors: "victim.example"},
		{name: "it is the first field too many", lines: append(slices.Clone(many[:10]), from), want: "permerror reject", authors: "victim.example"},
		{name: "a large field after it", lines: []string{from, large}, want: "permerror reject", authors: "victim.example"},
		{name: "a large field before it", lines: []string{large, from}, want: "permerror reject", authors: "victim.example"},
		{name: "two, before and after", lines: append(append([]string{"From: x@football.example.com"}, many...), from), want: "permerror reject", authors: "football.example.com victim.example"},
		{name: "a name that only some readers accept", lines: append(slices.Clone(many), "From : joe@victim.example"), want: "permerror reject", authors: "victim.example"},
		{name: "large From fields", lines: []string{large, "From: " + large, from}, want: "permerror reject", authors: "victim.example", bounds: true},
		{name: "too many From fields", lines: append(slices.Repeat([]string{"From: x@football.example.com"}, 20), from), want: "permerror none", authors: "football.example.com", bounds: true},
		{name: "none", lines: many, want: "permerror none"},
		// No signature could be verified, and SPF alone is not enough.
		{name: "its own mail", lines: append([]string{"From: joe@football.example.com"}, many...), want: "permerror none", authors: "football.example.com"},
	} {
		v := verify.New(verify.Options{Resolver: newResolver(t), MaxHeaderFields: 10, MaxHeaderBytes: 1000})
		res := run(v, envelope, header(test.lines...))
		if got := fmt.Sprintf("%s %s", res.DMARC.Status, res.DMARC.Pending); got != test.want {
			t.Errorf("%s: %s, want %s (%v)", test.name, got, test.want, res.DMARC.Err)
		}
		if got := strings.Join(res.Author.Domains, " "); got != test.authors || errors.Is(res.Author.Err, message.ErrAuthorBounds) != test.bounds {
			t.Errorf("%s: authors %s (%v)", test.name, got, res.Author.Err)
		}
		if len(res.ListID.IDs) != 0 || res.ListID.Err != nil {
			t.Errorf("%s: list %q (%v)", test.name, res.ListID.IDs, res.ListID.Err)
		}
		if !slices.ContainsFunc(res.Authors, func(d dmarc.Result) bool { return errors.Is(d.Err, verify.ErrHeaderTooLarge) }) {
			t.Errorf("%s: does not say that the header is too large", test.name)
		}
	}
}

// TestHeaderTooLargeOfList is TestHeaderTooLarge for the list of a message.
func TestHeaderTooLargeOfList(t *testing.T) {
	const list = "List-Id: <list.example>"
	many := slices.Repeat([]string{"A: b"}, 100)
	for _, test := range []struct {
		lines []string
		want  string
		err   error
	}{
		{append([]string{list}, many...), "list.example", nil},
		{append(slices.Clone(many), list), "list.example", nil},
		{append(append([]string{"List-Id: x"}, many...), list), "list.example", message.ErrListID},
		{slices.Repeat([]string{list}, 11), "list.example", message.ErrListIDBounds},
		{slices.Repeat([]string{"From: joe@victim.example"}, 20), "", nil},
	} {
		v := verify.New(verify.Options{Resolver: newResolver(t), MaxHeaderFields: 10})
		res := run(v, envelope, header(test.lines...))
		if got := strings.Join(res.ListID.IDs, " "); got != test.want || res.ListID.Err != test.err {
			t.Errorf("%d fields: %q (%v), want %q (%v)", len(test.lines), got, res.ListID.Err, test.want, test.err)
		}
	}
}
