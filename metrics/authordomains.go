package metrics

import (
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
)

// authorDomains are those whose results are counted one by one: a fixed list,
// since whoever sends mail chooses what it is from.
type authorDomains map[string]bool

// SetAuthorDomains has the results of these domains, which are lower-case
// A-labels, and their subdomains counted by domain. Others are not any more.
func (m *Metrics) SetAuthorDomains(names []string) {
	set := authorDomains{}
	for _, name := range names {
		set[name] = true
	}
	if old := m.authorDomains.Swap(&set); old != nil {
		for name := range *old {
			if !set[name] {
				m.authors.DeletePartialMatch(map[string]string{"author_domain": name})
			}
		}
	}
	for name := range set {
		for _, s := range dmarc.Statuses() {
			m.authors.WithLabelValues(name, string(s))
		}
	}
}

// covering returns the domain of the list that name is or is below, the nearest
// one; "" where there is none.
func (a *authorDomains) covering(name string) string {
	if a == nil || len(*a) == 0 {
		return ""
	}
	for name != "" {
		if (*a)[name] {
			return name
		}
		name = domain.Parent(name)
	}
	return ""
}
