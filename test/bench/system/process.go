// Package system runs the milters that the bench compares, each with private
// files and on loopback, and measures what their processes use.
package system

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopTime is how long a process may take to end after SIGTERM.
const stopTime = 20 * time.Second

// process is a program that runs until it is stopped, with its children.
type process struct {
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{}
	exit  error // valid once ended is closed
}

// start runs a command, and writes its output to a file named after it in dir.
func start(dir, name string, args ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, filepath.Base(name)+".log"))
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(name, args...), log: log, ended: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// If the bench is killed, nothing stays behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return nil, err
	}
	go func() {
		p.exit = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process, by force if it does not end by itself.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(stopTime):
		for _, pid := range p.tree() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		<-p.ended
	}
	p.log.Close()
}

// output returns the last part of what the process wrote.
func (p *process) output() string {
	text, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// tree returns the process and all its descendants.
func (p *process) tree() []int {
	all := []int{p.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", all[i]))
		for _, path := range tasks {
			list, err := os.ReadFile(path)
			if err != nil {
				continue // the thread has ended
			}
			for _, word := range strings.Fields(string(list)) {
				if pid, err := strconv.Atoi(word); err == nil {
					all = append(all, pid)
				}
			}
		}
	}
	return all
}

// cpu returns the CPU time that the process and its descendants have used, to
// the nanosecond.
func (p *process) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range p.tree() {
		// The clock of another process (clock_getcpuclockid(3)).
		const scheduled = 2
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|scheduled), &ts); err != nil {
			if errors.Is(err, unix.EINVAL) && pid != p.cmd.Process.Pid {
				continue // it has ended
			}
			return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// resetPeak begins a new measurement of the peak of resident memory.
func (p *process) resetPeak() error {
	for _, pid := range p.tree() {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
			return err
		}
	}
	return nil
}

// memory returns, in octets, a line of /proc/PID/status, such as VmHWM, the
// peak of resident memory. It is the sum over the process and its descendants.
func (p *process) memory(line string) (int64, error) {
	var sum int64
	for _, pid := range p.tree() {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		_, rest, found := bytes.Cut(status, []byte("\n"+line+":"))
		words := strings.Fields(string(rest[:min(len(rest), 64)]))
		if !found || len(words) == 0 {
			return 0, fmt.Errorf("process %d has no %s", pid, line)
		}
		kib, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += kib << 10
	}
	return sum, nil
}
