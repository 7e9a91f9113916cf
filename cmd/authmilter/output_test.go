package main

import (
	"strings"
	"testing"

	"authmilter/verify/arc"
	"authmilter/verify/dkim"
)

// TestExplainSets checks that --explain shows which parts of a sealer's results count
// for nothing.
func TestExplainSets(t *testing.T) {
	chain := &arc.Chain{}
	for i, results := range []string{
		" mx.one.example 1; dmarc=pass\r\n action=none header.from=example.com; spf\x1b=pass",
		" mx.two.example; dmarc=pass (",
		" mx.three.example; none",
	} {
		chain.Sets = append(chain.Sets, arc.Set{Instance: i + 1, Results: results, Seal: &arc.Seal{Signature: &dkim.Signature{Domain: "x.example", Selector: "s"}}})
	}
	var b strings.Builder
	(&checkOutput{ARC: newARCOutput(&arc.Result{Status: arc.Pass, Chain: chain})}).explain(&b)
	const want = `
  i=1 sealed by x.example selector s: mx.one.example 1; dmarc=pass action=none header.from=example.com; spf?=pass
    not read: action=none
    not read: spf?=pass
  i=2 sealed by x.example selector s: mx.two.example; dmarc=pass (
    not read: malformed authentication results
  i=3 sealed by x.example selector s: mx.three.example; none
`
	if !strings.Contains(b.String(), want) {
		t.Errorf("got%s\nwant%s", b.String(), want)
	}
}
