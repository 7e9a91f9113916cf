package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"authmilter/verify/dns/dnstest"
)

var update = os.Getenv("AUTHMILTER_UPDATE") != ""

// TestMain lets the test binary act as authmilter, and as the filter mask, if it is run
// under these names.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"authmilter": main,
		"mask":       mask,
	})
}

// TestScripts runs authmilter on the command line as users do. AUTHMILTER_UPDATE=1
// rewrites the expected outputs in the scripts.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       update,
		RequireExplicitExec: true,
		Setup:               copyMail,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"dns":       serveZone,
			"exits":     exits,
			"mode":      mode,
			"unescape":  unescape,
			"printable": printable,
			"envfile":   envFile,
		},
	})
}

// copyMail sets up a script: it copies the messages and the zone in testdata/mail next
// to it.
func copyMail(env *testscript.Env) error {
	// Otherwise the race detector waits a second at the end of each process.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	return os.CopyFS(env.WorkDir, os.DirFS(filepath.Join("testdata", "mail")))
}

// serveZone is the command "dns FILE...". It serves the zone in the files at $DNS until
// the script ends.
func serveZone(ts *testscript.TestScript, _ bool, args []string) {
	text := ""
	for _, a := range args {
		text += ts.ReadFile(a) + "\n"
	}
	zone, err := dnstest.Parse(text)
	ts.Check(err)
	server, err := dnstest.NewServer(zone, "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(server.Close)
	ts.Setenv("DNS", server.Addr())
}

// exits is the command "exits STATUS PROGRAM ARG...". It checks the exit status of a
// program.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	status := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status, err = exit.ExitCode(), nil
	}
	ts.Check(err)
	if status != want {
		ts.Fatalf("%q exits with %d, not %d", args[1:], status, want)
	}
}

// mode is the command "mode OCTAL FILE". It checks the permissions of the file.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("the mode of %s is %s, not %s", args[1], got, args[0])
	}
}

// unescape is the command "unescape FILE...". It replaces escapes such as \x1b by their
// octets.
func unescape(ts *testscript.TestScript, _ bool, args []string) {
	escape := regexp.MustCompile(`\\x[0-9a-f]{2}`)
	for _, a := range args {
		text := escape.ReplaceAllStringFunc(ts.ReadFile(a), func(s string) string {
			n, _ := strconv.ParseUint(s[2:], 16, 8)
			return string([]byte{byte(n)})
		})
		ts.Check(os.WriteFile(ts.MkAbs(a), []byte(text), 0o600))
	}
}

// envFile is the command "envfile FILE". It sets the variables in the file, one per
// line.
func envFile(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		ts.Setenv(name, value)
	}
}

// printable is the command "printable FILE". It checks that the file has no control
// characters except line feeds, no TAB except at the start of a line, and nothing that
// reorders text.
func printable(ts *testscript.TestScript, _ bool, args []string) {
	before := '\n'
	text := ts.ReadFile(args[0])
	if text == "" {
		ts.Fatalf("%s is empty", args[0])
	}
	for i, r := range text {
		control := r < ' ' && r != '\n' || 0x7f <= r && r < 0xa0 || 0x2028 <= r && r <= 0x202e || 0x2066 <= r && r <= 0x2069
		if control && (r != '\t' || before != '\n') {
			ts.Fatalf("%s: %q at octet %d: %q", args[0], r, i, text[max(0, i-20):i])
		}
		before = r
	}
}

// masks match what differs between runs.
var masks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\(\d+\.\d ms, TTL \d+ s`), "(TIME ms, TTL SECONDS s"},
	{regexp.MustCompile(`"(ms|ttl)": [\d.]+`), `"$1": NUMBER`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`inet:\d+@127`), "inet:PORT@127"},
}

// mask is a filter that hides what differs between runs.
func mask() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, m := range masks {
		text = m.pattern.ReplaceAll(text, []byte(m.text))
	}
	_, _ = os.Stdout.Write(text)
}
