package browser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
)

// Screen is a screen to view a page on.
type Screen struct {
	Width, Height int // CSS pixels
	Dark          bool
}

// Look changes the screen.
func (b *Browser) Look(s Screen) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{
		"width": s.Width, "height": s.Height, "deviceScaleFactor": 1, "mobile": s.Width < 600,
	}, nil)
	scheme := "light"
	if s.Dark {
		scheme = "dark"
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}},
	}, nil)
}

// Go loads a page, and returns once it is loaded.
func (b *Browser) Go(url string) {
	b.t.Helper()
	b.mu.Lock()
	seen := len(b.events)
	b.mu.Unlock()
	var navigation struct{ ErrorText string }
	b.call("Page.navigate", map[string]any{"url": url}, &navigation)
	if navigation.ErrorText != "" {
		b.t.Fatalf("%s: %s", url, navigation.ErrorText)
	}
	b.wait(seen, "Page.loadEventFired")
}

// wait returns once another event follows the first seen ones.
func (b *Browser) wait(seen int, method string) {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		for _, e := range b.events[seen:] {
			if e.Method == method {
				b.mu.Unlock()
				return
			}
		}
		changed, ended := b.changed, b.ended
		b.mu.Unlock()
		if ended != nil {
			b.t.Fatal(ended)
		}
		select {
		case <-changed:
		case <-deadline:
			b.t.Fatalf("no %s after %v", method, patience)
		}
	}
}

// Eval decodes the value of a JavaScript expression in the page into result.
func (b *Browser) Eval(expression string, result any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails.Text)
	}
	if err := json.Unmarshal(r.Result.Value, result); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// Screenshot returns a picture of the whole page, as PNG.
func (b *Browser) Screenshot() []byte {
	b.t.Helper()
	var r struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r)
	picture, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	return picture
}

// Complaints returns what the console shows, including what the page's policy
// has refused, and every exception.
func (b *Browser) Complaints() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		switch e.Method {
		case "Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
			all = append(all, fmt.Sprintf("%s: %s", e.Method, e.Params))
		}
	}
	return all
}

// Requests returns the address of everything that pages have requested.
func (b *Browser) Requests() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Method != "Network.requestWillBeSent" {
			continue
		}
		var p struct{ Request struct{ URL string } }
		if err := json.Unmarshal(e.Params, &p); err != nil {
			b.t.Fatal(err)
		}
		all = append(all, p.Request.URL)
	}
	return all
}
