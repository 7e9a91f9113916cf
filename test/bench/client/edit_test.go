package client

import (
	"slices"
	"testing"

	"authmilter/verify/message"
)

// TestEdits checks that edits do to a header what Postfix does.
func TestEdits(t *testing.T) {
	header := message.Header{{Name: "A", Raw: " 1"}, {Name: "B", Raw: " 2"}, {Name: "a", Raw: " 3"}}
	tests := []struct {
		name    string
		command byte
		payload string
		want    []string
	}{
		{"insert on top", 'i', "\x00\x00\x00\x00N\x00 x\x00", []string{"N: x", "A: 1", "B: 2", "a: 3"}},
		{"insert without a space", 'i', "\x00\x00\x00\x01N\x00x\x00", []string{"A: 1", "N: x", "B: 2", "a: 3"}},
		{"insert beyond the end", 'i', "\x00\x00\x00\x09N\x00x\x00", []string{"A: 1", "B: 2", "a: 3", "N: x"}},
		{"append", 'h', "N\x00x\x00", []string{"A: 1", "B: 2", "a: 3", "N: x"}},
		{"change the second one", 'm', "\x00\x00\x00\x02A\x00x\x00", []string{"A: 1", "B: 2", "A: x"}},
		{"remove the first one", 'm', "\x00\x00\x00\x01A\x00\x00", []string{"B: 2", "a: 3"}},
		{"remove a missing one", 'm', "\x00\x00\x00\x03A\x00\x00", []string{"A: 1", "B: 2", "a: 3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e, err := parseEdit(test.command, []byte(test.payload))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range apply(header, []edit{e}) {
				got = append(got, f.Name+":"+f.Raw)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	if _, err := parseEdit('i', []byte("\x00")); err == nil {
		t.Error("a truncated change was accepted")
	}
}

func TestFieldsAsPostfixSendsThem(t *testing.T) {
	f := message.Field{Name: "Subject", Raw: " one\r\n\ttwo"}
	if got, want := string(appendField(nil, f, true)), "Subject\x00 one\n\ttwo\x00"; got != want {
		t.Errorf("with its space: %q, want %q", got, want)
	}
	if got, want := string(appendField(nil, f, false)), "Subject\x00one\n\ttwo\x00"; got != want {
		t.Errorf("without: %q, want %q", got, want)
	}
}
