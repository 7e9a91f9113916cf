package message

import (
	"strings"
	"testing"
)

func TestAuthorUnaddressed(t *testing.T) {
	for raw, want := range map[string]bool{
		"MAILER-DAEMON <>": true, "Mail Delivery Subsystem <MAILER-DAEMON>": true, "<>": true, "MAILER-DAEMON": true, `"Mail Delivery System" <>`: true,
		"": true, " ": true, "<MAILER-DAEMON>": true, "MAILER-DAEMON ()": true, "(Mail Delivery) <>": true, "postmaster;": true, "Postmaster: ;": true,
		"Mail Delivery, Subsystem <>": true, "Zustellung\u00e4 <>": true, "Zustellung\xe4 <>": true, "=?utf-8?q?Zustellung=C3=A4?= <>": true,
		"=?utf-8?b?U3lzdMOobWU=?= =?utf-8?q?_x?=\r\n <MAILER-DAEMON>": true, "MAILER-DAEMON\r\n <>": true, "mx.example.com <>": true,
		"=?iso-8859-1?q?Syst=E8me_de_messagerie?= <>": true, "=?ISO-8859-15*fr?Q?Syst=E8me?= <MAILER-DAEMON>": true, "=?windows-1252?q?Syst=E8me?= <>": true, "=?koi8-r?b?8M/e1M8=?= <>": true,
		"<mx.example.com>": true,

		"MAILER-DAEMON@example.com": false, "MAILER-DAEMON <@>": false, "joe@bank.example <>": false, `"joe@bank.example" <>`: false, "(joe@bank.example) <>": false,
		"root@localhost": false, "joe@[192.0.2.1]": false, "joe@b\u200eank.example": false, "joe@xn--bank-w76a.example": false, "joe\uff20bank.example <>": false, "joe\ufe6bbank <>": false,
		"joe%bank.example": false, "<joe%bank>": false, "bank.example!joe": false, "100% <>": false,
		"=?utf-8?q?joe=40bank.example?= <>": false, "=?utf-8?q?joe=EF=BC=A0bank.example?= <>": false, "=?utf-8?q?joe=25bank.example?= <>": false,
		"=?utf-7?q?joe+AEA-bank.example?= <>": false, "=?gb2312?b?o8A=?= <>": false, "=?iso-8859-1?q?joe=40bank?= <>": false, "=?iso-8859-1?q?joe=EF=BC=A0bank?= <>": false, "=?x-iso-8859-1?q?=E4?= <>": false, "=?x <>": false, "=?utf-8?x?joe?= <>": false, "=?utf-8?q?=3D=3Futf-8=3Fq=3F=3D40=3F=3D?= <>": false,
		"=?utf-8?q?joe =40bank.example?= <>": false, "MAILER-DAEMON\x00 <>": false, strings.Repeat("x", 1000) + " <>": false,
	} {
		if a := (Header{NewField("From", " "+raw)}).Author(); a.Unaddressed != want || want && len(a.Domains) > 0 {
			t.Errorf("%q: %v, %q (%v)", raw, a.Unaddressed, a.Domains, a.Err)
		}
	}
	for _, c := range []struct {
		header Header
		want   bool
	}{
		{nil, false},
		{Header{{"To", "<>"}}, false},
		{Header{{"From", "<>"}, {"From", "MAILER-DAEMON"}}, true},
		{Header{{"From", "<>"}, {"From", "joe@bank.example"}}, false},
		{Header{{"From", "joe@bank"}, {"From", "<>"}}, false},
		{Header{{"From", "<>"}, {"From\x01", "<>"}}, false},
	} {
		if a := c.header.Author(); a.Unaddressed != c.want {
			t.Errorf("%q: %v", c.header, a.Unaddressed)
		}
	}
}
