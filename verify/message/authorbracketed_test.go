package message

import "testing"

// In each of these fields only some readers show an author other than the one in
// angle brackets.
func TestAuthorBracketed(t *testing.T) {
	for _, raw := range []string{
		"joe@bank.example (via Docs) <docs@service.example>", "joe@bank.example (via Docs, Inc.) <docs@service.example>",
		"joe@bank.example(via Docs)<docs@service.example>", "joe@bank.example (via (our) Docs) <docs@service.example>",
		"joe@bank.example [Docs] <docs@service.example>", "[Docs] joe@bank.example <docs@service.example>", "Joe [joe@bank.example] <docs@service.example>",
		"Docs: joe@bank.example <docs@service.example>", "joe@bank.example: Docs <docs@service.example>", "Re: [Docs] joe@bank.example <docs@service.example>",
		"Docs: joe@bank.example (x) <docs@service.example>;", `"Docs": joe@bank.example <docs@service.example>`, `"joe@bank.example": <docs@service.example>;`,
		`joe@bank.example "Docs" <docs@service.example>`, `"joe@bank.example" [Docs] <docs@service.example>`, `"Doe, Joe" joe@bank.example (x) <docs@service.example>`,
		"=?utf-8?q?joe=40bank.example?= [Docs] <docs@service.example>", "=?utf-8?q?J=C3=B6?= joe@bank.example (via Docs) <docs@service.example>",
		"joe@bank.example (via =?utf-8?q?D=C3=B6cs?=) <docs@service.example>", "Jörg joe@bank.example (via Docs) <docs@service.example>",
		"joe@bank.example (via Docs)\r\n <docs@service.example>", "joe@bank.example\r\n\t(via Docs) <docs@service.example>", "joe@bank.example.  [Docs] <docs@service.example>",
		"joe@bank.example (via Docs) <docs@service.example> (x)", "joe@bank.example [Docs] <docs@service.example>,", "joe@bank.example (x) <docs@service.example> via list",
		"(joe@bank.example (Joe)) <docs@service.example>",
	} {
		a := Header{NewField("From", " "+raw)}.Author()
		if a.Bracketed != "service.example" || a.Unjudged() || len(a.Domains) < 2 {
			t.Errorf("%q: %q of %q (%v)", raw, a.Bracketed, a.Domains, a.Err)
		}
	}
}

// In these fields most readers may show another author, or there is none.
func TestAuthorNotBracketed(t *testing.T) {
	for _, h := range []Header{
		{{"From", "joe@bank.example (via Docs) <docs@service.example>"}, {"From", "docs@service.example"}},
		{{"From", "docs@service.example"}, {"From", "joe@bank.example (via Docs) <docs@service.example>"}},
		{{"From\x01", "joe@bank.example (via Docs) <docs@service.example>"}, {"Fro\xffm", "x@service.example"}},
	} {
		if a := h.Author(); a.Bracketed != "" {
			t.Errorf("%q: %q", h, a.Bracketed)
		}
	}
	for _, raw := range []string{
		// Lists.
		"joe@bank.example, Docs <docs@service.example>", "joe@bank.example, <docs@service.example>", "joe@bank.example; Docs <docs@service.example>",
		"Docs: joe@bank.example, docs@service.example;", "Docs: joe@bank.example, <docs@service.example>;", "G: joe@bank.example;, <docs@service.example>",
		"[Docs] <docs@service.example>, joe@bank.example", "[Docs] <docs@service.example>; joe@bank.example", "[Docs], joe@bank.example (x) <docs@service.example>",
		`joe@bank.example [x] \, <docs@service.example>`, `joe@bank.example \"x, <docs@service.example>`,
		// Several brackets, brackets in quotes and comments, nested ones.
		"<joe@bank.example> [x] <docs@service.example>", "[x] <docs@service.example> <joe@bank.example>", `"<joe@bank.example>" [x] <docs@service.example>`,
		"(<joe@bank.example>) [x] <docs@service.example>", "joe@bank.example [x] <<docs@service.example>>", "joe@bank.example> [x] <docs@service.example>",
		"joe@bank.example [x] >docs@service.example<", `"joe@bank.example [x] <docs@service.example>`, "joe@bank.example (x <docs@service.example>",
		"joe@bank.example x) <docs@service.example>", `joe@bank.example "x <docs@service.example>"`, `joe@bank.example [x] "<docs@service.example>"`,
		"=?utf-8?q?=3Cjoe=40bank.example=3E?= [x] <docs@service.example>",
		// No plain address in the brackets, or none that is an author's.
		"joe@bank.example [x] <docs>", "joe@bank.example [x] <>", "joe@bank.example [x] <docs@service>", "joe@bank.example [x] <docs@[192.0.2.1]>",
		`[x] <"joe@bank.example"@service.example>`, "joe@bank.example [x] <docs @service.example>", "joe@bank.example [x] <docs@service.example(x)>",
		"joe@bank.example [x] < docs@service.example>", "[x] <@bank.example:docs@service.example>", "[x] <joe@bank.example@service.example>", "joe@bank.example [x] <=?utf-8?q?docs?=@service.example>",
		"joe@bank.example [x] <a@service.example, b@service.example>", "joe@bank.example [x] <docs@serv\u200eice.example>", "joe@bank.example [x] <docs@service.example",
		// Controls, authors that cannot be judged, words that MTAs split.
		"joe@bank.example\r[x] <docs@service.example>", "joe@bank.example\n[x] <docs@service.example>", "joe@bank.example (\x01) <docs@service.example>",
		"joe@bank.example\x00 [x] <docs@service.example>", "joe@[192.0.2.1] joe@bank.example [x] <docs@service.example>", "joe@%bank.example [x] <docs@service.example>",
		"joe@xn--bank-w76a.example joe@bank.example [x] <docs@service.example>", "[x] <docs@service.example> joe@bank.example", "[x] <docs@service.example> (joe@bank.example)",
		"joe@bank.example [x] " + list(20, "a@d%d.example") + " <docs@service.example>", `joe@bank.example "` + string(make([]byte, 300)) + `" <docs@service.example>`,
		// One author only.
		"docs@service.example", "Docs <docs@service.example>", "joe@bank.example <docs@service.example>", "joe@service.example (via Docs) <docs@service.example>",
		"joe@bank.example (via Docs) docs@service.example", "",
	} {
		a := Header{NewField("From", " "+raw)}.Author()
		if a.Bracketed != "" {
			t.Errorf("%q: %q of %q (%v)", raw, a.Bracketed, a.Domains, a.Err)
		}
	}
}
