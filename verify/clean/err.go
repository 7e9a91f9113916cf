package clean

import "strings"

// Err returns the text of an error on one line, "" for nil. [errors.Join] puts
// each error on its own line; here a comma separates them. The text is not
// cleaned otherwise.
func Err(err error) string {
	if err == nil {
		return ""
	}
	return strings.ReplaceAll(err.Error(), "\n", ", ")
}
