package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKeyFileThatIsNone holds that what is no file is refused at once: a FIFO
// that nobody writes into would hold the start, and a reload, for ever.
func TestKeyFileThatIsNone(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "key.pem")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{fifo, t.TempDir(), "/dev/null"} {
		done := make(chan error, 1)
		go func() {
			_, _, err := readKeyFile(path)
			done <- err
		}()
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "not a file") {
				t.Errorf("%s: %v", path, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: no end", path)
		}
	}
}
