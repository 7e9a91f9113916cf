package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"authmilter/test/bench/baseline"
	"authmilter/test/bench/plain"
	"authmilter/verify/dns/dnstest"
)

// child runs what the bench starts as separate processes, so that their CPU
// time is counted separately: a milter, or the resolver.
func child(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("child needs a role and its arguments, got %q", args)
	}
	if args[0] == "dns" {
		return serveDNS(args[1], args[2:])
	}
	if len(args) != 3 {
		return fmt.Errorf("a milter needs its own address and a resolver's, got %q", args[1:])
	}
	network, address, _ := strings.Cut(args[1], ":")
	if network == "inet" {
		network = "tcp"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	go func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		os.Exit(0)
	}()
	switch args[0] {
	case "baseline":
		return baseline.Serve(l, false)
	case "baseline-buffered":
		return baseline.Serve(l, true)
	case "plain":
		return plain.Serve(l, args[2])
	}
	return fmt.Errorf("no role %q", args[0])
}

// serveDNS serves DNS at addresses, as told by lines on standard input: "zone
// FILE" and "delay DURATION". It answers each line with "ok", and ends when its
// input ends.
func serveDNS(first string, more []string) error {
	empty, err := dnstest.Parse("")
	if err != nil {
		return err
	}
	var servers []*dnstest.Server
	for _, address := range append([]string{first}, more...) {
		s, err := dnstest.NewServer(empty, address)
		if err != nil {
			return err
		}
		defer s.Close()
		servers = append(servers, s)
	}
	fmt.Println(servers[0].Addr())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, arg, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "zone":
			text, err := os.ReadFile(arg)
			if err != nil {
				return err
			}
			zone, err := dnstest.Parse(string(text))
			if err != nil {
				return err
			}
			for _, s := range servers {
				s.SetZone(zone)
			}
		case "delay":
			d, err := time.ParseDuration(arg)
			if err != nil {
				return err
			}
			for _, s := range servers {
				s.SetDelay(d)
			}
		default:
			return fmt.Errorf("no command %q", command)
		}
		fmt.Println("ok")
	}
	return lines.Err()
}
