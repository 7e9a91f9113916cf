package scenario

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/dns/dnstest"
	"authmilter/verify/message"
)

// sealTime is the time at which ARC Sets are made. It is fixed, so that they are
// the same in every run.
var sealTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// seal returns msg with an ARC Set on top. words are the words after "arc" on a
// line of a sign file: the name of a key, d=, s=, and then the value of the
// ARC-Authentication-Results field, which need not be well formed.
func (s *Scenario) seal(t testing.TB, keyDir string, msg []byte, words []string) ([]byte, error) {
	if len(words) < 4 {
		return nil, fmt.Errorf("arc needs KEY d=DOMAIN s=SELECTOR RESULTS, got %q", words)
	}
	text, err := os.ReadFile(filepath.Join(keyDir, words[0]+".pem"))
	if err != nil {
		return nil, err
	}
	key, err := dkim.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	sealer := &arc.Sealer{
		Domain:   strings.TrimPrefix(words[1], "d="),
		Selector: strings.TrimPrefix(words[2], "s="),
		Key:      key,
	}
	// All results are written as one, so that they stay as they are.
	id, results, _ := strings.Cut(strings.Join(words[3:], " "), "; ")
	method, outcome, ok := strings.Cut(results, "=")
	if !ok {
		return nil, fmt.Errorf("no results: %q", words)
	}
	header, body, err := message.ReadHeader(bufio.NewReader(bytes.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		return nil, err
	}
	index := message.NewIndex(header)
	var digests message.Body
	digests.Want(arc.SealDigest())
	v := arc.Begin(dkim.Options{}, &dkim.Input{Header: header, Index: index, Body: &digests, Now: sealTime})
	if v != nil {
		zone := dnstest.MustParse(t, s.Zone)
		v.CheckHeader(func(n arc.KeyName) ([]*dkim.Key, error) {
			return dkim.LookupKeys(context.Background(), zone, n.Selector, n.Domain)
		})
	}
	if _, err := io.Copy(&digests, body); err != nil {
		return nil, err
	}
	chain := v.Result(&digests)
	set, err := sealer.Seal(&arc.SealInput{
		Header: header, Index: index, BodyHash: digests.Sum(arc.SealDigest()), Chain: &chain,
		AuthservID: id, Results: []authres.Method{{Name: method, Result: outcome}}, At: sealTime,
	})
	if err != nil {
		return nil, err
	}
	for _, f := range set {
		msg = append([]byte(f.Name+":"+f.Raw+"\r\n"), msg...)
	}
	return msg, nil
}
