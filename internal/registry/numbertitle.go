package registry

import (
	"regexp"
	"strings"

	"github.com/dncd/dncd/internal/phone"
)

// obvious reports whether a title can only mean a phone number.
func obvious(title string) bool { return numberTitle.MatchString(titleKey(title)) }

// numberTitle takes a titleKey: what CRMs, address books and call centres call their columns of numbers.
var numberTitle = regexp.MustCompile(`^(?:` +
	`(?:home|work|mobile|cell|business|company|office|primary|secondary|main|other|alternate|contact|customer|client|lead|caller|consumer|personal|private|landline)*` +
	`(?:phone|telephone|tel|mobile|mobilephone|cell|cellphone|landline|msisdn)(?:number|no|nr)?[0-9]?(?:value)?` +
	`|number[0-9]?` +
	`|(?:numero|numeros?de|ne?de|num|n)?(?:telephone|tel|portable|mobile)(?:portable|mobile|fixe|domicile|travail|bureau)?[0-9]?` +
	`|numero[0-9]?` +
	`)$`)

// ReasonTitle is the title of the column that says why a row is in a reject or remark file. A file that is imported may
// have it: it counts for nothing.
const ReasonTitle = "dncd_reason"

// mentionsPhone reports whether a title has to do with phones, though it may say something else than the number.
func mentionsPhone(title string) bool {
	key := titleKey(title)
	for _, word := range []string{"phone", "mobile", "msisdn", "whatsapp", "telefon", "telefono", "portable", "cell"} {
		if strings.Contains(key, word) {
			return true
		}
	}
	return false
}

// look is what the cells of a column look like, by the first records.
type look int

const (
	// taken: the user named the column as something else.
	taken look = iota - 1
	looksOther
	looksLikeDigits    // numbers of a region perhaps, or of accounts
	looksInternational // numbers with their country
)

// plausible reports whether a column that looks so could hold the number.
func (l look) plausible(title string) bool {
	key := titleKey(title)
	switch {
	case key == titleKey(ReasonTitle), strings.Contains(key, "fax"), isFieldTitle(title):
		return false
	case l == looksLikeDigits:
		return mentionsPhone(title)
	}
	return l == looksInternational
}

// lookRecords is how many records show what columns look like.
const lookRecords = 100

// looksOf returns what each column looks like: what most of its cells look like that are not empty.
func looksOf(records [][]string, width int, region phone.Region) []look {
	filled, digits, international := make([]int, width), make([]int, width), make([]int, width)
	for _, cells := range records {
		for i, cell := range cells[:min(len(cells), width)] {
			if cell = strings.TrimSpace(cell); cell == "" {
				continue
			}
			filled[i]++
			switch lookOf(cell, region) {
			case looksInternational:
				international[i]++
			case looksLikeDigits:
				digits[i]++
			}
		}
	}
	list := make([]look, width)
	for i := range list {
		switch {
		case 2*international[i] > filled[i]:
			list[i] = looksInternational
		case 2*(international[i]+digits[i]) > filled[i]:
			list[i] = looksLikeDigits
		}
	}
	return list
}

// dateLike begins as dates do. Four groups of digits or more are a French number.
var dateLike = regexp.MustCompile(`^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:$|[T ])`)

func lookOf(cell string, region phone.Region) look {
	if n := len(strings.Map(digitOnly, cell)); n < 7 || n > 24 || dateLike.MatchString(cell) {
		return looksOther
	}
	if _, reason := parseValue([]byte(cell), 0, false); reason == "" {
		return looksInternational
	} else if reason == ReasonNational && region == 0 {
		return looksLikeDigits
	}
	if _, reason := parseValue([]byte(cell), region, false); reason == "" {
		return looksLikeDigits
	}
	return looksOther
}
