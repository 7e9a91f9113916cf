package metrics

import (
	"authmilter/verify/dmarc"
	"authmilter/verify/domain"
)

// authorDomains is the set of domains whose results are counted separately. It is
// fixed by the configuration, as senders choose the domain in a message.
type authorDomains map[string]bool

// SetAuthorDomains sets the domains, in lower-case A-labels, whose results are
// counted separately, including their subdomains. Series of other domains are
// deleted.
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

// covering returns name or its nearest ancestor that is in the set; "" if there is
// none.
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
