package system

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"authmilter/test/bench/client"
	"authmilter/verify/dkim"
)

// Ours is authmilter with everything on: DKIM, SPF, DMARC, ARC verification,
// metrics, and one log line per message.
func Ours() *System {
	return &System{Name: "authmilter", Parts: []Part{{Name: "authmilter", Setup: own("")}}}
}

// Other is another build of authmilter, to compare with Ours.
func Other(binary string) *System {
	setup := func(e *Env, dir, address string) ([]string, error) {
		other := *e
		other.Binary = binary
		return own("")(&other, dir, address)
	}
	return &System{Name: "authmilter, the other build", Parts: []Part{{Name: "other", Setup: setup}}}
}

// OursSealing also adds an ARC Set to each message, signed with a 2048-bit RSA
// key.
func OursSealing() *System {
	return &System{Name: "with ARC sealing, RSA-2048", Parts: []Part{{Name: "authmilter", Setup: own(seal("rsa.pem"))}}}
}

// OursSealingEd25519 is OursSealing with an Ed25519 key.
func OursSealingEd25519() *System {
	return &System{Name: "with ARC sealing, Ed25519", Parts: []Part{{Name: "authmilter", Setup: own(seal("ed25519.pem"))}}}
}

func seal(key string) string {
	return fmt.Sprintf("arc.seal = true\narc.domain = \"rcpt.example\"\narc.selector = \"arc\"\narc.key_file = %q\n", key)
}

func own(more string) func(e *Env, dir, address string) ([]string, error) {
	return func(e *Env, dir, address string) ([]string, error) {
		if err := writeKeys(dir); err != nil {
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

// writeKeys writes a private key of each kind.
func writeKeys(dir string) error {
	for name, t := range map[string]dkim.KeyType{"rsa.pem": dkim.RSA, "ed25519.pem": dkim.Ed25519} {
		key, err := dkim.NewPrivateKey(t, 2048)
		if err != nil {
			return err
		}
		text, err := key.PEM()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Baseline only computes a SHA-256 of the body, with go-milter.
func Baseline() *System {
	return goProgram("go-milter, only a SHA-256 of the body", "baseline")
}

// BufferedBaseline is Baseline with buffered reads.
func BufferedBaseline() *System {
	return goProgram("go-milter, only SHA-256, buffered reads", "baseline-buffered")
}

// Plain is the plain combination of libraries.
func Plain() *System {
	return goProgram("go-milter + go-msgauth + blitiri spf", "plain")
}

// goProgram is a milter that is part of the bench.
func goProgram(name, role string) *System {
	return &System{Name: name, Parts: []Part{{Name: role, Setup: func(e *Env, _, address string) ([]string, error) {
		return []string{e.Self, "child", role, address, e.DNS}, nil
	}}}}
}
