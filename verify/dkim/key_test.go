package dkim_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"authmilter/verify/dkim"
)

func TestParseKey(t *testing.T) {
	rsaPublic := rsaKey().Public().(*rsa.PublicKey)
	spki, err := x509.MarshalPKIXPublicKey(rsaPublic)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(spki)
	plainRSA := base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(rsaPublic))
	ed := ed25519Key().Public()
	key := func(edit func(*dkim.Key)) *dkim.Key {
		k := &dkim.Key{Type: dkim.RSA, Public: rsaPublic, Bits: 2048}
		edit(k)
		return k
	}
	same := func(*dkim.Key) {}
	for _, test := range []struct {
		txt  string
		want *dkim.Key
	}{
		{"p=" + text, key(same)},
		{"v=DKIM1;p=" + text, key(same)},
		{" v = DKIM1 ; k = RSA ; p = " + text + " ; ", key(same)},
		{"k=rsa; p=" + text[:50] + " " + text[50:90] + "\t" + text[90:], key(same)},
		{"v=DKIM1;; p=" + text + ";;", key(same)},
		// Line ends, with and without white space after them.
		{"v=DKIM1; p=" + text[:50] + "\n" + text[50:90] + "\r\n" + text[90:100] + "\r" + text[100:] + "\r\n", key(same)},
		{"v=DKIM1; p=" + text[:50] + "\n\n\t" + text[50:90] + " \r\n " + text[90:], key(same)},
		{"v\n=\nDKIM1\n;\r\nk\r=\rrsa\r;\nn=two\nlines;\np\n=\n" + text + "\n;\n", key(same)},
		{"h=sha1\n:\nsha256; s=email\r\n; t=y\n:s; p=" + text, key(func(k *dkim.Key) {
			k.Hashes, k.Services, k.Testing, k.Strict = []string{"sha1", "sha256"}, []string{"email"}, true, true
		})},
		{"p=" + plainRSA, key(same)},
		{"n=ignore this =20 text; x=; p=" + text, key(same)},
		{"g=*; p=" + text, key(same)}, // g= is from RFC 4871
		{"t=y; p=" + text, key(func(k *dkim.Key) { k.Testing = true })},
		{"t= s : x : Y ; p=" + text, key(func(k *dkim.Key) { k.Testing, k.Strict = true, true })},
		{"t=; p=" + text, key(same)},
		{"h= SHA256 : sha1; p=" + text, key(func(k *dkim.Key) { k.Hashes = []string{"sha256", "sha1"} })},
		{"h=; p=" + text, key(func(k *dkim.Key) { k.Hashes = []string{""} })}, // empty, which allows none (section 3.2)
		{"s=email:*; p=" + text, key(func(k *dkim.Key) { k.Services = []string{"email", "*"} })},
		{record(ed, ""), &dkim.Key{Type: dkim.Ed25519, Public: ed, Bits: 256}},
		{"k=ED25519; p=" + base64.StdEncoding.EncodeToString(ed25519Key()[32:]), &dkim.Key{Type: dkim.Ed25519, Public: ed, Bits: 256}},
	} {
		if got, err := dkim.ParseKey(test.txt); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %+v, %v", test.txt, got, err)
		}
	}
}

func TestParseBadKey(t *testing.T) {
	public := rsaKey().Public().(*rsa.PublicKey)
	with := func(edit func(*rsa.PublicKey)) string {
		k := &rsa.PublicKey{N: new(big.Int).Set(public.N), E: public.E}
		edit(k)
		return record(k, "")
	}
	good := record(public, "")
	text := good[strings.Index(good, "p=")+2:]
	exponent := func(e int) string { return with(func(k *rsa.PublicKey) { k.E = e }) }
	for _, test := range []struct{ txt, err string }{
		{"", "malformed key record: malformed tag list"},
		{" ", "malformed key record: malformed tag list"},
		{"v=spf1 -all", "malformed key record: tag v="},
		{"google-site-verification", "malformed key record: malformed tag list"},
		{"v=DKIM1", "malformed key record: tag p= is missing"},
		{"v=dkim1; p=" + text, "malformed key record: tag v="},
		{"v=DKIM1.0; p=" + text, "malformed key record: tag v="},
		{"v=; p=" + text, "malformed key record: tag v="},
		{"k=rsa; v=DKIM1; p=" + text, "malformed key record: tag v="},
		{"v=DKIM1\\; p=" + text, "malformed key record: tag v="},
		{"\"v=DKIM1; p=" + text + "\"", "malformed key record: malformed tag list"},
		{"v=DKIM1; p=" + text + "; p=" + text, "malformed key record: duplicate tag"},
		{"v=DKIM1; P=" + text, "malformed key record: tag p= is missing"},
		{"v=DKIM1; p", "malformed key record: malformed tag list"},
		{"v=DKIM1; p=", "key revoked"},
		{"v=DKIM1; p= \t ;", "key revoked"},
		{"v=DKIM1; k=rsa; p=%", "malformed key record: tag p= is not base64"},
		{"v=DKIM1; p=" + text[:len(text)-1], "malformed key record: tag p= is not an RSA key"},
		{"v=DKIM1; p=" + text[:len(text)-3], "malformed key record: tag p= is not base64"}, // the last character encodes no octet
		{"v=DKIM1; p=" + text + "===", "malformed key record: tag p= is not base64"},
		{"v=DKIM1; p=" + text[:8] + "=" + text[8:], "malformed key record: tag p= is not base64"},
		{"v=DKIM1; p==", "malformed key record: tag p= is not an RSA key"},
		{"v=DKIM1; p=" + text[:len(text)-4], "malformed key record: tag p= is not an RSA key"},
		{"v=DKIM1; p=AAAA" + text, "malformed key record: tag p= is not an RSA key"},
		{"v=DKIM1; p=" + text + strings.Repeat("A", 4096), "malformed key record: tag p= is too long"},
		{"v=DKIM1; k=dsa; p=" + text, "malformed key record: unknown key type"},
		{"v=DKIM1; k=; p=" + text, "malformed key record: unknown key type"},
		{"v=DKIM1; k=ed25519; p=" + text, "malformed key record: tag p= is not an Ed25519 key"},
		{record(ed25519Key().Public(), "")[len("v=DKIM1; k=ed25519; "):], "malformed key record: tag p= is not an RSA key"},
		{exponent(1), "malformed key record: unusable RSA key"},
		{exponent(2), "malformed key record: unusable RSA key"},
		{exponent(65536), "malformed key record: unusable RSA key"},
		{exponent(1<<31 + 1), "malformed key record: unusable RSA key"},
		{with(func(k *rsa.PublicKey) { k.N.SetBit(k.N, 0, 0) }), "malformed key record: unusable RSA key"},
		{with(func(k *rsa.PublicKey) { k.N.SetInt64(0) }), "malformed key record: tag p= is not an RSA key"},
		{with(func(k *rsa.PublicKey) { k.N.Neg(k.N) }), "malformed key record: tag p= is not an RSA key"},
		{"v=DKIM1; p=\r\n \n", "key revoked"},
		{"v=DK\nIM1; p=" + text, "malformed key record: tag v="},
		{"v=DKIM1; p=" + text + "; n\nn=x", "malformed key record: malformed tag list"},
		{"v=DKIM1; p=" + text[:8] + "\x00" + text[8:], "malformed key record: malformed tag list"},
		{"v=DKIM1; p=" + text + "; \x00=x", "malformed key record: malformed tag list"},
		{"v=DKIM1; p=" + text + strings.Repeat("; n=x", 100), "malformed key record: duplicate tag"},
		{strings.Repeat("a", 70_000), "malformed key record: malformed tag list"},
	} {
		key, err := dkim.ParseKey(test.txt)
		var e *dkim.Error
		if err == nil || err.Error() != test.err || !errors.As(err, &e) || e.Status != dkim.PermError || key != nil {
			t.Errorf("%.80q: %v, %v, want %s", test.txt, key, err, test.err)
		}
	}
	for _, e := range []int{3, 17, 65537, 1<<31 - 1} {
		if _, err := dkim.ParseKey(exponent(e)); err != nil {
			t.Errorf("exponent %d: %v", e, err)
		}
	}
}
