package milter

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	gomilter "github.com/d--j/go-milter"

	"authmilter/policy"
	"authmilter/verify"
	"authmilter/verify/clean"
	"authmilter/verify/message"
)

const (
	// progressEvery is how often a waiting MTA is told that we are alive.
	progressEvery = 3 * time.Second
	// maxQueueID bounds a queue ID in the log, in octets.
	maxQueueID = 256
)

func (s *session) EndOfMessage(m gomilter.Modifier) (resp *gomilter.Response, err error) {
	resp = gomilter.RespAccept
	defer s.reset()
	defer s.guard()
	t := s.message
	if t == nil {
		return noMessage()
	}
	watch := stopwatch{time.Now()}
	begun := watch.at
	s.endHeader(t)
	v := &policy.Verdict{
		At:         t.begun,
		Stages:     policy.Stages{Receive: begun.Sub(t.begun)},
		Listener:   s.listener,
		QueueID:    m.Get("i"),
		Envelope:   t.env,
		Recipients: t.recipients,
		Relay:      t.relay,
		Skip:       t.skip,
	}
	// A removal takes Postfix time in proportion to the size of the header, so many of
	// them take long, and the message is not accepted anyway.
	if v.Refused = t.removals.refusal(t.settings.MaxForged); v.Refused != policy.TooManyForged {
		v.Removed = t.removals.removed()
		if err := t.removals.remove(m); err != nil {
			return nil, s.gone(v, err)
		}
	}
	var fields []message.Field
	if t.skip == policy.NotSkipped {
		fields = s.judge(t, m, v, &watch)
	} else if t.own != nil {
		fields = s.handleOwn(t, m, v)
	}
	if v.Removed != nil {
		s.judgeRemoved(t, v)
	}
	if v.Refused != policy.NotRefused {
		t.refuse(v)
		fields = nil
	}
	watch.lap()
	if resp, err = s.carryOut(m, v, t.settings.QuarantineField, fields); err != nil {
		return nil, s.gone(v, err)
	}
	v.Stages.Write = watch.lap()
	v.Took, v.EndOfMessage = watch.at.Sub(t.begun), watch.at.Sub(begun)
	s.observe(v)
	return resp, nil
}

// judgeRemoved counts in v the removed fields that are harmless. If a bug prevents it,
// all are forged.
func (s *session) judgeRemoved(t *transaction, v *policy.Verdict) {
	defer s.guard()
	v.HarmlessRemoved = t.removals.harmless(v.Result)
}

// refuse makes v refuse the message for v.Refused, whatever the policy: a field that
// was not removed must not reach any later reader.
func (t *transaction) refuse(v *policy.Verdict) {
	d := policy.Reject
	reply := policy.Reply{Code: 550, Status: "5.6.0", Text: "malformed name of a header field"}
	if v.Refused == policy.TooManyForged {
		reply.Text = fmt.Sprintf("more than %d header fields claim to be results of this host", t.settings.MaxForged)
		if t.settings.DeferForged {
			d, reply.Code, reply.Status = policy.Defer, 451, "4.6.0"
		}
	}
	v.Decision = policy.Decision{Requested: v.Decision.Requested, Intended: d, Disposition: d, Reply: reply}
	v.Seal, v.Signing = policy.Sealing{}, policy.Signing{}
}

// gone logs that the MTA went away before it took the reply to a message. No
// observer sees such a message.
func (s *session) gone(v *policy.Verdict, err error) error {
	s.server.config.Counter.Error(string(StageAnswer))
	s.server.config.Log.Warn("the MTA did not take the reply to a message",
		"listener", s.listener, "queue_id", clean.Text(v.QueueID, maxQueueID), "error", err)
	return err
}

// stopwatch measures how long each of several stages took.
type stopwatch struct{ at time.Time }

func (w *stopwatch) lap() time.Duration {
	now := time.Now()
	took := now.Sub(w.at)
	w.at = now
	return took
}

// judge sets the Result and the Decision of v, and returns the fields to insert.
// If a bug prevents verification, they say so.
func (s *session) judge(t *transaction, m gomilter.Modifier, v *policy.Verdict, watch *stopwatch) (fields []message.Field) {
	conclude := func(r *verify.Result) {
		facts := &policy.Message{
			Envelope:   t.env,
			Recipients: t.recipients,
			Listener:   s.listener,
			Result:     r,
			Sample:     rand.IntN(100),
		}
		v.Result, v.Decision = r, t.settings.Rules.Decide(facts)
		if t.settings.ExplainRules {
			v.Rules = t.settings.Rules.Explain(facts)
		}
		fields = t.fields(v)
		v.Stages.Decide = watch.lap()
	}
	defer func() {
		if t.failure != nil {
			s.server.config.Counter.Error(string(StageVerify))
			v.Seal = policy.Sealing{}
			conclude(verify.Failed(t.failure))
		}
	}()
	defer s.guard()
	if t.failure == nil {
		t.endHeader()
		watch.lap()
		t.wait(m)
		v.Stages.Wait = watch.lap()
		result := t.check.Finish()
		v.Stages.Verify = watch.lap()
		conclude(result)
		if passesOn(v) && t.settings.Verifier.Seals() {
			fields = append(fields, t.seal(v)...)
			v.Stages.Seal = watch.lap()
		}
	}
	return fields
}

// passesOn reports whether a message is passed on with its results.
func passesOn(v *policy.Verdict) bool {
	return v.Decision.Reply == (policy.Reply{}) && !v.Decision.Skip
}

// fields returns the fields to insert into a message that passes on.
func (t *transaction) fields(v *policy.Verdict) []message.Field {
	if !passesOn(v) {
		return nil
	}
	var fields []message.Field
	if text := v.Decision.QuarantineText; text != "" {
		fields = append(fields, message.Field{Name: t.settings.QuarantineField, Raw: " " + text})
	}
	if t.settings.ReceivedSPF {
		fields = append(fields, message.Field{
			Name: string(policy.ReceivedSPFField),
			Raw:  " " + policy.ReceivedSPF(t.settings.AuthservID, t.env, &v.Result.SPF),
		})
	}
	return append(fields, message.Field{
		Name: resultsName,
		Raw:  " " + policy.FormatResults(t.settings.AuthservID, t.env, v.Result, v.Decision, t.settings.Results),
	})
}

// carryOut sends the decision to the MTA, with the fields to insert. An error
// means that the MTA has gone away.
func (s *session) carryOut(m gomilter.Modifier, v *policy.Verdict, quarantineField string, fields []message.Field) (*gomilter.Response, error) {
	if err := insert(m, fields); err != nil {
		return nil, err
	}
	d := &v.Decision
	if d.Skip {
		v.Skip, v.Result = policy.ByOverride, nil
	}
	if d.HoldReason != "" {
		err := m.Quarantine(d.HoldReason)
		if errors.Is(err, gomilter.ErrModificationNotAllowed) {
			// This MTA cannot quarantine.
			d.HoldReason, d.QuarantineText = "", d.HoldReason
			err = insert(m, []message.Field{{Name: quarantineField, Raw: " " + d.QuarantineText}})
		}
		if err != nil {
			return nil, err
		}
	}
	if d.Reply == (policy.Reply{}) {
		return gomilter.RespAccept, nil
	}
	resp, err := gomilter.RejectWithCodeAndReason(uint16(d.Reply.Code), d.Reply.Status+" "+d.Reply.Text)
	if err != nil {
		// A reply that cannot be sent must not decide the fate of the message: the
		// MTA refuses it in its own words.
		s.server.config.Counter.Error(string(StageAnswer))
		s.server.config.Log.Error("cannot send the reply: the MTA sends its own", "error", err)
		d.Reply = policy.Reply{}
		if d.Disposition == policy.Defer {
			return gomilter.RespTempFail, nil
		}
		return gomilter.RespReject, nil
	}
	return resp, nil
}

// seal returns the ARC Set to put above our results, and records it in v.
func (t *transaction) seal(v *policy.Verdict) []message.Field {
	id := t.settings.AuthservID
	results := policy.ARCResults(id, t.env, v.Result, v.Decision, t.settings.Results, t.relayResults)
	set, err := t.check.Seal(id, results)
	v.Seal = policy.Sealing{Done: err == nil, Err: err}
	return set
}

// wait returns when all look-ups have ended, or when the MTA has waited as long
// as it should. Meanwhile it sends progress to the MTA.
func (t *transaction) wait(m gomilter.Modifier) {
	select {
	case <-t.check.Ready():
		return
	default:
	}
	limit := time.NewTimer(t.settings.EndOfMessage)
	defer limit.Stop()
	progress := time.NewTicker(progressEvery)
	defer progress.Stop()
	for {
		select {
		case <-t.check.Ready():
			return
		case <-limit.C:
			return
		case <-progress.C:
			if err := m.Progress(); err != nil {
				// An old protocol has no progress; and if the MTA has gone, the
				// next write says so.
				progress.Stop()
			}
		}
	}
}

// observe hands v to the observers. A panic in one of them affects neither the
// message nor the other observers.
func (s *session) observe(v *policy.Verdict) {
	for _, o := range s.server.config.Observers {
		func() {
			defer s.guard()
			failed := true
			defer func() {
				if failed {
					s.server.config.Counter.Error(string(StageObserve))
				}
			}()
			o.Observe(v)
			failed = false
		}()
	}
}
