// Package browser drives a headless Chromium through its DevTools protocol, to
// test pages that people look at.
package browser

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"authmilter/test/output"
)

// patience is how long an answer of the browser may take.
const patience = 2 * time.Minute

// Find returns an error if no browser is installed.
func Find() error {
	_, err := exec.LookPath(program)
	return err
}

const program = "chromium"

// Browser is a running browser, with one page.
type Browser struct {
	t        testing.TB
	commands *os.File
	log      output.Buffer
	session  string

	mu      sync.Mutex
	last    int
	waiting map[int]chan reply
	events  []Event
	changed chan struct{} // closed at the next event
	ended   error
}

// Event is what the browser reports without being asked.
type Event struct {
	Method string
	Params json.RawMessage
}

type reply struct {
	result json.RawMessage
	err    error
}

// packet is a protocol message, in either direction.
type packet struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"-"`
}

// Start runs a browser until the end of the test. The browser can reach only
// this host.
func Start(t testing.TB) *Browser {
	t.Helper()
	in, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, commands: commands, waiting: map[int]chan reply{}, changed: make(chan struct{})}
	home := t.TempDir()
	cmd := exec.Command(program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-component-update",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--hide-scrollbars", "--lang=en",
		"--user-data-dir="+home, "--remote-debugging-pipe")
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home, "TZ=UTC")
	// --remote-debugging-pipe uses descriptors 3 and 4.
	cmd.ExtraFiles = []*os.File{in, out}
	cmd.Stdout, cmd.Stderr = &b.log, &b.log
	// The browser's processes end together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	out.Close()
	var reading sync.WaitGroup
	reading.Go(func() { b.read(answers) })
	t.Cleanup(func() {
		commands.Close() // ends the browser
		timer := time.AfterFunc(5*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer timer.Stop()
		_ = cmd.Wait() // how it ends does not concern the test
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		answers.Close()
		reading.Wait()
		if t.Failed() {
			t.Logf("the browser's log:\n%s", b.log.String())
		}
	})
	b.open()
	return b
}

// open opens the page.
func (b *Browser) open() {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
}

// read reads what the browser writes: packets that end with a NUL.
func (b *Browser) read(answers *os.File) {
	var buf []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := answers.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for {
			text, rest, whole := bytes.Cut(buf, []byte{0})
			if !whole {
				break
			}
			buf = rest
			b.take(text)
		}
		if err != nil {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.ended = fmt.Errorf("the browser has ended: %w", err)
			for id, c := range b.waiting {
				delete(b.waiting, id)
				c <- reply{err: b.ended}
			}
			close(b.changed)
			b.changed = make(chan struct{})
			return
		}
	}
}

func (b *Browser) take(text []byte) {
	var p struct {
		ID     int
		Method string
		Params json.RawMessage
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if p.ID == 0 {
		b.events = append(b.events, Event{p.Method, p.Params})
		close(b.changed)
		b.changed = make(chan struct{})
		return
	}
	c := b.waiting[p.ID]
	delete(b.waiting, p.ID)
	if c == nil {
		return
	}
	r := reply{result: p.Result}
	if p.Error != nil {
		r.err = fmt.Errorf("%s", p.Error.Message)
	}
	c <- r
}

// call makes the browser do something, and decodes its answer into result,
// which may be nil.
func (b *Browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.mu.Lock()
	b.last++
	p := packet{ID: b.last, Session: b.session, Method: method}
	if params != nil {
		p.Params = params
	}
	c := make(chan reply, 1)
	b.waiting[p.ID] = c
	ended := b.ended
	b.mu.Unlock()
	if ended != nil {
		b.t.Fatalf("%s: %v", method, ended)
	}
	text, err := json.Marshal(p)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.commands.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case r := <-c:
		if r.err != nil {
			b.t.Fatalf("%s: %v", method, r.err)
		}
		if result == nil {
			return
		}
		if err := json.Unmarshal(r.result, result); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
	case <-time.After(patience):
		b.t.Fatalf("%s: no answer after %v", method, patience)
	}
}
