package statuspage

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// luminance returns the relative luminance of a colour (WCAG 2.2).
func luminance(t *testing.T, color string) float64 {
	t.Helper()
	hex := strings.TrimPrefix(color, "#")
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	n, err := strconv.ParseUint(hex, 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	part := func(shift uint) float64 {
		c := float64(n>>shift&0xff) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*part(16) + 0.7152*part(8) + 0.0722*part(0)
}

// TestContrast holds the colours of both schemes to the minimum contrast of WCAG 2.2:
// 4.5 for text (1.4.3) and 3 for parts of drawings (1.4.11).
func TestContrast(t *testing.T) {
	light, dark, ok := strings.Cut(pageCSS, "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("no dark scheme")
	}
	variable := regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{3,6});`)
	for scheme, css := range map[string]string{"light": light, "dark": dark} {
		colors := map[string]string{}
		for _, m := range variable.FindAllStringSubmatch(css, -1) {
			colors[m[1]] = m[2]
		}
		for _, test := range []struct {
			names  string
			ground string
			least  float64
		}{
			{"text soft link good flat warn wait bad", "card", 4.5},
			{"text soft link", "page", 4.5},
			{"fill-good fill-flat fill-warn fill-wait fill-bad bar-none bar-skipped", "card", 3},
		} {
			for _, name := range strings.Fields(test.names) {
				if colors[name] == "" || colors[test.ground] == "" {
					t.Errorf("%s: no colour %s on %s", scheme, name, test.ground)
					continue
				}
				a, b := luminance(t, colors[name]), luminance(t, colors[test.ground])
				if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); got < test.least {
					t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", scheme, name, test.ground, got, test.least)
				}
			}
		}
	}
}
