package dkim_test

import (
	"slices"
	"strings"
	"testing"

	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// TestHeaderNames checks the h= tags of our signatures, name by name.
func TestHeaderNames(t *testing.T) {
	const most = 3
	for _, test := range []struct {
		header, author, intermediary string
	}{
		{"From", "from from to cc subject mime-version content-type content-transfer-encoding", "From From To Subject"},
		{"Received Date From To X Message-ID Bcc Cc Subject List-Id Authentication-Results Reply-To ARC-Seal",
			"from from to to cc cc subject subject mime-version content-type content-transfer-encoding date date message-id message-id reply-to list-id",
			"From From To To Subject Subject Date Date Message-ID Message-ID Cc Reply-To List-Id"},
		{"DKIM-Signature DKIM-Signature FROM subject MIME-Version Content-Type Resent-From Resent-From References",
			"from from to cc subject subject mime-version mime-version content-type content-type content-transfer-encoding references resent-from resent-from",
			"From From To Subject Subject References MIME-Version Content-Type Resent-From Resent-From DKIM-Signature DKIM-Signature"},
		{"From From From Sender Sender Sender Sender",
			"from from from from to cc subject mime-version content-type content-transfer-encoding sender sender sender",
			"From From From From To Subject Sender Sender Sender"},
		{"From From From From", "", ""},
		{"From Date Date Date Date", "", ""},
	} {
		var h message.Header
		for name := range strings.FieldsSeq(test.header) {
			h = append(h, message.Field{Name: name, Raw: " x"})
		}
		for role, want := range map[dkim.Role]string{dkim.Author: test.author, dkim.Intermediary: test.intermediary} {
			names, ok := role.HeaderNames(message.NewIndex(h), most)
			if got := strings.Join(names, " "); got != want || ok != (want != "") {
				t.Errorf("%s, role %d:\n%q\nwant\n%q", test.header, role, got, want)
			}
		}
	}
}

// TestFieldsOfChains checks that our signatures cover neither the fields of a chain
// nor fields that are added in transit.
func TestFieldsOfChains(t *testing.T) {
	for _, role := range []dkim.Role{dkim.Author, dkim.Intermediary} {
		for _, name := range role.SignedNames() {
			name = strings.ToLower(name)
			if strings.HasPrefix(name, "arc-") || slices.Contains([]string{"received", "return-path", "authentication-results", "bcc", "comments", "keywords"}, name) {
				t.Errorf("role %d signs %s", role, name)
			}
		}
	}
}
