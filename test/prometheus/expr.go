package prometheus

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Selector is what an expression selects: a metric, and conditions on its
// labels.
type Selector struct {
	Metric   string
	Matchers []Matcher
}

// Matcher is a condition on a label.
type Matcher struct{ Label, Op, Value string }

// Alternatives returns the values that the matcher names if it is a list of
// alternatives: a and b for a|b.
func (m Matcher) Alternatives() []string {
	if m.Op == "=~" || m.Op == "!~" {
		return strings.Split(m.Value, "|")
	}
	return []string{m.Value}
}

// Expr is what ParseExpr finds in an expression.
type Expr struct {
	Selectors []Selector
	// Labels are the labels that the expression groups and joins by.
	Labels []string
}

// token matches a string, a name, a number or duration, an operator of two
// characters, or any other character. That is enough for expressions that
// Prometheus accepts.
var token = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[a-zA-Z_:][a-zA-Z0-9_:]*|[0-9][0-9a-zA-Z.]*|[=!]~|[=!<>]=|\S`)

var (
	// grouping are the words that are followed by a list of labels.
	grouping = []string{"by", "without", "on", "ignoring", "group_left", "group_right"}
	// words are followed by no list, and are not metrics.
	words = []string{"and", "or", "unless", "offset", "bool", "sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile"}
)

// ParseExpr reads an expression that is known to be valid.
func ParseExpr(text string) Expr {
	var e Expr
	tokens := token.FindAllString(text, -1)
	at := func(i int) string {
		if i < len(tokens) {
			return tokens[i]
		}
		return ""
	}
	for i := 0; i < len(tokens); i++ {
		name := tokens[i]
		switch {
		case name == "[": // a range
			for at(i) != "]" && i < len(tokens) {
				i++
			}
		case !isName(name):
		case slices.Contains(grouping, name):
			for i += 2; at(i) != ")" && i < len(tokens); i++ {
				if at(i) != "," {
					e.Labels = append(e.Labels, at(i))
				}
			}
		case slices.Contains(words, name) || at(i+1) == "(":
		default:
			s := Selector{Metric: name}
			if at(i+1) == "{" {
				for i += 2; at(i) != "}" && i < len(tokens); i++ {
					if at(i) == "," {
						continue
					}
					value, err := strconv.Unquote(at(i + 2))
					if err != nil {
						value = at(i + 2)
					}
					s.Matchers = append(s.Matchers, Matcher{Label: at(i), Op: at(i + 1), Value: value})
					i += 2
				}
			}
			e.Selectors = append(e.Selectors, s)
		}
	}
	return e
}

func isName(token string) bool {
	c := token[0]
	return c == '_' || c == ':' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
