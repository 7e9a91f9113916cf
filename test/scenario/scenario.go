// Package scenario reads whole-system tests from files. Each describes a message,
// its sender, the contents of the DNS, and what authmilter must do with the
// message behind every MTA.
//
// A scenario is a txtar archive. Its comment says what it shows; its files are:
//
//	envelope  "key value" lines: client (address, and verified name if any),
//	          helo, login, from, args (parameters of MAIL), and pad (octets of
//	          body to add to the message)
//	zone      the contents of the DNS, in the format of package dnstest;
//	          {rsa2048}, {rsa1024} and {ed25519} stand for the records of the
//	          test keys
//	config    TOML for authmilter, with dotted keys
//	message   the message, before it is signed
//	sign      one line per signature, such as
//	          "rsa2048 d=example.com s=s1 c=relaxed/relaxed h=from:subject", or
//	          per ARC Set, such as "arc rsa2048 d=example.net s=s1 mx.example.net;
//	          dmarc=pass header.from=example.com"; each one is added above the
//	          previous ones
//	alter     "old => new" lines: changes to the signed message in transit
//	fate      expected: the reply that refuses the message, or "hold"; if the
//	          file is missing, the message is passed on
//	added     expected: the header fields added on top of the message
//	removed   expected: the header fields removed from the message
//
// Two more describe what Sendmail does by itself:
//
//	refused.sendmail  the reply by which Sendmail refuses the message before a
//	                  milter sees it
//	changed.sendmail  header fields that Sendmail changes, as it passes them on:
//	                  it refolds addresses
//
// Lines end with LF in these files, and with CRLF in the message. The expected
// files are the same for every MTA. [Scenario.Check] rewrites them on request.
package scenario

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"authmilter/test/mta"
)

// Scenario is one whole-system test.
type Scenario struct {
	// Name is the name of the file without its extension.
	Name    string
	Client  mta.Client
	Message mta.Message
	// Zone is the contents of the DNS, in the format of package dnstest.
	Zone string
	// Config is TOML for the milter under test.
	Config string

	path    string
	archive *txtar.Archive
	pad     int
}

// Load reads every scenario in dir, and signs the messages with the keys in
// keyDir.
func Load(t *testing.T, dir, keyDir string) []*Scenario {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenarios in %s", dir)
	}
	keys := loadKeys(t, keyDir)
	var all []*Scenario
	for _, path := range paths {
		s, err := read(path)
		if err == nil {
			err = s.finish(t, keys, keyDir)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all = append(all, s)
	}
	return all
}

// read reads a scenario. It does not sign the message.
func read(path string) (*Scenario, error) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	s := &Scenario{
		Name:    strings.TrimSuffix(filepath.Base(path), ".txtar"),
		Message: mta.Message{To: "reader@" + mta.Domain},
		path:    path,
		archive: a,
	}
	for _, f := range a.Files {
		switch f.Name {
		case "envelope":
			if err := s.envelope(f.Data); err != nil {
				return nil, err
			}
		case "zone":
			s.Zone = string(f.Data)
		case "config":
			s.Config = string(f.Data)
		case "message":
			s.Message.Data = crlf(f.Data)
		case "sign", "alter", "fate", "added", "removed", "refused.sendmail", "changed.sendmail":
		default:
			return nil, fmt.Errorf("unknown file %q", f.Name)
		}
	}
	if !s.Client.Addr.IsValid() || s.Client.Helo == "" {
		return nil, fmt.Errorf("the envelope needs client and helo")
	}
	return s, nil
}

func (s *Scenario) envelope(text []byte) error {
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		var err error
		switch key {
		case "client":
			addr, name, _ := strings.Cut(value, " ")
			s.Client.Name = name
			s.Client.Addr, err = netip.ParseAddr(addr)
		case "helo":
			s.Client.Helo = value
		case "login":
			s.Client.Login = value
		case "from":
			s.Message.From = value
		case "args":
			s.Message.Args = value
		case "pad":
			s.pad, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return fmt.Errorf("envelope: %w", err)
		}
	}
	return nil
}

// finish pads, signs and alters the message, and completes the zone.
func (s *Scenario) finish(t *testing.T, keys keyring, keyDir string) error {
	s.Zone = keys.fillIn(s.Zone)
	for n := 0; n < s.pad; n += 80 {
		s.Message.Data = fmt.Appendf(s.Message.Data, "%078d\r\n", n)
	}
	for line := range strings.Lines(s.file("sign")) {
		var err error
		words := strings.Fields(line)
		if len(words) > 0 && words[0] == "arc" {
			s.Message.Data, err = s.seal(t, keyDir, s.Message.Data, words[1:])
		} else {
			s.Message.Data, err = keys.sign(t, s.Message.Data, words)
		}
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
	}
	for line := range strings.Lines(s.file("alter")) {
		old, altered, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " => ")
		if !ok || bytes.Count(s.Message.Data, []byte(old)) != 1 {
			return fmt.Errorf("alter: %q does not occur exactly once in the message", old)
		}
		s.Message.Data = bytes.Replace(s.Message.Data, []byte(old), []byte(altered), 1)
	}
	return nil
}

func (s *Scenario) file(name string) string {
	for _, f := range s.archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func crlf(text []byte) []byte { return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")) }

// Check compares the delivery of the message, octet by octet, with what the
// scenario expects. If update is set, it writes the actual results to the
// scenario's file instead, but still checks that nothing else changed in transit.
func (s *Scenario) Check(t testing.TB, d mta.Delivery, update bool) {
	t.Helper()
	if want := s.file("refused." + d.MTA); want != "" {
		if d.Reply+"\n" != want {
			t.Errorf("reply %q, want %q", d.Reply, want)
		}
		return
	}
	fate := ""
	switch {
	case d.Held:
		fate = "hold\n"
	case d.Code != 250:
		fate = d.Reply + "\n"
	}
	if update {
		s.set("fate", []byte(fate))
	} else if want := s.file("fate"); fate != want {
		t.Errorf("fate %q, want %q", fate, want)
	}
	if fate != "" {
		s.write(t, update)
		return
	}
	head, body, _ := bytes.Cut(s.Message.Data, []byte("\r\n\r\n"))
	sent := fields(append(head, "\r\n"...))
	for _, f := range fields(crlf([]byte(s.file("changed." + d.MTA)))) {
		i := slices.IndexFunc(sent, func(g string) bool { return strings.EqualFold(name(f), name(g)) })
		if i < 0 || sent[i] == f {
			t.Fatalf("no field of the message that %s could have changed to %q", d.MTA, f)
		}
		sent[i] = f
	}
	if !bytes.Equal(d.Body, body) {
		t.Errorf("the body changed in transit: got %.200q, sent %.200q", d.Body, body)
	}
	removed, changed := difference(sent, fields(d.Header))
	if changed != "" {
		t.Errorf("received a field that was not sent: %q", changed)
	}
	for _, part := range []struct {
		name string
		got  []byte
	}{{"added", d.Top}, {"removed", []byte(strings.Join(removed, ""))}} {
		if update {
			s.set(part.name, part.got)
		} else if want := crlf([]byte(s.file(part.name))); !bytes.Equal(part.got, want) {
			t.Errorf("%s:\n%s\nwant:\n%s\nor, quoted:\n%q\nwant:\n%q", part.name, part.got, want, part.got, want)
		}
	}
	s.write(t, update)
}

// write writes the scenario's file if update is set.
func (s *Scenario) write(t testing.TB, update bool) {
	t.Helper()
	if !update {
		return
	}
	if err := os.WriteFile(s.path, txtar.Format(s.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// set adds or replaces a file of the archive, or removes it if data is empty. The
// lines of data end with CRLF.
func (s *Scenario) set(name string, data []byte) {
	file := txtar.File{Name: name, Data: bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))}
	i := slices.IndexFunc(s.archive.Files, func(f txtar.File) bool { return f.Name == name })
	switch {
	case i < 0 && len(data) > 0:
		s.archive.Files = append(s.archive.Files, file)
	case i >= 0 && len(data) > 0:
		s.archive.Files[i] = file
	case i >= 0:
		s.archive.Files = slices.Delete(s.archive.Files, i, i+1)
	}
}

// fields splits a header into its fields, including folded lines and line ends.
func fields(header []byte) []string {
	var all []string
	for line := range bytes.Lines(header) {
		if len(all) > 0 && (line[0] == ' ' || line[0] == '\t') {
			all[len(all)-1] += string(line)
		} else if string(line) != "\r\n" {
			all = append(all, string(line))
		}
	}
	return all
}

func name(field string) string {
	before, _, _ := strings.Cut(field, ":")
	return before
}

// difference returns the fields of sent that are missing in got, and the first
// field of got that was not sent or is out of order.
func difference(sent, got []string) (removed []string, changed string) {
	for _, f := range sent {
		if len(got) > 0 && got[0] == f {
			got = got[1:]
		} else {
			removed = append(removed, f)
		}
	}
	if len(got) > 0 {
		return removed, got[0]
	}
	return removed, ""
}
