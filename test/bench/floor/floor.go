// Package floor does the least that any verifier must do with mail: one pass
// over the body for its SHA-256, and the public-key operation of each
// signature.
package floor

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"authmilter/test/bench/corpus"
)

// Run returns the CPU time of one round over all messages in c, in memory.
func Run(c *corpus.Corpus) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun, err := threadTime()
	if err != nil {
		return 0, err
	}
	for _, m := range c.Messages {
		sha256.Sum256(m.Body)
		for i := range m.Signatures {
			if !m.Signatures[i].Verify() {
				return 0, fmt.Errorf("a signature of %s does not verify", m.ID)
			}
		}
	}
	ended, err := threadTime()
	return ended - begun, err
}

func threadTime() (time.Duration, error) {
	var ts unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
	return time.Duration(ts.Nano()), err
}
