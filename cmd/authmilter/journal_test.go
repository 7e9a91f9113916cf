package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"authmilter/config"
)

func TestIsJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	this := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
	if !isJournal(f, this) {
		t.Errorf("%s is not recognized", this)
	}
	for _, other := range []string{"", "8:1", this + "0", "nonsense"} {
		if isJournal(f, other) {
			t.Errorf("%q is recognized as the journal", other)
		}
	}
	if isJournal(&bytes.Buffer{}, this) {
		t.Error("a buffer is recognized as the journal")
	}
}

// TestJournalPriorities checks that each line begins with its priority, even with
// several writers, and that it does not repeat the time.
func TestJournalPriorities(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var out bytes.Buffer
		target := &logTarget{w: &out, journal: true}
		target.set(config.Log{Level: config.LogLevel(slog.LevelDebug), Format: format})
		log := slog.New(target)
		log.With("a", 1).WithGroup("g").Error("one", "text", "two\nlines")
		log.Warn("two")
		log.Info("three")
		log.Debug("four")
		want := []string{"<3>", "<4>", "<6>", "<7>"}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != len(want) {
			t.Fatalf("%s: %q", format, lines)
		}
		for i, line := range lines {
			if !strings.HasPrefix(line, want[i]) || strings.Contains(line, "time") {
				t.Errorf("%s: %q", format, line)
			}
		}
		if !strings.Contains(lines[0], "g") || !strings.Contains(lines[0], "a") {
			t.Errorf("%s: %q", format, lines[0])
		}
		out.Reset()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 50 {
					log.Info("x")
				}
			})
		}
		all.Wait()
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "<6>") || strings.Count(line, "<") != 1 {
				t.Errorf("%s: %q", format, line)
			}
		}
	}
}
