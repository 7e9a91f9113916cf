package need

import (
	"os"
	"path/filepath"
	"testing"
)

func TestRequired(t *testing.T) {
	for _, test := range []struct {
		ci, require string
		want        bool
	}{
		{"", "", false},
		{"true", "", true},
		{"false", "", false},
		{"", "1", true},
	} {
		t.Setenv("CI", test.ci)
		t.Setenv("AUTHMILTER_TEST_REQUIRE", test.require)
		if got := Required(); got != test.want {
			t.Errorf("CI=%s AUTHMILTER_TEST_REQUIRE=%s: %t", test.ci, test.require, got)
		}
	}
}

func TestLocate(t *testing.T) {
	shared := filepath.Join(t.TempDir(), "shared")
	if err := os.MkdirAll(filepath.Join(shared, "suites"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(shared, "suites", "a.yml"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		shared, name    string
		absent, missing bool
	}{
		{shared: shared, name: "suites/a.yml"},
		{shared: shared, name: "suites/b.yml", missing: true},
		{shared: shared, name: "faults/a/message.eml", absent: true},
		{shared: shared + "/none", name: "suites/a.yml", absent: true},
	} {
		path, absent, missing := locate(test.shared, test.name)
		if (absent != nil) != test.absent || (missing != nil) != test.missing {
			t.Errorf("%s: absent %v, missing %v", test.name, absent, missing)
		}
		if absent == nil && path != filepath.Join(test.shared, test.name) {
			t.Errorf("%s: path %s", test.name, path)
		}
	}
}

func TestModule(t *testing.T) {
	if dir := Module(t, "blitiri.com.ar/go/spf"); !filepath.IsAbs(dir) {
		t.Errorf("%q", dir)
	}
}
