package client

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"authmilter/verify/message"
)

// edit is a change to the header that a milter asks for.
type edit struct {
	command byte // 'i' insert, 'h' append, 'm' change
	index   int
	name    string
	value   string
}

func parseEdit(command byte, payload []byte) (edit, error) {
	e := edit{command: command}
	if command != 'h' {
		if len(payload) < 4 {
			return e, fmt.Errorf("change %q of %d octets", command, len(payload))
		}
		e.index = int(binary.BigEndian.Uint32(payload))
		payload = payload[4:]
	}
	parts := strings.Split(string(payload), "\x00")
	if len(parts) != 3 {
		return e, fmt.Errorf("change %q of %d strings", command, len(parts)-1)
	}
	e.name, e.value = parts[0], parts[1]
	return e, nil
}

// apply returns the header with the edits carried out.
func apply(h message.Header, edits []edit) message.Header {
	if len(edits) == 0 {
		return h
	}
	h = slices.Clone(h)
	for _, e := range edits {
		field := message.NewField(e.name, " "+strings.TrimPrefix(e.value, " "))
		switch e.command {
		case 'i':
			h = slices.Insert(h, min(e.index, len(h)), field)
		case 'h':
			h = append(h, field)
		case 'm':
			h = change(h, e, field)
		}
	}
	return h
}

// change replaces the field with e's name and number, or removes it if the new
// one is empty.
func change(h message.Header, e edit, field message.Field) message.Header {
	n := 0
	for i := range h {
		if !strings.EqualFold(h[i].Name, e.name) {
			continue
		}
		if n++; n != e.index {
			continue
		}
		if e.value == "" {
			return slices.Delete(h, i, i+1)
		}
		h[i] = field
		break
	}
	return h
}
