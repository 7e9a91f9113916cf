package corpus

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"math/rand/v2"
)

// rsaKeys is how many RSA keys the domains share.
const rsaKeys = 4

// keys are the keys of all domains. They come from the seed, as real keys never
// may.
type keys struct {
	rsa     []*rsa.PrivateKey
	ed25519 ed25519.PrivateKey
}

func newKeys(r *rand.Rand) *keys {
	k := &keys{}
	for range rsaKeys {
		k.rsa = append(k.rsa, newRSA(r, 2048))
	}
	k.ed25519 = ed25519.NewKeyFromSeed(octetsOf(r, ed25519.SeedSize))
	return k
}

func octetsOf(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// newRSA returns a key made from r; [rsa.GenerateKey] returns a different one
// each time.
func newRSA(r *rand.Rand, bits int) *rsa.PrivateKey {
	const exponent = 65537
	one := big.NewInt(1)
	for {
		p, q := newPrime(r, bits/2), newPrime(r, bits/2)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(big.NewInt(exponent), phi)
		if d == nil || p.Cmp(q) == 0 {
			continue
		}
		key := &rsa.PrivateKey{
			PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
			D:         d,
			Primes:    []*big.Int{p, q},
		}
		key.Precompute()
		return key
	}
}

func newPrime(r *rand.Rand, bits int) *big.Int {
	for {
		octets := octetsOf(r, bits/8)
		octets[0] |= 0xc0 // a product of two has all its bits
		octets[len(octets)-1] |= 1
		if p := new(big.Int).SetBytes(octets); p.ProbablyPrime(10) {
			return p
		}
	}
}

// rsaRecord and ed25519Record return key records (RFC 6376 section 3.6.1,
// RFC 8463 section 4).
func rsaRecord(key *rsa.PrivateKey) string {
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err) // an RSA key always encodes
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(public)
}

func ed25519Record(key ed25519.PrivateKey) string {
	return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}
