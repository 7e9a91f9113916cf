package main

import (
	"os"
	"strings"
	"testing"

	"authmilter/test/bench/system"
)

// TestMain lets the test binary act as the bench's child processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		exit(child(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestWarm runs the bench on a little mail. Every verdict of authmilter, and of
// the plain combination of libraries, must be right.
func TestWarm(t *testing.T) {
	for _, tcp := range []bool{false, true} {
		r, err := newRig(options{systems: "milter,sealing", rounds: 1, messages: 40, sessions: 3, seed: 3, arc: 0.2, tcp: tcp})
		if err != nil {
			t.Fatal(err)
		}
		table, err := r.warm()
		r.close()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("\n%s", table.text())
		right := map[string]string{
			system.Ours().Name:               "100.0 100.0 100.0 100.0",
			system.OursSealing().Name:        "100.0 100.0 100.0 100.0",
			system.OursSealingEd25519().Name: "100.0 100.0 100.0 100.0",
			system.Plain().Name:              "100.0 100.0 100.0 ",
			system.Baseline().Name:           "   ",
			system.BufferedBaseline().Name:   "   ",
		}
		for _, row := range table.rows[1:] { // below the floor
			got := strings.Join(row[len(row)-4:], " ")
			if want, known := right[row[0]]; !known || got != want {
				t.Errorf("%s: right verdicts %q, want %q", row[0], got, want)
			}
			delete(right, row[0])
		}
		for name := range right {
			t.Errorf("%s was not measured", name)
		}
	}
}

func TestTable(t *testing.T) {
	table := &table{title: "Title", columns: []string{"name", "n"}}
	table.add("a", "1")
	table.add("bcd", "23")
	table.note("Note %d.", 1)
	if got, want := table.text(), "Title\n  name   n\n  a      1\n  bcd   23\n  Note 1.\n"; got != want {
		t.Errorf("text:\n%s\nwant:\n%s", got, want)
	}
	if got, want := table.markdown(), "Title:\n\n| name | n |\n| --- | --- |\n| a | 1 |\n| bcd | 23 |\n\nNote 1.\n"; got != want {
		t.Errorf("Markdown:\n%s\nwant:\n%s", got, want)
	}
}
