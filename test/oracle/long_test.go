package oracle

import "os"

// readings returns how many inputs are shown to readers of mail: a few hundred,
// or tens of thousands if AUTHMILTER_LONG is set in the environment.
func readings() int {
	if os.Getenv("AUTHMILTER_LONG") != "" {
		return 40_000
	}
	return 600
}
