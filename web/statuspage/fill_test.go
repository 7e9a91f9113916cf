package statuspage

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"authmilter/policy"
)

// filler fills every field that can be set of a value and of everything it points to.
type filler struct {
	// text returns the text for the n-th field.
	text func(n int) string
	// names makes it also fill fields with a string type of their own, which hold
	// names from a known set.
	names bool

	texts, addresses int
	all              []string // all texts so far
}

var (
	errorType = reflect.TypeFor[error]()
	addrType  = reflect.TypeFor[netip.Addr]()
	timeType  = reflect.TypeFor[time.Time]()
	plainType = reflect.TypeFor[string]()
)

func (f *filler) next() string {
	f.texts++
	s := f.text(f.texts)
	f.all = append(f.all, s)
	return s
}

func (f *filler) fill(v reflect.Value, depth int) {
	if !v.CanSet() || depth > 12 {
		return
	}
	switch {
	case v.Type() == errorType:
		v.Set(reflect.ValueOf(errors.Join(errors.New(f.next()), errors.New(f.next()))))
	case v.Type() == addrType:
		f.addresses++
		a := netip.MustParseAddr(fmt.Sprintf("2001:db8:beef::%x", f.addresses)).WithZone(f.next())
		v.Set(reflect.ValueOf(a))
	case v.Type() == timeType:
	case v.Kind() == reflect.String:
		if v.Type() == plainType || f.names {
			v.SetString(f.next())
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), depth+1)
	case v.Kind() == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i), depth+1)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), depth+1)
		}
	}
}

// verdicts returns messages with every field filled: one with results, and one for
// each reason to skip a message.
func (f *filler) verdicts(at time.Time) []*policy.Verdict {
	all := []*policy.Verdict{}
	for _, skip := range append(policy.Skips(), policy.NotSkipped) {
		v := new(policy.Verdict)
		f.fill(reflect.ValueOf(v).Elem(), 0)
		v.At, v.Skip = at, skip
		v.Took, v.EndOfMessage, v.Removed, v.HarmlessRemoved = time.Second, time.Millisecond, policy.Removed{policy.ResultsField: 3}, 1
		if skip == policy.Authenticated {
			v.Signing.Err = nil // so that the domain that signed is shown once
		}
		if skip != policy.NotSkipped {
			v.Result = nil
		} else {
			v.Result.DMARC.Status = "fail"
		}
		all = append(all, v)
	}
	return all
}
