package system

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// readyTime is how long a milter may take to start.
const readyTime = 30 * time.Second

// Env is what the systems share.
type Env struct {
	// Dir is an empty directory, in which each system gets its own.
	Dir string
	// DNS is the resolver as IP:port. DNS53 is the same resolver at port 53,
	// without the port; "" if there is none.
	DNS, DNS53 string
	// Binary is authmilter; Self is the bench.
	Binary, Self string
	// TCP asks for TCP sockets instead of unix sockets.
	TCP bool
}

// System is one milter, or several that a message passes one after another.
type System struct {
	// Name is what the table calls it.
	Name string
	// Parts are the milters in the order of Postfix's smtpd_milters.
	Parts []Part
	// Missing says what keeps the system from being measured; "" if nothing
	// does.
	Missing string
}

// Part is one milter.
type Part struct {
	Name string
	// Setup writes the part's files and returns its command line. address is
	// where it must listen.
	Setup func(e *Env, dir, address string) (command []string, err error)
}

// Running is a System that has been started.
type Running struct {
	// Milters are the addresses, in Postfix's notation.
	Milters []string
	parts   []*process
}

// Start starts all parts and waits until they answer.
func (s *System) Start(e *Env) (*Running, error) {
	r := &Running{}
	for _, part := range s.Parts {
		if err := r.start(e, part); err != nil {
			r.Stop()
			return nil, fmt.Errorf("%s: %w", part.Name, err)
		}
	}
	return r, nil
}

func (r *Running) start(e *Env, part Part) error {
	dir, err := os.MkdirTemp(e.Dir, part.Name)
	if err != nil {
		return err
	}
	// Some drop root and must still reach their socket.
	if err := os.Chmod(dir, 0o777); err != nil {
		return err
	}
	address := "unix:" + filepath.Join(dir, "s")
	if e.TCP {
		port, err := freePort()
		if err != nil {
			return err
		}
		address = fmt.Sprintf("inet:127.0.0.1:%d", port)
	}
	command, err := part.Setup(e, dir, address)
	if err != nil {
		return err
	}
	p, err := start(dir, command[0], command[1:]...)
	if err != nil {
		return err
	}
	r.parts = append(r.parts, p)
	r.Milters = append(r.Milters, address)
	return p.waitFor(address)
}

// waitFor returns when the milter accepts connections.
func (p *process) waitFor(address string) error {
	network, addr, _ := strings.Cut(address, ":")
	if network == "inet" {
		network = "tcp"
	}
	deadline := time.After(readyTime)
	for {
		c, err := net.Dial(network, addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-p.ended:
			return fmt.Errorf("ended while starting: %w\n%s", errors.Join(p.exit), p.output())
		case <-deadline:
			return fmt.Errorf("not ready after %v: %w\n%s", readyTime, err, p.output())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Stop ends all parts.
func (r *Running) Stop() {
	for _, p := range r.parts {
		p.stop()
	}
}

// CPU returns the CPU time used so far.
func (r *Running) CPU() (time.Duration, error) {
	var sum time.Duration
	for _, p := range r.parts {
		d, err := p.cpu()
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// ResetPeak begins a new measurement of [Running.Peak].
func (r *Running) ResetPeak() error {
	for _, p := range r.parts {
		if err := p.resetPeak(); err != nil {
			return err
		}
	}
	return nil
}

// Peak returns the peak of resident memory in octets, summed over all
// processes.
func (r *Running) Peak() (int64, error) { return r.memory("VmHWM") }

// Resident returns the resident memory in octets.
func (r *Running) Resident() (int64, error) { return r.memory("VmRSS") }

func (r *Running) memory(line string) (int64, error) {
	var sum int64
	for _, p := range r.parts {
		n, err := p.memory(line)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}
