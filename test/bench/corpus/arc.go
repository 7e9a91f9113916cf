package corpus

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"authmilter/verify/arc"
	"authmilter/verify/authres"
	"authmilter/verify/dkim"
	"authmilter/verify/message"
)

// seal puts n ARC Sets on top of msg, each from a different relay.
func (m *maker) seal(msg *Message, n int) error {
	first := m.rand.IntN(relays)
	for i := range n {
		relay := (first + i) % relays
		key, err := privateKey(m.relayKey(relay))
		if err != nil {
			return err
		}
		s := &arc.Sealer{Domain: relayName(relay), Selector: selector, Key: key}
		if err := m.addSet(msg, s); err != nil {
			return fmt.Errorf("ARC Set %d: %w", i+1, err)
		}
	}
	return nil
}

func (m *maker) relayKey(relay int) *rsa.PrivateKey { return m.keys.rsa[relay%len(m.keys.rsa)] }

func privateKey(key *rsa.PrivateKey) (*dkim.PrivateKey, error) {
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return dkim.ParsePrivateKey(pem.EncodeToMemory(block))
}

// addSet puts an ARC Set made by s on top of msg, after verifying its chain, as
// any sealer must.
func (m *maker) addSet(msg *Message, s *arc.Sealer) error {
	var body message.Body
	body.Want(arc.SealDigest())
	index := message.NewIndex(msg.Header)
	v := arc.Begin(dkim.Options{}, &dkim.Input{Header: msg.Header, Index: index, Body: &body, Now: signedAt})
	if v != nil {
		v.CheckHeader(func(n arc.KeyName) ([]*dkim.Key, error) {
			for relay := range relays {
				if relayName(relay) == n.Domain {
					key, err := dkim.ParseKey(rsaRecord(m.relayKey(relay)))
					return []*dkim.Key{key}, err
				}
			}
			return nil, fmt.Errorf("no relay named %s", n.Domain)
		})
	}
	_, _ = body.Write(msg.Body) // never fails before the end
	chain := v.Result(&body)
	if chain.Status == arc.Fail {
		return chain.Err
	}
	set, err := s.Seal(&arc.SealInput{
		Header: msg.Header, Index: index, BodyHash: body.Sum(arc.SealDigest()), Chain: &chain,
		AuthservID: s.Domain,
		Results:    []authres.Method{{Name: "dkim", Result: msg.Want.DKIM}, {Name: "arc", Result: string(chain.Status)}},
		At:         signedAt,
	})
	if err != nil {
		return err
	}
	for _, f := range set {
		msg.Header = append(message.Header{f}, msg.Header...)
	}
	return nil
}
