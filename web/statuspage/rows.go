package statuspage

import (
	"fmt"
	"net/netip"
	"strings"
)

// maxTalkers is how many author domains the page shows at most.
const maxTalkers = 25

// talkersView shows the author domains that fail DMARC.
type talkersView struct {
	Since string
	Rows  []talkerRow
	More  string // how many more are known; "" if none
}

type talkerRow struct {
	Domain, Policy, Class string
	Failed                string
	Last                  moment
	Sources               []labelled
}

func (f *facts) talkersView() talkersView {
	all := talkers(f.talkers.slots)
	since := f.talkers.begin
	if since.Before(f.since) {
		since = f.since
	}
	v := talkersView{Since: clockOf(since, f.now).Text}
	if n := len(all) - maxTalkers; n > 0 {
		v.More = grouped(uint64(n))
		all = all[:maxTalkers]
	}
	for i := range all {
		t := &all[i]
		row := talkerRow{
			Domain: shown(t.domain, maxDomain),
			Policy: absent,
			Class:  string(toneFlat),
			Failed: between(t.least, t.most),
			Last:   clockOf(t.last, f.now),
		}
		if int(t.policy) < len(policyNames) {
			row.Policy = policyNames.name(t.policy)
			row.Class = string(toneOf(row.Policy))
		}
		for _, s := range t.sources {
			row.Sources = append(row.Sources, labelled{s.addr.String(), between(s.least, s.most)})
		}
		v.Rows = append(v.Rows, row)
	}
	return v
}

// messageRow is one of the last messages.
type messageRow struct {
	At                       moment
	QueueID                  string
	Client, ClientName, Helo string
	Author, AuthorNote       string
	MailFrom                 string
	Verified                 bool
	// Skipped says why there are no results, or only those of DKIM. Helo and the name found by iprev are
	// left out if they equal ClientName.
	Skipped                      string
	DKIM, SPF, DMARC, ARC, IPRev []cell
	Disposition, Class           string
	Notes                        []string
	Took, Wait                   string
}

// cell is one result.
type cell struct {
	Class, Label, Result string
	About                string // domain and selector
	Reason               string
}

func (f *facts) messages() []messageRow {
	rows := make([]messageRow, 0, len(f.last))
	for i := range f.last {
		r := &f.last[i]
		row := messageRow{
			At:         clockOf(r.at, f.now),
			QueueID:    r.shown(r.queueID),
			Client:     addressText(r.client),
			ClientName: r.shown(r.clientName),
			Helo:       r.shown(r.helo),
			MailFrom:   r.shown(r.mailFrom),
			Verified:   r.noted,
			Took:       duration(r.took),
			Wait:       duration(r.wait),
		}
		if strings.EqualFold(row.Helo, row.ClientName) {
			row.Helo = ""
		}
		if r.noted {
			r.results(&row)
		} else {
			row.Skipped, row.DKIM = skips.name(r.skip), r.dkimCells()
			row.Notes = append(row.Notes, r.ownNotes()...)
		}
		if r.noted || row.Skipped == "override" || r.decision.replyCode != 0 {
			r.decisionNotes(&row)
		}
		if r.forged > 0 {
			row.Notes = append(row.Notes, fmt.Sprintf("forged fields removed: %d", r.forged))
		}
		if r.harmless > 0 {
			row.Notes = append(row.Notes, fmt.Sprintf("harmless fields removed: %d", r.harmless))
		}
		rows = append(rows, row)
	}
	return rows
}

// shown returns a text of r, cleaned for the page.
func (r *record) shown(s span) string { return shown(r.get(s), maxText) }

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// results fills in the results of a verified message.
func (r *record) results(row *messageRow) {
	row.Author = r.shown(r.author)
	row.AuthorNote = r.shown(r.authorErr)
	if r.authors > 1 {
		row.Author += fmt.Sprintf(" and %d more", r.authors-1)
	}
	row.DKIM = r.dkimCells()
	row.SPF = append(row.SPF, r.cell(methodSPF, &r.spf))
	if r.heloSPF.used {
		c := r.cell(methodSPF, &r.heloSPF)
		c.Label = "helo"
		row.SPF = append(row.SPF, c)
	}
	row.DMARC = append(row.DMARC, r.cell(methodDMARC, &r.dmarc))
	if r.arc.used {
		row.ARC = append(row.ARC, r.cell(methodARC, &r.arc))
	}
	if r.iprev.used {
		c := r.cell(methodIPRev, &r.iprev)
		c.Label = "iprev"
		if strings.EqualFold(c.About, row.ClientName) {
			c.About = ""
		}
		row.IPRev = append(row.IPRev, c)
	}
	if r.sealed {
		row.Notes = append(row.Notes, "sealed")
	} else if r.unsealed != (span{}) {
		row.Notes = append(row.Notes, "not sealed: "+r.shown(r.unsealed))
	}
}

// dkimCells returns the results of the signatures, none if they were not verified.
func (r *record) dkimCells() (cells []cell) {
	for i := range r.dkim {
		if r.dkim[i].used {
			cells = append(cells, r.cell(methodDKIM, &r.dkim[i]))
		}
	}
	if n := r.signed - maxSignatures; n > 0 {
		cells = append(cells, cell{Class: string(toneFlat), Reason: fmt.Sprintf("and %d more signatures", n)})
	}
	return cells
}

func (r *record) cell(m int, of *method) cell {
	status := methods[m].statuses.name(of.status)
	c := cell{Class: string(toneOf(status)), Result: status, Reason: r.shown(of.text)}
	c.About = strings.TrimSpace(r.shown(of.domain) + " " + r.shown(of.selector))
	if c.Reason == "" {
		c.Reason = spaced(methods[m].reasons.name(of.reason))
	}
	return c
}

// ownNotes says whether we signed a message of our own users.
func (r *record) ownNotes() []string {
	switch {
	case r.unsigned != span{}:
		return []string{"unsigned: " + r.shown(r.unsigned)}
	case r.ours:
		return []string{strings.TrimSpace("signed " + r.shown(r.signing))}
	}
	return nil
}

// decisionNotes fills in what was done with the message and why.
func (r *record) decisionNotes(row *messageRow) {
	d := &r.decision
	row.Disposition = dispositions.name(d.disposition)
	row.Class = string(toneOf(row.Disposition))
	add := func(parts ...string) {
		row.Notes = append(row.Notes, strings.TrimSpace(strings.Join(parts, "")))
	}
	if d.intended != d.disposition {
		add("would be ", dispositions.name(d.intended))
	}
	if d.hasReason {
		add("because of ", spaced(reasons.name(d.reason)))
	}
	if d.overridden {
		text := spaced(overrides.name(d.override))
		if detail := r.shown(d.detail); detail != "" {
			text += ": " + detail
		}
		add(text)
	}
	if text := r.shown(d.replyText); text != "" {
		add(fmt.Sprintf("%d %s %s", d.replyCode, r.shown(d.replyStatus), text))
	}
}
