package oracle

import "os"

// long reports whether the long form of the tests was requested.
func long() bool { return os.Getenv("AUTHMILTER_LONG") != "" }

// readings returns how many inputs are shown to mail readers.
func readings() int {
	if long() {
		return 40_000
	}
	return 600
}
