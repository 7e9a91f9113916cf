package spf

// Identify returns the identity that [Check] evaluates for a sender, and its
// domain, "" where there is none that is valid.
func Identify(mailFrom, helo string) (id Identity, name string) {
	id, text := Helo, helo
	if mailFrom != "" {
		id = MailFrom
		_, text = splitSender(mailFrom)
	}
	name, err := initialDomain(text, errBadSender)
	if err != nil {
		return id, ""
	}
	return id, name
}
