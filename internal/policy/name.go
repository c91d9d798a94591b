package policy

// MaxName is how long a name is at most, in bytes.
const MaxName = 64

// maxNameDigits is how many digits a name may have without a letter between them: a date, and no phone number, however it
// is divided.
const maxNameDigits = 8

// IsName reports whether a text is a name of a list or of a key: 1 to 64 of [a-z0-9._-], beginning with a letter or digit,
// with at most 8 digits between two letters. Names appear in logs, so no name may be a person's number.
func IsName(name string) bool {
	if name == "" || len(name) > MaxName || name[0] == '.' || name[0] == '_' || name[0] == '-' {
		return false
	}
	digits := 0
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z':
			digits = 0
		case '0' <= c && c <= '9':
			digits++
		case c != '.' && c != '_' && c != '-':
			return false
		}
		if digits > maxNameDigits {
			return false
		}
	}
	return true
}
