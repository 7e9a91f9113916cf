package prometheus

import (
	"reflect"
	"testing"
)

func TestParseExpr(t *testing.T) {
	for _, test := range []struct {
		text string
		want Expr
	}{
		{`up`, Expr{Selectors: []Selector{{Metric: "up"}}}},
		{`up{job="a"} == 0`, Expr{Selectors: []Selector{{"up", []Matcher{{"job", "=", "a"}}}}}},
		{`0.5 * x offset 1d >= 1e3`, Expr{Selectors: []Selector{{Metric: "x"}}}},
		{
			`sum by (le, job) (rate(a_bucket{r!~"p|q", s != ""}[5m])) / (min(level:b:op) > 0)`,
			Expr{
				Selectors: []Selector{{"a_bucket", []Matcher{{"r", "!~", "p|q"}, {"s", "!=", ""}}}, {Metric: "level:b:op"}},
				Labels:    []string{"le", "job"},
			},
		},
		{
			`label_replace(a and on (job) b, "to", "{x}", "", "") or vector(0)`,
			Expr{Selectors: []Selector{{Metric: "a"}, {Metric: "b"}}, Labels: []string{"job"}},
		},
		{
			"topk(3, a)\n/ ignoring (k) group_left () b",
			Expr{Selectors: []Selector{{Metric: "a"}, {Metric: "b"}}, Labels: []string{"k"}},
		},
	} {
		if got := ParseExpr(test.text); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s\n got %+v\nwant %+v", test.text, got, test.want)
		}
	}
}
