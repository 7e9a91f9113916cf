package system

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"authmilter/test/bench/client"
)

// OpenDKIM verifies DKIM only.
func OpenDKIM(e *Env) *System {
	return &System{Name: "OpenDKIM", Parts: []Part{openDKIM}, Missing: e.missing53("opendkim")}
}

// OpenDKIMAndOpenDMARC verify DKIM, SPF and DMARC, one after the other.
func OpenDKIMAndOpenDMARC(e *Env) *System {
	return &System{
		Name:    "OpenDKIM + OpenDMARC",
		Parts:   []Part{openDKIM, openDMARC},
		Missing: e.missing53("opendkim", "opendmarc", "unshare"),
	}
}

// missing53 is missing for programs that can only query resolvers at port 53.
func (e *Env) missing53(programs ...string) string {
	if text := missing(programs...); text != "" {
		return text
	}
	if e.DNS53 == "" {
		return "needs root, for a resolver at port 53"
	}
	return ""
}

// Rspamd runs only its modules for DKIM, SPF, DMARC and ARC.
func Rspamd() *System {
	return &System{Name: "rspamd, four modules", Parts: []Part{rspamd}, Missing: missing("rspamd")}
}

// missing names the programs that are not installed.
func missing(programs ...string) string {
	var names []string
	for _, p := range programs {
		if _, err := find(p); err != nil {
			names = append(names, p)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return strings.Join(names, ", ") + " not installed"
}

// find returns the path of a program, which may be in an administrator's
// directory.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", program))
}

// libmilterAddress is an address in the notation of libmilter.
func libmilterAddress(address string) string {
	if rest, ok := strings.CutPrefix(address, "inet:"); ok {
		host, port, _ := strings.Cut(rest, ":")
		return "inet:" + port + "@" + host
	}
	return "local:" + strings.TrimPrefix(address, "unix:")
}

var openDKIM = Part{Name: "opendkim", Setup: func(e *Env, dir, address string) ([]string, error) {
	config := fmt.Sprintf(`Mode v
Socket %s
AuthservID %s
Nameservers %s
AlwaysAddARHeader yes
Background no
AutoRestart no
RequireSafeKeys no
MinimumKeyBits 1024
Syslog yes
SyslogSuccess yes
`, libmilterAddress(address), client.AuthservID, e.DNS53)
	path, err := find("opendkim")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "opendkim.conf")
	return []string{path, "-f", "-x", file}, os.WriteFile(file, []byte(config), 0o600)
}}

// suffixes is a public suffix list with what the corpus needs.
const suffixes = "com\nnet\norg\nexample\n"

var openDMARC = Part{Name: "opendmarc", Setup: func(e *Env, dir, address string) ([]string, error) {
	path, err := find("opendmarc")
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`Socket %s
AuthservID %s
TrustedAuthservIDs %s
PublicSuffixList %s
SPFSelfValidate true
SPFIgnoreResults true
RejectFailures false
IgnoreHosts %s
Background false
AutoRestart false
Syslog true
`, libmilterAddress(address), client.AuthservID, client.AuthservID, filepath.Join(dir, "suffixes"), filepath.Join(dir, "nobody"))
	// It reads the address of its resolver only from /etc/resolv.conf, so it gets
	// one of its own there.
	script := fmt.Sprintf("mount --make-rprivate / && mount --bind '%s' /etc/resolv.conf && exec '%s' -f -c '%s'",
		filepath.Join(dir, "resolv.conf"), path, filepath.Join(dir, "opendmarc.conf"))
	for name, text := range map[string]string{
		"opendmarc.conf": config,
		"suffixes":       suffixes,
		"resolv.conf":    "nameserver " + e.DNS53 + "\n",
		"nobody":         "192.0.2.255\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return []string{"unshare", "--mount", "sh", "-c", script}, nil
}}

var rspamd = Part{Name: "rspamd", Setup: func(e *Env, dir, address string) ([]string, error) {
	path, err := find("rspamd")
	if err != nil {
		return nil, err
	}
	bind := strings.TrimPrefix(address, "unix:") + " mode=0666"
	if rest, ok := strings.CutPrefix(address, "inet:"); ok {
		bind = rest
	}
	config := fmt.Sprintf(`options {
	pidfile = "%[1]s/rspamd.pid";
	filters = "dkim";
	local_addrs = [];
	dns { nameserver = ["%[2]s:1"]; timeout = 5s; retransmits = 2; }
	tempdir = "%[1]s";
	url_tld = "%[1]s/suffixes";
	hs_cache_dir = "%[1]s";
	cores_dir = "%[1]s";
	check_all_filters = true;
	classify_headers = [];
	words_decay = 200;
}
logging { type = "console"; level = "info"; }
worker "rspamd_proxy" {
	bind_socket = "%[3]s";
	milter = yes;
	timeout = 120s;
	count = 2;
	upstream "local" { default = yes; self_scan = yes; }
}
modules { path = "/usr/share/rspamd/plugins/milter_headers.lua"; path = "/usr/share/rspamd/plugins/dmarc.lua"; path = "/usr/share/rspamd/plugins/spf.lua"; path = "/usr/share/rspamd/plugins/arc.lua"; }
dkim { check_local = true; check_authed = true; }
spf { check_local = true; check_authed = true; spf_cache_size = 2k; }
dmarc { check_local = true; check_authed = true; reporting { enabled = false; } }
arc { check_local = true; check_authed = true; }
milter_headers {
	use = ["authentication-results"];
	skip_local = false; skip_authenticated = false;
	routines { authentication-results { header = "Authentication-Results"; add_smtp_user = false; } }
}
metric { name = "default"; actions { reject = 1000; } }
`, dir, e.DNS, bind)
	if err := os.WriteFile(filepath.Join(dir, "suffixes"), []byte(suffixes), 0o644); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "rspamd.conf")
	return []string{path, "-f", "-i", "-c", file}, os.WriteFile(file, []byte(config), 0o644)
}}
