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

// TestMain lets the test binary be authmilter, and the filter mask, where it is
// run under those names.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"authmilter": main,
		"mask":       mask,
	})
}

// TestScripts runs the command line as its users do. AUTHMILTER_UPDATE=1
// rewrites the outputs that the scripts compare with.
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

// copyMail sets a script up: it puts the messages and the zone of testdata/mail beside the script.
func copyMail(env *testscript.Env) error {
	// The race detector would wait a second at the end of each process.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	return os.CopyFS(env.WorkDir, os.DirFS(filepath.Join("testdata", "mail")))
}

// serveZone is the command "dns FILE...": it serves the zone in the files until
// the script ends, at $DNS.
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

// exits is the command "exits STATUS PROGRAM ARG...".
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

// mode is the command "mode OCTAL FILE": the file has those permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("the mode of %s is %s, not %s", args[1], got, args[0])
	}
}

// unescape is the command "unescape FILE...": it puts octets in the place of
// their escapes, such as \x1b.
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

// envFile is the command "envfile FILE": it sets the variables that the file
// gives, one a line.
func envFile(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		ts.Setenv(name, value)
	}
}

// printable is the command "printable FILE": the file holds no control
// characters but line feeds, no TAB but at the start of a line, and nothing
// that reorders text.
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

// masks are what differs from run to run.
var masks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`\(\d+\.\d ms, TTL \d+ s`), "(TIME ms, TTL SECONDS s"},
	{regexp.MustCompile(`"(ms|ttl)": [\d.]+`), `"$1": NUMBER`},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:PORT"},
	{regexp.MustCompile(`inet:\d+@127`), "inet:PORT@127"},
}

// mask is a filter that hides what differs from run to run.
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
