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

// Check verifies one message. Call its methods in the order Field..., EndHeader,
// Write..., Finish. Cancel may take the place of any of them; like Finish, it ends
// the Check. The methods are not safe for concurrent use.
type Check struct {
	opts *Options
	env  Envelope
	// dkimOnly is set if nothing but the signatures is verified.
	dkimOnly bool
	// cancel ends every look-up for the message.
	ctx    context.Context
	cancel context.CancelFunc
	meters meters
	work   *group

	header header
	author message.Author
	body   message.Body
	lines  message.LineMeter // sees the body if the message may be sealed

	// The results of the goroutines in work.
	spf   spf.Result
	helo  *spf.Result
	iprev *iprev.Result
	steps []spf.Step
	dkim  []*dkim.Verification
	arc   *arc.Verification // nil if there is no chain
	dmarc *dmarc.Evaluation

	// What [Check.Seal] needs after Finish.
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

// look runs fn, which the result needs, within the time allowed for look-ups.
func (c *Check) look(fn func(context.Context)) { c.work.need(c.timed(fn)) }

// timed returns fn bounded by the time allowed for look-ups.
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
	if why := c.env.NoOrigin; why != nil {
		c.spf = spf.WithoutOrigin(args, c.opts.NoOriginIsTemporary, why)
		return
	}
	if c.opts.HeloResult && c.env.MailFrom != "" {
		c.helo = &spf.Result{}
		// A copy without Trace: the steps of the two would be interleaved.
		helo := args
		helo.Explain = false
		c.look(func(ctx context.Context) { *c.helo = spf.CheckHelo(ctx, c.meters.helo, helo) })
	}
	if c.opts.Explain {
		args.Trace = func(s spf.Step) { c.steps = append(c.steps, s) }
	}
	c.look(func(ctx context.Context) { c.spf = spf.Check(ctx, c.meters.spf, args) })
}

// iprevTime bounds all look-ups for iprev together: the owner of the client's
// address can name ten hosts whose servers never answer.
const iprevTime = 5 * time.Second

func (c *Check) beginIPRev() {
	if !c.opts.IPRev {
		return
	}
	c.iprev = &iprev.Result{}
	if why := c.env.NoOrigin; why != nil {
		*c.iprev = iprev.WithoutOrigin(c.opts.NoOriginIsTemporary, why)
		return
	}
	c.look(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, iprevTime)
		defer cancel()
		*c.iprev = iprev.Check(ctx, c.meters.iprev, c.env.ClientIP)
	})
}

// Field takes the next field of the header, top first.
func (c *Check) Field(f message.Field) { c.header.add(f, c.opts) }

// EndHeader starts everything that depends on the header: the look-ups for all
// keys and policies, and the digests that the body goes through.
func (c *Check) EndHeader() {
	defer c.work.seal()
	c.author = c.header.author()
	if c.header.err == nil {
		c.beginSignatures()
	}
	if c.dkimOnly {
		c.fetchKeys()
		return
	}
	// Before any look-up, because the answer changes what NeedsKey returns.
	c.dmarc = dmarc.Prepare(dmarc.Query{
		Authors:    c.author.Domains,
		Unjudged:   c.author.Unjudged(),
		Candidates: c.candidates(),
		Mode:       c.opts.Discovery,
		// Whether the one that most readers show passes is needed too.
		EveryAuthor: c.opts.EveryAuthor || c.author.Bracketed != "",
	})
	c.fetchKeys()
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
	if c.dkimOnly {
		return
	}
	c.arc = arc.Begin(c.opts.DKIM, in)
	if c.opts.Sealer != nil {
		c.body.Want(arc.SealDigest())
	}
}

// fetchKeys starts the look-ups for the keys of the signatures.
func (c *Check) fetchKeys() {
	for _, v := range c.dkim {
		if v.NeedsKey() {
			c.look(func(ctx context.Context) { v.FetchKey(ctx, c.meters.keys) })
		}
	}
}

// askAhead is how long the records that the policy of an author domain depends on
// are looked up one at a time. A sender can choose an author domain with several
// names in a row whose servers never answer. So after this time all other records
// are looked up at once, to know in time what is published above those names.
const askAhead = time.Second

// lookupAuthor makes the look-ups for the author domain with the given number.
func (c *Check) lookupAuthor(ctx context.Context, r dns.Resolver, number int) {
	asked := make(chan struct{})
	ahead := time.AfterFunc(askAhead, func() {
		defer close(asked)
		c.work.may(func() { c.lookupAhead(r, number) })
	})
	// Nothing may be started after this function returns: see group.may.
	defer func() {
		if !ahead.Stop() {
			<-asked
		}
	}()
	found := c.dmarc.LookupPolicy(ctx, r, number)
	c.add(found)
	c.add(c.dmarc.LookupAlignment(ctx, found))
}

// lookupAhead looks up all records that the policy of one author domain may depend
// on, at once.
func (c *Check) lookupAhead(r dns.Resolver, number int) {
	for _, name := range c.dmarc.Records(number) {
		c.work.may(c.timed(func(ctx context.Context) { _, _ = r.TXT(ctx, name) }))
	}
}

// add adds what was found about an author domain, under the lock that settled
// reads it with.
func (c *Check) add(found dmarc.Found) {
	c.work.mu.Lock()
	defer c.work.mu.Unlock()
	c.dmarc.Add(found)
	c.work.update()
}

// settled reports whether the result depends on no DMARC look-up that still runs.
// All other look-ups must have ended.
func (c *Check) settled() bool {
	ids := make([]dmarc.Identifier, 0, len(c.dkim)+1)
	ids = append(ids, c.sender())
	for _, v := range c.dkim {
		// The body may be incomplete: assume it will be the one that was signed.
		ids = append(ids, dmarc.Identifier{
			Method:    dmarc.MethodDKIM,
			Domain:    v.Domain(),
			Pass:      v.Err() == nil,
			TempError: v.Open(),
		})
	}
	return c.dmarc.Settled(ids)
}

// sender returns the identifier that SPF checked.
func (c *Check) sender() dmarc.Identifier {
	return dmarc.Identifier{
		Method:    dmarc.MethodSPF,
		Domain:    c.spf.Domain,
		Pass:      c.spf.Status == spf.Pass,
		TempError: c.spf.Status == spf.TempError,
	}
}

// keysAhead is how many keys of a chain are looked up before it is known that they
// are needed. Real chains are rarely longer, and a forged chain cannot make us look
// up more names than that (RFC 8617 section 9.2).
const keysAhead = 4

func (c *Check) beginARC() {
	// These look-ups may run one after the other, so they share one deadline.
	deadline := time.Now().Add(c.opts.LookupTime)
	ring := newKeyring(func(n arc.KeyName) ([]*dkim.Key, error) {
		ctx, cancel := context.WithDeadline(c.ctx, deadline)
		defer cancel()
		return dkim.LookupKeys(ctx, c.meters.arc, n.Selector, n.Domain)
	})
	names := c.arc.KeyNames()
	for _, n := range names[:min(len(names), keysAhead)] {
		c.work.need(func() { _, _ = ring.get(n) }) // CheckHeader gets the error
	}
	c.work.need(func() { c.arc.CheckHeader(ring.get) })
}

// candidates returns the identifiers that may prove to be authenticated.
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

// WantsBody reports whether any later octet of the body matters. Once it is false,
// the rest need not be written.
func (c *Check) WantsBody() bool { return c.body.Wanted() }

// Write takes the next octets of the body. It never fails and does not retain p.
func (c *Check) Write(p []byte) (int, error) {
	if c.opts.Sealer != nil {
		c.lines.Write(p)
	}
	return c.body.Write(p)
}

// Ready returns a channel that is closed when every look-up that the result depends
// on has ended, but not before EndHeader. From then on Finish returns the complete
// result.
func (c *Check) Ready() <-chan struct{} { return c.work.ready }

// Finish ends the Check and returns what was found. It does not wait for look-ups:
// it ends the ones that still run, and their results are temporary errors. It
// panics with a *[Panic] if a look-up did.
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
	if c.dkimOnly {
		r.DKIM = c.signatures()
		return r
	}
	if err := c.header.err; err != nil {
		// No signature can vouch for an author, but policies still count.
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
	r.DKIM = c.signatures()
	for i := range r.DKIM {
		d := &r.DKIM[i]
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

// signatures returns a result for each signature, once the body is complete.
func (c *Check) signatures() []dkim.Result {
	if err := c.header.err; err != nil {
		return notVerified(dkim.PermError, err)
	}
	var results []dkim.Result
	for _, v := range c.dkim {
		results = append(results, v.Result(&c.body))
	}
	return results
}

// notVerified returns a result that stands for all signatures of a message.
func notVerified(status dkim.Status, err error) []dkim.Result {
	reason := dkim.ReasonDNS
	if errors.Is(err, ErrHeaderTooLarge) {
		reason = dkim.ReasonHeaderTooLarge
	}
	return []dkim.Result{{Status: status, Reason: reason, Err: err, Signature: &dkim.Signature{}}}
}

// notEvaluated turns a fail, which a signature could have prevented, into a
// permanent error that keeps the disposition that the policy asks for.
func notEvaluated(d *dmarc.Result, err error) {
	if d.Status == dmarc.Fail {
		d.Status, d.Reason, d.Err = dmarc.PermError, dmarc.ReasonNotEvaluated, err
		d.Pending, d.Disposition = d.Disposition, dmarc.DispositionNone
	}
}

// exceeded returns the budget for look-ups that the message exceeded. DMARC stops
// by itself before its meter stops it.
func (c *Check) exceeded() dns.Budget {
	if c.dmarc != nil && c.dmarc.Exceeded() {
		return dns.BudgetQueries
	}
	return c.meters.exceeded()
}

// Cancel ends the Check without a result, and waits until none of its goroutines
// runs. It may be called after Finish. It panics with a *[Panic] if a look-up did,
// unless Finish already has.
func (c *Check) Cancel() {
	c.cancel()
	c.work.wait()
}

// Failed returns the Result of a message that could not be verified because of a
// bug: temporary errors throughout.
func Failed(err error) *Result {
	r := &Result{SPF: spf.Result{Status: spf.TempError, Reason: spf.ReasonDNS, Identity: spf.MailFrom, Err: err}}
	r.fail(dkim.TempError, dmarc.TempError, err)
	return r
}

// fail sets the results that depend on the header. It adds to the DMARC results
// already known for the authors one that says that they are incomplete.
func (r *Result) fail(d dkim.Status, m dmarc.Status, err error) {
	if errors.Is(err, ErrHeaderTooLarge) {
		r.ARC = arc.Result{Status: arc.Fail, Reason: arc.ReasonHeaderTooLarge, OldestPass: arc.Absent, Err: err}
	}
	r.DKIM = notVerified(d, err)
	r.Authors = append(r.Authors, dmarc.Result{
		Status: m, Reason: dmarc.ReasonNotEvaluated, Err: err,
		Disposition: dmarc.DispositionNone, Pending: dmarc.DispositionNone,
	})
	r.DMARC = dmarc.Strictest(r.Authors)
}
