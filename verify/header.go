package verify

import (
	"fmt"

	"authmilter/verify/message"
)

// header collects the header of a message as it arrives. A header past the bounds
// cannot be verified. But From still decides whose policy applies, and List-Id may
// decide which rules apply. So the fields of both names are kept, each within the
// same bounds: otherwise a sender could escape any policy with a few thousand short
// fields.
type header struct {
	fields part
	// err is ErrHeaderTooLarge once from and lists have replaced fields.
	err         error
	from, lists part
}

// part is a part of a header.
type part struct {
	message.Header
	bytes int
	// lost is set if a field was dropped because of the bounds.
	lost bool
}

func (h *header) add(f message.Field, o *Options) {
	if h.err != nil {
		h.sort(f, o)
		return
	}
	if h.fields.keep(f, o); !h.fields.lost {
		return
	}
	h.err = ErrHeaderTooLarge
	for _, kept := range h.fields.Header {
		h.sort(kept, o)
	}
	h.sort(f, o)
	h.fields = part{}
}

// sort keeps f if it still matters.
func (h *header) sort(f message.Field, o *Options) {
	switch {
	case f.IsFrom():
		h.from.keep(f, o)
	case f.Is("list-id"):
		h.lists.keep(f, o)
	}
}

// keep keeps f if it is within the bounds.
func (p *part) keep(f message.Field, o *Options) {
	const separators = len(":\r\n")
	size := len(f.Name) + len(f.Raw) + separators
	if size > o.MaxHeaderBytes-p.bytes || len(p.Header) == o.MaxHeaderFields {
		p.lost = true
		return
	}
	p.Header = append(p.Header, f)
	p.bytes += size
}

// author returns the author that the From fields name.
func (h *header) author() message.Author {
	if h.err == nil {
		return h.fields.Author()
	}
	a := h.from.Author()
	if !h.from.lost {
		return a
	}
	a.Bracketed, a.Unaddressed = "", false
	if a.Err == nil {
		a.Err = message.ErrAuthorBounds
	} else {
		a.Err = fmt.Errorf("%w, %w", a.Err, message.ErrAuthorBounds)
	}
	return a
}

// listID returns the list that the List-Id fields name.
func (h *header) listID() message.ListID {
	if h.err == nil {
		return h.fields.ListID()
	}
	l := h.lists.ListID()
	if h.lists.lost {
		l.Err = message.ErrListIDBounds
	}
	return l
}
