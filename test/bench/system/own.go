package system

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"authmilter/test/bench/client"
)

// Ours is authmilter with everything on: DKIM, SPF, DMARC, ARC verification,
// metrics, and a line a message in the log.
func Ours() *System {
	return &System{Name: "authmilter", Parts: []Part{{Name: "authmilter", Setup: own("")}}}
}

// Other is another build of authmilter, to compare Ours with.
func Other(binary string) *System {
	setup := func(e *Env, dir, address string) ([]string, error) {
		other := *e
		other.Binary = binary
		return own("")(&other, dir, address)
	}
	return &System{Name: "authmilter, the other build", Parts: []Part{{Name: "other", Setup: setup}}}
}

// OursSealing also adds an ARC Set to each message.
func OursSealing() *System {
	const seal = "arc.seal = true\narc.domain = \"rcpt.example\"\narc.selector = \"arc\"\narc.key_file = \"arc.pem\"\n"
	return &System{Name: "the same, sealing with RSA-2048", Parts: []Part{{Name: "authmilter", Setup: own(seal)}}}
}

func own(more string) func(e *Env, dir, address string) ([]string, error) {
	return func(e *Env, dir, address string) ([]string, error) {
		if err := writeKey(filepath.Join(dir, "arc.pem")); err != nil {
			return nil, err
		}
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		listen := address
		if rest, ok := strings.CutPrefix(address, "inet:"); ok {
			host, port, _ := strings.Cut(rest, ":")
			listen = "inet:" + port + "@" + host
		}
		config := fmt.Sprintf("authserv_id = %q\nlisten = [%q]\ndns.servers = [%q]\nmetrics.listen = \"127.0.0.1:%d\"\nmetrics.profiling = true\n%s",
			client.AuthservID, listen, e.DNS, port, more)
		path := filepath.Join(dir, "authmilter.toml")
		return []string{e.Binary, "serve", "--config", path}, os.WriteFile(path, []byte(config), 0o600)
	}
}

func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// Baseline does nothing but one SHA-256 of the body, with go-milter; buffered
// has it read through a buffer.
func Baseline() *System {
	return goProgram("go-milter, one SHA-256 of the body", "baseline")
}

// BufferedBaseline is Baseline with buffered reads.
func BufferedBaseline() *System {
	return goProgram("the same with buffered reads", "baseline-buffered")
}

// Plain is what libraries give when they are put together plainly.
func Plain() *System {
	return goProgram("go-milter + go-msgauth + blitiri spf", "plain")
}

// goProgram is a milter that is part of the bench.
func goProgram(name, role string) *System {
	return &System{Name: name, Parts: []Part{{Name: role, Setup: func(e *Env, _, address string) ([]string, error) {
		return []string{e.Self, "child", role, address, e.DNS}, nil
	}}}}
}
