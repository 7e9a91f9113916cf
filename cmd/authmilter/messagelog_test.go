package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"authmilter/verify/message"
)

// readMail returns a message from testdata/mail as an MTA sends it.
func readMail(t *testing.T, name string, m mail) mail {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "mail", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	header, body, err := message.ReadHeader(bufio.NewReader(f), message.Limits{Bytes: 1 << 20, Fields: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		m.header = append(m.header, [2]string{h.Name, strings.ReplaceAll(h.Raw, "\r\n", "\n")})
	}
	var b strings.Builder
	if _, err := bufio.NewReader(body).WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	m.body = b.String()
	return m
}

// logMasks match what differs between runs.
var logMasks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`"time":"[^"]+"`), `"time":"TIME"`},
	{regexp.MustCompile(`time=\S+`), `time=TIME`},
	{regexp.MustCompile(`ms":[\d.]+`), `ms":NUMBER`},
	{regexp.MustCompile(`ms=[\d.]+`), `ms=NUMBER`},
}

// TestMessageLog compares the whole log line of each message with a golden file.
// AUTHMILTER_UPDATE=1 rewrites it.
func TestMessageLog(t *testing.T) {
	signed := readMail(t, "signed.eml", mail{
		client: "192.0.2.10", clientName: "out.example.com", helo: "out.example.com", from: "alice@example.com", queueID: "4gPass",
	})
	changed := readMail(t, "changed.eml", mail{
		client: "2001:db8::99", clientName: "unknown", helo: "out.example.net", from: "", queueID: "4gFail",
	})
	changed.header = append([][2]string{{"Authentication-Results", " MX.example.org; dmarc=pass"}}, changed.header...)
	local := mail{
		client: "127.0.0.1", clientName: "localhost", helo: "localhost", from: "root@example.org", queueID: "4gLocal",
		header: [][2]string{{"From", " root@example.org"}, {"Authentication-Results", " mx.example.org; dmarc=pass"}},
	}
	authenticated := mail{
		client: "192.0.2.77", clientName: "laptop.example.org", helo: "laptop", from: "bob@example.org", queueID: "4gAuth",
		macros: []string{"{auth_authen}", "bob"},
		header: [][2]string{{"From", " bob@example.org"}},
	}
	hostile := mail{
		client: "192.0.2.66", clientName: "evil\x1b[31m.example", helo: "\x1b[2J\x07 msg=\"message\" dmarc=pass\nfake=line",
		from: "\u202e\x9b31m\r\n@evil.example", queueID: "4g\x1b[0m",
		header: [][2]string{
			{"From", " <\x1b]0;x\x07@\x1b.example>, b@evil.example"},
			{"DKIM-Signature", " v=1; a=rsa-sha256; d=\x1b[31m; s=\x07; h=from; bh=AAAA; b=AAAA"},
		},
	}
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			socket := "unix:" + filepath.Join(t.TempDir(), "sock")
			config := strings.Replace(common(zoneServer(t), "log.format = \""+format+"\"\n"), "inet:0@127.0.0.1", socket, 1)
			d := serving(t, config, nil)
			m := connect(t, socket)
			for _, msg := range []mail{signed, changed, local, authenticated, hostile} {
				m.deliver(msg)
			}
			d.waitLog("evil")
			var lines strings.Builder
			for line := range strings.Lines(d.log.String()) {
				if !strings.Contains(line, "queue_id") {
					continue
				}
				if format == "json" && !json.Valid([]byte(line)) {
					t.Errorf("not JSON: %s", line)
				}
				lines.WriteString(line)
			}
			got := strings.ReplaceAll(lines.String(), socket, "unix:SOCKET")
			for _, mask := range logMasks {
				got = mask.pattern.ReplaceAllString(got, mask.text)
			}
			if n := strings.Count(got, "\n"); n != 5 {
				t.Errorf("%d lines for 5 messages", n)
			}
			for _, r := range got {
				if r != '\n' && (unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r)) {
					t.Errorf("the log contains %q", r)
				}
			}
			golden := filepath.Join("testdata", "log", format+".golden")
			if update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}
