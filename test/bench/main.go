// Command bench measures what authmilter costs, side by side with the bare
// cryptography and with other installed milters. docs/performance.md explains
// the columns.
//
//	go run ./test/bench [-runs warm,cold] [-systems ours,floor] [-markdown]
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		exit(child(os.Args[2:]))
	}
	var o options
	runs := flag.String("runs", strings.Join(runNames(), ","), "comma-separated runs, from "+strings.Join(runNames(), ", "))
	flag.StringVar(&o.systems, "systems", "", "comma-separated parts of system names; all by default")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds over the corpus; systems take turns")
	flag.IntVar(&o.messages, "messages", 600, "messages in the corpus of the warm run")
	flag.IntVar(&o.sessions, "sessions", 8, "concurrent SMTP sessions")
	flag.Uint64Var(&o.seed, "seed", 1, "seed of the corpus")
	flag.Float64Var(&o.arc, "arc", 0, "share of messages with an ARC chain")
	flag.BoolVar(&o.tcp, "tcp", false, "use TCP sockets instead of unix sockets")
	flag.DurationVar(&o.delay, "delay", 20*time.Millisecond, "delay of each DNS answer in the cold run")
	flag.BoolVar(&o.markdown, "markdown", false, "print tables as Markdown")
	flag.BoolVar(&o.wrong, "wrong", false, "list wrong verdicts")
	flag.StringVar(&o.binary, "authmilter", "", "the milter to measure; built from the sources by default")
	flag.StringVar(&o.against, "against", "", "another build of the milter, measured in turn with it")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	exit(bench(o, strings.Split(*runs, ",")))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
