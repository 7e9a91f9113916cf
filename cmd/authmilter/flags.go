package main

import (
	"fmt"
	"net/netip"

	"github.com/spf13/cobra"

	"authmilter/config"
	"authmilter/verify/dns"
)

// configFlag adds --config to cmd.
func configFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "", "configuration `file` (default: built-in defaults)")
}

// resolverFlag adds --resolver to cmd.
func resolverFlag(cmd *cobra.Command, resolver *string) {
	cmd.Flags().StringVar(resolver, "resolver", "", "DNS server to use instead of the configured ones, as `host:port`")
}

// readConfig returns the configuration and the resolver according to the flags
// --config and --resolver.
func readConfig(path, resolver string) (*config.File, *dns.Client, error) {
	cfg, err := config.Read(path)
	if err != nil {
		return nil, nil, err
	}
	if resolver != "" {
		server, err := config.ParseHostPort(resolver)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("--resolver: %w", err)}
		}
		cfg.DNS.Servers = []config.HostPort{server}
	}
	client, err := cfg.NewResolver(nil)
	if err != nil {
		return nil, nil, err
	}
	return cfg, client, nil
}

// clientFlag parses the value of --ip. It returns the zero Addr if the flag is not
// given.
func clientFlag(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	ip, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, usageError{fmt.Errorf("--ip: %q is not an address", text)}
	}
	return ip.Unmap(), nil
}
