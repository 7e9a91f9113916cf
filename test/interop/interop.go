// Package interop asks other implementations of DKIM and ARC about messages:
// dkimpy, in Python, and Mail::DKIM, in Perl.
package interop

import (
	"bufio"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"io"
	"os/exec"
	"testing"

	"authmilter/test/need"
)

var (
	//go:embed dkimpy.py
	dkimpy string
	//go:embed maildkim.pl
	mailDKIM string
)

// Tool is a process that answers one question after another, until the end of
// the test. It is not safe for concurrent use.
type Tool struct {
	// Name is what people call the tool.
	Name string

	t   testing.TB
	in  io.WriteCloser
	out *bufio.Reader
}

// Verdict is what a tool says about a signature or a chain.
type Verdict struct {
	// Result is "none", "pass", "fail" or another word that the tool uses.
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// Key is a private key and where it is published.
type Key struct {
	Domain   string `json:"domain"`
	Selector string `json:"selector"`
	// PEM is the key, and Algorithm the a= tag of its signatures.
	PEM       string `json:"key"`
	Algorithm string `json:"algorithm"`
}

// Tools starts every tool. They use the DNS server at dns, given as host:port.
// If a tool is not installed, Tools fails or skips the test: see [mta.Require].
func Tools(t testing.TB, dns string) []*Tool {
	t.Helper()
	return []*Tool{
		// The interpreter that Debian's packages are built for.
		start(t, "dkimpy", "/usr/bin/python3", "-c", dkimpy, dns),
		start(t, "Mail::DKIM", "/usr/bin/perl", "-e", mailDKIM, dns),
	}
}

func start(t testing.TB, name, program string, args ...string) *Tool {
	t.Helper()
	cmd := exec.Command(program, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		need.Found(t, err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	tool := &Tool{Name: name, t: t, in: in, out: bufio.NewReader(out)}
	if _, err := tool.call(request{Verb: "verify_arc", Message: []byte("From: a@example.com\r\n\r\n")}); err != nil {
		need.Found(t, err)
	}
	return tool
}

// request is written to a tool.
type request struct {
	Verb       string `json:"verb"`
	Message    []byte `json:"message"`
	AuthservID string `json:"authserv_id,omitempty"`
	Key
}

// answer is what a tool writes.
type answer struct {
	Verdicts []Verdict `json:"verdicts"`
	Message  string    `json:"message"`
	Error    string    `json:"error"`
}

func (o *Tool) call(r request) (a answer, err error) {
	line, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	if _, err := o.in.Write(append(line, '\n')); err != nil {
		return a, err
	}
	text, err := o.out.ReadBytes('\n')
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(text, &a)
}

func (o *Tool) ask(r request) answer {
	o.t.Helper()
	a, err := o.call(r)
	if err != nil {
		o.t.Fatalf("%s: %v", o.Name, err)
	}
	return a
}

// VerifyARC returns what the tool says about the chain of a message.
func (o *Tool) VerifyARC(message []byte) Verdict {
	o.t.Helper()
	v := o.verdicts(request{Verb: "verify_arc", Message: message})
	return v[0]
}

// VerifyDKIM returns what the tool says about each signature of a message, top
// first.
func (o *Tool) VerifyDKIM(message []byte) []Verdict {
	o.t.Helper()
	return o.verdicts(request{Verb: "verify_dkim", Message: message})
}

func (o *Tool) verdicts(r request) []Verdict {
	o.t.Helper()
	a := o.ask(r)
	if a.Error != "" {
		// A message that the tool cannot handle is not one that it verifies.
		return []Verdict{{Result: "error", Detail: a.Error}}
	}
	return a.Verdicts
}

// SignDKIM returns a message with the tool's signature on top of it.
func (o *Tool) SignDKIM(message []byte, k Key) []byte {
	o.t.Helper()
	return o.made(request{Verb: "sign_dkim", Message: message, Key: k})
}

// SealARC returns a message with the tool's ARC Set on top of it, made from the
// Authentication-Results field with the given authserv-id.
func (o *Tool) SealARC(message []byte, authservID string, k Key) []byte {
	o.t.Helper()
	return o.made(request{Verb: "seal_arc", Message: message, AuthservID: authservID, Key: k})
}

func (o *Tool) made(r request) []byte {
	o.t.Helper()
	a := o.ask(r)
	if a.Error != "" {
		o.t.Fatalf("%s: %s", o.Name, a.Error)
	}
	message, err := base64.StdEncoding.DecodeString(a.Message)
	if err != nil {
		o.t.Fatalf("%s: %v", o.Name, err)
	}
	return message
}
