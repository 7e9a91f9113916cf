package dkim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/dns"
	"authmilter/verify/message"
)

// TestSelection signs random headers with random h= tags, which repeat names, write
// them in another case and name absent fields, and inserts the signature anywhere
// among the fields (RFC 6376 section 5.4.2). Changing a field afterwards must break
// the signature exactly if the field was selected.
func TestSelection(t *testing.T) {
	z := zone(t)
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	changed := map[bool]int{}
	for range 150 {
		var header message.Header
		for n := range 2 + random.IntN(8) {
			name := pick("Resent-To", "RESENT-TO", "Received", "received ", "X", "DKIM-Signature", "dkim-signature", "Comments")
			header = append(header, message.Field{Name: name, Raw: fmt.Sprintf(" %d\r\n\tvalue", n)})
		}
		header = slices.Insert(header, random.IntN(len(header)+1), message.Field{Name: "From", Raw: " joe@example.com"})
		names := []string{"from"}
		for range random.IntN(12) {
			names = append(names, pick("resent-to", "Resent-To", "received", "RECEIVED", "x", "dkim-signature", "Dkim-Signature", "comments", "absent"))
		}
		relaxed := random.IntN(2) == 0
		canon := map[bool]string{false: "simple", true: "relaxed"}[relaxed]
		raw := " v=1; a=ed25519-sha256; d=example.com; s=ed; c=" + canon + "/relaxed; bh=" + sha256Empty +
			";\r\n h=" + strings.Join(names, pick(":", " : ", "\r\n :\t")) + "; b="
		value := modelSignature(modelHeader(relaxed, header, names, -1, message.Field{Name: "DKIM-Signature", Raw: raw}))

		own := random.IntN(len(header) + 1)
		signed := slices.Insert(slices.Clone(header), own, message.Field{Name: "DKIM-Signature", Raw: raw + value})
		if r := verifyFields(t, signed, own, z); r.Status != dkim.Pass {
			t.Fatalf("%v\nsigned at %d of\n%s", r.Err, own, text(signed))
		}
		selected := modelSelect(signed, names, own)
		for i := range signed {
			if i == own {
				continue
			}
			edited := slices.Clone(signed)
			edited[i].Raw += "!"
			breaks := slices.Contains(selected, i)
			changed[breaks]++
			if r := verifyFields(t, edited, own, z); (r.Status == dkim.Fail) != breaks {
				t.Fatalf("field %d changed, selected %v: %s (%v)\nsigned at %d of\n%s", i, breaks, r.Status, r.Err, own, text(signed))
			}
		}
	}
	if changed[true] < 100 || changed[false] < 100 {
		t.Errorf("changed %v", changed)
	}
}

// verifyFields returns the result of the signature at position own of a header, in
// a message without a body.
func verifyFields(t *testing.T, h message.Header, own int, z dns.Resolver) dkim.Result {
	t.Helper()
	before := 0
	for _, f := range h[:own] {
		if f.Is(dkim.FieldName) {
			before++
		}
	}
	return verify(t, text(h), z, dkim.Options{}, 100)[before]
}

// text returns h as a message without a body.
func text(h message.Header) string {
	var b strings.Builder
	for _, f := range h {
		b.WriteString(f.Name + ":" + f.Raw + "\r\n")
	}
	return b.String() + "\r\n"
}
