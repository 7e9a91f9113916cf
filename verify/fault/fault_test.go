package fault_test

import (
	"errors"
	"testing"

	"authmilter/verify/fault"
)

type (
	status string
	reason string
)

func TestError(t *testing.T) {
	cause := errors.New("no answer")
	plain := fault.New(status("temperror"), reason("dns"), "key not available")
	for _, test := range []struct {
		err   *fault.Error[status, reason]
		text  string
		cause error
	}{
		{plain, "key not available", nil},
		{plain.Because(cause), "key not available: no answer", cause},
		{fault.Wrap(status("temperror"), reason("dns"), cause), "no answer", cause},
	} {
		if test.err.Error() != test.text || test.err.Unwrap() != test.cause {
			t.Errorf("%q because of %v, want %q because of %v", test.err, test.err.Unwrap(), test.text, test.cause)
		}
		if test.err.Status != "temperror" || test.err.Reason != "dns" {
			t.Errorf("%q is %s %s", test.err, test.err.Status, test.err.Reason)
		}
	}
	if plain.Unwrap() != nil {
		t.Error("Because changed the original error")
	}
}
