package dkim_test

import (
	"bufio"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"regexp"
	"strings"

	"authmilter/verify/message"
)

// This file is a second implementation of what a signature covers. It follows the
// words of RFC 6376 sections 3.4 and 3.7, regardless of cost, and shares no code
// with the verifier but the one that splits a message into fields.

var (
	folds     = regexp.MustCompile(`\r\n([ \t])`)
	runs      = regexp.MustCompile(`[ \t]+`)
	lineEnds  = regexp.MustCompile(`[ \t]+\r\n`)
	lastLines = regexp.MustCompile(`(\r\n)+$`)
	valueOfB  = regexp.MustCompile(`(^|;)([ \t\r\n]*b[ \t\r\n]*=)[^;]*`)
)

func modelField(relaxed bool, f message.Field) string {
	if !relaxed {
		return f.Name + ":" + f.Raw + "\r\n"
	}
	value := runs.ReplaceAllString(folds.ReplaceAllString(f.Raw, "$1"), " ")
	return strings.ToLower(strings.Trim(f.Name, " \t")) + ":" + strings.Trim(value, " \t") + "\r\n"
}

func modelBody(relaxed bool, body string) string {
	if relaxed {
		if body != "" && !strings.HasSuffix(body, "\r\n") {
			body += "\r\n"
		}
		body = runs.ReplaceAllString(lineEnds.ReplaceAllString(body, "\r\n"), " ")
	}
	body = lastLines.ReplaceAllString(body, "")
	if body == "" && relaxed {
		return ""
	}
	return body + "\r\n"
}

// modelSelect returns the positions of the fields that names select, for a
// signature at position own, which is -1 while it is being made.
func modelSelect(h message.Header, names []string, own int) []int {
	var selected []int
	used := map[int]bool{own: true}
	for _, name := range names {
		if name == "" {
			continue
		}
		for i := len(h) - 1; i >= 0; i-- {
			if !used[i] && strings.EqualFold(strings.Trim(h[i].Name, " \t"), name) {
				used[i] = true
				selected = append(selected, i)
				break
			}
		}
	}
	return selected
}

// modelHeader returns the text to hash for a header: the fields that names select,
// and then field without the value of its b= tag and without its line end.
func modelHeader(relaxed bool, h message.Header, names []string, own int, field message.Field) string {
	var b strings.Builder
	for _, i := range modelSelect(h, names, own) {
		b.WriteString(modelField(relaxed, h[i]))
	}
	field.Raw = valueOfB.ReplaceAllString(field.Raw, "$1$2")
	b.WriteString(strings.TrimSuffix(modelField(relaxed, field), "\r\n"))
	return b.String()
}

// modelSignature returns the Ed25519 signature of signed, the result of modelHeader,
// in base64.
func modelSignature(signed string) string {
	digest := sha256.Sum256([]byte(signed))
	value, err := ed25519Key().Sign(rand.Reader, digest[:], crypto.Hash(0))
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(value)
}

// split returns the fields and the body of a message.
func split(msg string) (message.Header, string) {
	h, r, err := message.ReadHeader(bufio.NewReader(strings.NewReader(msg)), message.Limits{Bytes: 1 << 20, Fields: 2000})
	if err != nil {
		panic(err)
	}
	body, err := io.ReadAll(r)
	if err != nil {
		panic(err)
	}
	return h, string(body)
}
