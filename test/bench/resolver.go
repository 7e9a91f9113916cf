package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// address53 is where the resolver listens for programs that can only use port
// 53.
const address53 = "127.0.0.153"

// resolver is the process that answers all DNS queries.
type resolver struct {
	address string // host:port
	port53  bool
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	dir     string
}

// startResolver starts the resolver, also at port 53 if that is allowed.
func startResolver(self, dir string) (*resolver, error) {
	if os.Getuid() == 0 {
		if r, err := runResolver(self, dir, "127.0.0.1:0", address53+":53"); err == nil {
			r.port53 = true
			return r, nil
		}
	}
	return runResolver(self, dir, "127.0.0.1:0")
}

func runResolver(self, dir string, addresses ...string) (*resolver, error) {
	r := &resolver{cmd: exec.Command(self, append([]string{"child", "dns"}, addresses...)...), dir: dir}
	r.cmd.Stderr = os.Stderr
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	r.out = bufio.NewScanner(out)
	if !r.out.Scan() {
		_ = r.cmd.Wait() // its standard error says why
		return nil, fmt.Errorf("the resolver does not start at %q", addresses)
	}
	r.address = r.out.Text()
	return r, nil
}

// serve makes the resolver answer from a zone, delaying each answer.
func (r *resolver) serve(zone string, delay time.Duration) error {
	path := filepath.Join(r.dir, "zone")
	if err := os.WriteFile(path, []byte(zone), 0o600); err != nil {
		return err
	}
	for _, command := range []string{"zone " + path, "delay " + delay.String()} {
		if _, err := fmt.Fprintln(r.in, command); err != nil {
			return err
		}
		if !r.out.Scan() || r.out.Text() != "ok" {
			return fmt.Errorf("the resolver answered %q to %q", r.out.Text(), command)
		}
	}
	return nil
}

func (r *resolver) stop() {
	r.in.Close()
	_ = r.cmd.Wait()
}
