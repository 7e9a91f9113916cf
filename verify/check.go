package verify

import (
	"context"
	"errors"
	"time"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
	"authmilter/verify/dmarc"
	"authmilter/verify/dns"
	"authmilter/verify/iprev"
	"authmilter/verify/message"
	"authmilter/verify/spf"
)

// Check verifies one message. Its methods are called in the order Field...,
// EndHeader, Write..., Finish; Cancel may take the place of any of them and ends
// the Check, as Finish does. They are not safe for concurrent use.
type Check struct {
	opts *Options
	env  Envelope
	// cancel ends every look-up of the message.
	ctx    context.Context
	cancel context.CancelFunc
	meters meters
	work   *group

	header header
	author message.Author
	body   message.Body

	// What the goroutines of work leave behind.
	spf   spf.Result
	helo  *spf.Result
	iprev *iprev.Result
	steps []spf.Step
	dkim  []*dkim.Verification
	arc   *arc.Verification // nil where there is no chain
	dmarc *dmarc.Evaluation

	// What [Check.Seal] needs of a finished Check.
	index *message.Index
	chain arc.Result
}

func newCheck(ctx context.Context, v *Verifier, env Envelope) *Check {
	c := &Check{opts: &v.opts, env: env}
	c.work = newGroup(c.settled)
	c.ctx, c.cancel = context.WithCancel(ctx)
	c.meters = newMeters(&v.opts)
	return c
}

// look runs fn, which the result needs, with the time that look-ups may take.
func (c *Check) look(fn func(context.Context)) { c.work.need(c.timed(fn)) }

// timed returns fn with the time that look-ups may take.
func (c *Check) timed(fn func(context.Context)) func() {
	return func() {
		ctx, cancel := context.WithTimeout(c.ctx, c.opts.LookupTime)
		defer cancel()
		fn(ctx)
	}
}

func (c *Check) beginSPF() {
	args := spf.Args{
		IP:       c.env.ClientIP,
		Helo:     c.env.Helo,
		MailFrom: c.env.MailFrom,
		Receiver: c.opts.Receiver,
		MaxVoid:  c.opts.MaxVoid,
		Now:      c.opts.Now(),
		Explain:  c.opts.SPFExplanation,
	}
	if c.opts.HeloResult && c.env.MailFrom != "" {
		c.helo = &spf.Result{}
		// A copy: the steps of the two evaluations would be interleaved.
		helo := args
		helo.Explain = false
		c.look(func(ctx context.Context) { *c.helo = spf.CheckHelo(ctx, c.meters.helo, helo) })
	}
	if c.opts.Explain {
		args.Trace = func(s spf.Step) { c.steps = append(c.steps, s) }
	}
	c.look(func(ctx context.Context) { c.spf = spf.Check(ctx, c.meters.spf, args) })
}

// iprevTime bounds the look-ups of iprev together: the owner of the client's
// address can name ten hosts whose servers are silent.
const iprevTime = 5 * time.Second

func (c *Check) beginIPRev() {
	if !c.opts.IPRev {
		return
	}
	c.iprev = &iprev.Result{}
	c.look(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, iprevTime)
		defer cancel()
		*c.iprev = iprev.Check(ctx, c.meters.iprev, c.env.ClientIP)
	})
}

// Field takes the next field of the header, top first.
func (c *Check) Field(f message.Field) { c.header.add(f, c.opts) }

// EndHeader starts everything that the header decides: the look-ups of all keys
// and policies, and the digests that the body goes through.
func (c *Check) EndHeader() {
	defer c.work.seal()
	c.author = c.header.author()
	if c.header.err == nil {
		c.beginSignatures()
	}
	// Before any look-up: whether a signature still needs its key changes with
	// the answer.
	c.dmarc = dmarc.Prepare(dmarc.Query{
		Authors:    c.author.Domains,
		Unjudged:   c.author.Unjudged(),
		Candidates: c.candidates(),
		Mode:       c.opts.Discovery,
	})
	for _, v := range c.dkim {
		if v.NeedsKey() {
			c.look(func(ctx context.Context) { v.FetchKey(ctx, c.meters.keys) })
		}
	}
	once := dns.NewOnce(c.meters.dmarc)
	for i := range c.dmarc.Authors() {
		c.work.may(c.timed(func(ctx context.Context) { c.lookupAuthor(ctx, once, i) }))
	}
	if c.arc != nil {
		c.beginARC()
	}
}

// beginSignatures reads the signatures and the chain. It looks nothing up.
func (c *Check) beginSignatures() {
	c.index = message.NewIndex(c.header.fields.Header)
	in := &dkim.Input{
		Header:  c.header.fields.Header,
		Index:   c.index,
		Authors: c.author.Domains,
		Body:    &c.body,
		Now:     c.opts.Now(),
	}
	c.dkim = dkim.Begin(c.opts.DKIM, in)
	c.arc = arc.Begin(c.opts.DKIM, in)
	if c.opts.Sealer != nil {
		c.body.Want(arc.SealDigest())
	}
}

// askAhead is how long the records that the policy of an author domain depends on
// are asked for one after the other. Whoever chose the author domain may have
// chosen several names in a row whose servers are silent; then the rest is asked
// for at once, so that what is published above them is known in time.
const askAhead = time.Second

// lookupAuthor makes the look-ups for one author domain, by its number.
func (c *Check) lookupAuthor(ctx context.Context, r dns.Resolver, number int) {
	asked := make(chan struct{})
	ahead := time.AfterFunc(askAhead, func() {
		defer close(asked)
		c.work.may(func() { c.lookupAhead(r, number) })
	})
	// Nothing is started once this has ended: see group.may.
	defer func() {
		if !ahead.Stop() {
			<-asked
		}
	}()
	found := c.dmarc.LookupPolicy(ctx, r, number)
	c.add(found)
	c.add(c.dmarc.LookupAlignment(ctx, found))
}

// lookupAhead asks for all records that the policy of one author domain may depend
// on, at once.
func (c *Check) lookupAhead(r dns.Resolver, number int) {
	for _, name := range c.dmarc.Records(number) {
		c.work.may(c.timed(func(ctx context.Context) { _, _ = r.TXT(ctx, name) }))
	}
}

// add adds what was found about an author domain, while nothing reads it.
func (c *Check) add(found dmarc.Found) {
	c.work.mu.Lock()
	defer c.work.mu.Unlock()
	c.dmarc.Add(found)
	c.work.update()
}

// settled reports whether the result depends on no look-up of DMARC that still
// runs, when all others have ended.
func (c *Check) settled() bool {
	ids := make([]dmarc.Identifier, 0, len(c.dkim)+1)
	ids = append(ids, c.sender())
	for _, v := range c.dkim {
		// The body may still come: at best it is the one that was signed.
		ids = append(ids, dmarc.Identifier{
			Method:    dmarc.MethodDKIM,
			Domain:    v.Domain(),
			Pass:      v.Err() == nil,
			TempError: v.Open(),
		})
	}
	return c.dmarc.Settled(ids)
}

// sender returns the identifier that SPF vouches for or not.
func (c *Check) sender() dmarc.Identifier {
	return dmarc.Identifier{
		Method:    dmarc.MethodSPF,
		Domain:    c.spf.Domain,
		Pass:      c.spf.Status == spf.Pass,
		TempError: c.spf.Status == spf.TempError,
	}
}

// keysAhead is how many keys of a chain are looked up before it is known that
// they are needed. Real chains are rarely longer, and a forged chain cannot make
// us look up more names than that (RFC 8617 section 9.2).
const keysAhead = 4

func (c *Check) beginARC() {
	// One after the other, the look-ups share the time of all.
	deadline := time.Now().Add(c.opts.LookupTime)
	ring := newKeyring(func(n arc.KeyName) ([]*dkim.Key, error) {
		ctx, cancel := context.WithDeadline(c.ctx, deadline)
		defer cancel()
		return dkim.LookupKeys(ctx, c.meters.arc, n.Selector, n.Domain)
	})
	names := c.arc.KeyNames()
	for _, n := range names[:min(len(names), keysAhead)] {
		c.work.need(func() { _, _ = ring.get(n) }) // its error is for who needs the key
	}
	c.work.need(func() { c.arc.CheckHeader(ring.get) })
}

// candidates returns the identifiers that may turn out to be authenticated.
func (c *Check) candidates() []dmarc.Identifier {
	ids := make([]dmarc.Identifier, 0, len(c.dkim)+1)
	if _, name := spf.Identify(c.env.MailFrom, c.env.Helo); name != "" {
		ids = append(ids, dmarc.Identifier{Method: dmarc.MethodSPF, Domain: name})
	}
	for _, v := range c.dkim {
		if v.NeedsKey() {
			ids = append(ids, dmarc.Identifier{Method: dmarc.MethodDKIM, Domain: v.Domain()})
		}
	}
	return ids
}

// WantsBody reports whether any octet of the body that is still to come matters.
// Once it is false the rest need not be written.
func (c *Check) WantsBody() bool { return c.body.Wanted() }

// Write takes the next octets of the body. It never fails and keeps nothing of
// p.
func (c *Check) Write(p []byte) (int, error) { return c.body.Write(p) }

// Ready is closed when all look-ups have ended that the result depends on: from
// then on Finish has all that there is to know. It never is before EndHeader.
func (c *Check) Ready() <-chan struct{} { return c.work.ready }

// Finish ends the Check and returns what was found. It does not wait for
// look-ups: those that are still running are ended, and what they would have
// told is a temporary error. It panics with a *[Panic] if a look-up did.
func (c *Check) Finish() *Result {
	c.cancel()
	c.work.wait()
	r := &Result{
		Author:   c.author,
		Header:   c.header.fields.Header,
		ListID:   c.header.listID(),
		SPF:      c.spf,
		Helo:     c.helo,
		IPRev:    c.iprev,
		Queries:  c.meters.count(),
		Exceeded: c.exceeded(),
		Size:     c.body.Size(),
		Lookups:  c.meters.spf.Events(),
		Steps:    c.steps,
	}
	if err := c.header.err; err != nil {
		// No signature can vouch for an author any more, but a policy still counts.
		r.Authors = c.dmarc.EvaluateEach([]dmarc.Identifier{c.sender()})
		for i := range r.Authors {
			notEvaluated(&r.Authors[i], err)
		}
		r.fail(dkim.PermError, dmarc.PermError, err)
		return r
	}
	r.ARC = c.arc.Result(&c.body)
	c.chain = r.ARC
	ids := make([]dmarc.Identifier, 0, len(c.dkim)+1)
	ids = append(ids, c.sender())
	for _, v := range c.dkim {
		d := v.Result(&c.body)
		r.DKIM = append(r.DKIM, d)
		ids = append(ids, dmarc.Identifier{
			Method:    dmarc.MethodDKIM,
			Domain:    d.Signature.Domain,
			Pass:      d.Status == dkim.Pass,
			TempError: d.Status == dkim.TempError,
		})
	}
	r.Authors = c.dmarc.EvaluateEach(ids)
	r.DMARC = dmarc.Strictest(r.Authors)
	return r
}

// notEvaluated turns a fail, which a signature could have prevented, into a
// permanent error that keeps what the author domain asks for.
func notEvaluated(d *dmarc.Result, err error) {
	if d.Status == dmarc.Fail {
		d.Status, d.Reason, d.Err = dmarc.PermError, dmarc.ReasonNotEvaluated, err
		d.Pending, d.Disposition = d.Disposition, dmarc.DispositionNone
	}
}

// exceeded returns which budget for look-ups the message exceeded. DMARC stops by
// itself before its meter does.
func (c *Check) exceeded() dns.Budget {
	if c.dmarc != nil && c.dmarc.Exceeded() {
		return dns.BudgetQueries
	}
	return c.meters.exceeded()
}

// Cancel ends the Check without a result, and waits until nothing of it runs any
// more. It may be called after Finish. It panics with a *[Panic] where a look-up
// did, unless Finish has already.
func (c *Check) Cancel() {
	c.cancel()
	c.work.wait()
}

// Failed returns the Result of a message that could not be verified because of a
// fault of ours: temporary errors throughout.
func Failed(err error) *Result {
	r := &Result{SPF: spf.Result{Status: spf.TempError, Reason: spf.ReasonDNS, Identity: spf.MailFrom, Err: err}}
	r.fail(dkim.TempError, dmarc.TempError, err)
	return r
}

// fail sets the results that depend on the header: those of DMARC are what is
// known of the authors, and that this is not all.
func (r *Result) fail(d dkim.Status, m dmarc.Status, err error) {
	reason := dkim.ReasonDNS
	if errors.Is(err, ErrHeaderTooLarge) {
		reason = dkim.ReasonHeaderTooLarge
		r.ARC = arc.Result{Status: arc.Fail, Reason: arc.ReasonHeaderTooLarge, OldestPass: arc.Absent, Err: err}
	}
	r.DKIM = []dkim.Result{{Status: d, Reason: reason, Err: err, Signature: &dkim.Signature{}}}
	r.Authors = append(r.Authors, dmarc.Result{
		Status: m, Reason: dmarc.ReasonNotEvaluated, Err: err,
		Disposition: dmarc.DispositionNone, Pending: dmarc.DispositionNone,
	})
	r.DMARC = dmarc.Strictest(r.Authors)
}
