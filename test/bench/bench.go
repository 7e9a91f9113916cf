package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"authmilter/test/bench/corpus"
	"authmilter/test/bench/system"
)

// options are the command-line options.
type options struct {
	systems  string
	rounds   int
	messages int
	sessions int
	seed     uint64
	arc      float64
	tcp      bool
	delay    time.Duration
	markdown bool
	wrong    bool
	binary   string
	against  string
}

// rig is what all runs share.
type rig struct {
	options
	env      *system.Env
	resolver *resolver
}

// run is one of the measurements.
type run struct {
	name string
	do   func(*rig) (*table, error)
}

var runs = []run{
	{"warm", (*rig).warm},
	{"cold", (*rig).cold},
	{"slow", (*rig).slow},
	{"large", (*rig).large},
	{"connections", (*rig).connections},
	{"growth", (*rig).growth},
}

func runNames() []string {
	var names []string
	for _, r := range runs {
		names = append(names, r.name)
	}
	return names
}

// bench performs the named runs and prints a table for each.
func bench(o options, names []string) error {
	for _, name := range names {
		if !slices.Contains(runNames(), name) {
			return fmt.Errorf("no run named %q", name)
		}
	}
	r, err := newRig(o)
	if err != nil {
		return err
	}
	defer r.close()
	fmt.Printf("%s, %s, %d CPUs\n", time.Now().Format(time.DateOnly), cpuModel(), runtime.NumCPU())
	for _, run := range runs {
		if !slices.Contains(names, run.name) {
			continue
		}
		t, err := run.do(r)
		if err != nil {
			return fmt.Errorf("%s: %w", run.name, err)
		}
		fmt.Println()
		if o.markdown {
			fmt.Print(t.markdown())
		} else {
			fmt.Print(t.text())
		}
	}
	return nil
}

func newRig(o options) (*rig, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	r := &rig{options: o, env: &system.Env{Dir: dir, Self: self, Binary: o.binary, TCP: o.tcp}}
	// Peers that drop root reach their files through here.
	if err := os.Chmod(dir, 0o755); err != nil {
		r.close()
		return nil, err
	}
	if o.binary == "" {
		r.env.Binary = filepath.Join(dir, "authmilter")
		build := exec.Command("go", "build", "-trimpath", "-o", r.env.Binary, "authmilter/cmd/authmilter")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			r.close()
			return nil, fmt.Errorf("go build: %w\n%s", err, out)
		}
	}
	if r.resolver, err = startResolver(self, dir); err != nil {
		r.close()
		return nil, err
	}
	r.env.DNS = r.resolver.address
	if r.resolver.port53 {
		r.env.DNS53 = address53
	}
	return r, nil
}

func (r *rig) close() {
	if r.resolver != nil {
		r.resolver.stop()
	}
	_ = os.RemoveAll(r.env.Dir)
}

// chosen reports whether a system is to be measured.
func (r *rig) chosen(name string) bool {
	if r.systems == "" {
		return true
	}
	for part := range strings.SplitSeq(r.systems, ",") {
		if strings.Contains(strings.ToLower(name), strings.ToLower(part)) {
			return true
		}
	}
	return false
}

// available returns the systems that are to be measured and can be, and prints why
// each of the others cannot be.
func (r *rig) available(systems ...*system.System) []*system.System {
	var able []*system.System
	for _, s := range systems {
		switch {
		case !r.chosen(s.Name):
		case s.Missing != "":
			fmt.Fprintf(os.Stderr, "bench: without %s: %s\n", s.Name, s.Missing)
		default:
			able = append(able, s)
		}
	}
	return able
}

// ours returns authmilter, and the other build of it if there is one.
func (r *rig) ours() []*system.System {
	ours := []*system.System{system.Ours()}
	if r.against != "" {
		ours = append(ours, system.Other(r.against))
	}
	return r.available(ours...)
}

// others returns the other systems that verify mail.
func (r *rig) others() []*system.System {
	return r.available(
		system.Plain(),
		system.OpenDKIM(r.env),
		system.OpenDKIMAndOpenDMARC(r.env),
		system.Rspamd(),
	)
}

// verifiers returns all systems that verify mail.
func (r *rig) verifiers() []*system.System { return append(r.ours(), r.others()...) }

// corpus returns mail made with the rig's seed, and gives its zone to the
// resolver.
func (r *rig) corpus(o corpus.Options, delay time.Duration) (*corpus.Corpus, error) {
	o.Seed = r.seed
	c, err := corpus.New(o)
	if err != nil {
		return nil, err
	}
	return c, r.resolver.serve(c.Zone, delay)
}

func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	_, rest, _ := strings.Cut(string(text), "model name")
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(strings.TrimLeft(line, "\t :"))
}
