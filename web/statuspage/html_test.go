package statuspage

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// elements lists the elements that a page may have.
var elements = []string{
	"a", "b", "body", "caption", "dd", "div", "dl", "dt", "figcaption", "figure", "h1", "h2", "head", "header", "html", "i", "li", "main",
	"meta", "p", "path", "pre", "rect", "section", "small", "span", "style", "svg", "table", "tbody", "td", "th", "thead", "time", "title",
	"tr", "ul",
}

// attributes lists the attributes that they may have.
var attributes = []string{
	"aria-hidden", "aria-labelledby", "charset", "class", "colspan", "content", "d", "data-label", "datetime", "height", "href",
	"http-equiv", "id", "lang", "name", "preserveAspectRatio", "role", "rowspan", "scope", "tabindex", "viewBox", "width", "x", "y",
}

// parse returns the elements of a page. It reports an error for elements and
// attributes that could run or fetch something.
func parse(t *testing.T, page string) []*html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var all []*html.Node
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		all = append(all, n)
		if !slices.Contains(elements, n.Data) {
			t.Errorf("element %s", n.Data)
		}
		for _, a := range n.Attr {
			if !slices.Contains(attributes, a.Key) {
				t.Errorf("%s has the attribute %s", n.Data, a.Key)
			}
			if a.Key == "href" && !strings.HasPrefix(a.Val, "?") {
				t.Errorf("a link to %s", a.Val)
			}
		}
	}
	return all
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// textOf returns the text below n.
func textOf(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// row returns the cells of the first row in a section whose text begins with name.
func row(t *testing.T, nodes []*html.Node, section, name string) []string {
	t.Helper()
	for _, n := range nodes {
		if n.Data != "section" || attribute(n, "aria-labelledby") != section {
			continue
		}
		for d := range n.Descendants() {
			if d.Type != html.ElementNode || d.Data != "tr" {
				continue
			}
			var cells []string
			for c := range d.ChildNodes() {
				if c.Type == html.ElementNode {
					cells = append(cells, textOf(c))
				}
			}
			if strings.HasPrefix(strings.Join(cells, " ")+" ", name) {
				return cells
			}
		}
	}
	t.Errorf("no row %q in %s", name, section)
	return nil
}

// TestPageIsHarmless holds that the page has nothing that runs or fetches, and that
// the Content-Security-Policy allows its style.
func TestPageIsHarmless(t *testing.T) {
	for _, mode := range []Privacy{Full, Anonymous} {
		p := filled(mode)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		page := w.Body.String()
		parse(t, page)
		for _, forbidden := range []string{"<script", "style=", "http://", "https://", "url(", "@import", "javascript:", "<link", "<img", "<iframe", "<form"} {
			if strings.Contains(page, forbidden) {
				t.Errorf("%v: the page holds %s", mode, forbidden)
			}
		}
		begin, end := strings.Index(page, "<style>"), strings.Index(page, "</style>")
		if begin < 0 || end < 0 || strings.Count(page, "<style") != 1 {
			t.Fatalf("%v: not one style element", mode)
		}
		sum := sha256.Sum256([]byte(page[begin+len("<style>") : end]))
		want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
		if got := w.Header().Get("Content-Security-Policy"); got != want {
			t.Errorf("%v: Content-Security-Policy\n%s\nwant\n%s", mode, got, want)
		}
	}
}

// TestEveryClassHasAStyle holds that the style sheet has every class in use.
func TestEveryClassHasAStyle(t *testing.T) {
	nodes := append(parse(t, get(t, filled(Full))), parse(t, get(t, few()))...)
	used := map[string]bool{}
	for _, n := range nodes {
		for _, class := range strings.Fields(attribute(n, "class")) {
			used[class] = true
		}
	}
	for class := range used {
		if !strings.Contains(pageCSS, "."+class) {
			t.Errorf("class %s has no style", class)
		}
	}
}

// TestAccessibility holds that a screen reader finds its way.
func TestAccessibility(t *testing.T) {
	nodes := parse(t, get(t, filled(Full)))
	ids := map[string]int{}
	for _, n := range nodes {
		if id := attribute(n, "id"); id != "" {
			ids[id]++
		}
	}
	for _, n := range nodes {
		child := func(name string) bool {
			for c := range n.ChildNodes() {
				if c.Type == html.ElementNode && c.Data == name && textOf(c) != "" {
					return true
				}
			}
			return false
		}
		switch n.Data {
		case "html":
			if attribute(n, "lang") != "en" {
				t.Error("no language")
			}
		case "table":
			if !child("caption") {
				t.Errorf("a table without a caption: %.60s", textOf(n))
			}
		case "svg":
			if attribute(n, "role") != "img" || !child("title") {
				t.Error("a drawing without a title")
			}
		case "th":
			if attribute(n, "scope") == "" {
				t.Errorf("a heading without a scope: %s", textOf(n))
			}
		}
		if by := attribute(n, "aria-labelledby"); by != "" && ids[by] != 1 {
			t.Errorf("%d elements are called %s", ids[by], by)
		}
	}
}
