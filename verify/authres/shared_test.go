package authres

import (
	"os"
	"strings"
	"testing"

	"authmilter/test/need"
)

// TestClaimsShared reads messages from a folder next to the project, if it
// exists. Each message begins with a forged field.
func TestClaimsShared(t *testing.T) {
	c := NewClaimant("mx.receiver.example")
	for _, name := range []string{"ar-encoded-word", "ar-line-998"} {
		text, err := os.ReadFile(need.Shared(t, "faults/"+name+"/message.eml"))
		if err != nil {
			t.Fatal(err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		value, ok := strings.CutPrefix(strings.TrimSuffix(line, "\r"), "Authentication-Results:")
		if !ok || !c.Claims(value) {
			t.Errorf("%s: not claimed: %.80q", name, line)
		}
	}
}
