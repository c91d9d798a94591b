// Command gen writes zones.txt, the time zones of numbers, from the data of libphonenumber that nyaruka/phonenumbers holds. The
// package does not list its prefixes, so this reads the file itself.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers"
	"google.golang.org/protobuf/proto"

	"github.com/dncd/dncd/internal/phone"
)

const module = "github.com/nyaruka/phonenumbers"

func main() {
	text, err := zones()
	if err == nil {
		err = os.WriteFile("zones.txt", text, 0o644) //nolint:gosec // source code
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func zones() ([]byte, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}} {{.Version}}", module).Output() //nolint:gosec // a constant
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", module, err)
	}
	dir, version, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	packed, err := os.ReadFile(filepath.Join(dir, "data", "prefix_to_timezone.xml.gz")) //nolint:gosec // of the module
	if err != nil {
		return nil, err
	}
	prefixes, err := read(packed)
	if err != nil {
		return nil, err
	}
	for p := range prefixes {
		if code := callingCode(p); prefixes[p] != byPrefix(prefixes, code) && moves(code, p[len(code):]) {
			prefixes[p] = byPrefix(prefixes, code)
		}
	}
	return write(prefixes, version), nil
}

// read returns the zones of each prefix: names separated by commas.
func read(packed []byte) (map[string]string, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(unpacked)
	var size, count uint32
	if err := binary.Read(in, binary.LittleEndian, &size); err != nil {
		return nil, err
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(in, text); err != nil {
		return nil, err
	}
	names := strings.Split(string(text), "\n")
	if err := binary.Read(in, binary.LittleEndian, &count); err != nil {
		return nil, err
	}
	prefixes := make(map[string]string, count)
	prefix := uint64(0)
	for range count {
		step, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		prefix += step
		if prefixes[strconv.FormatUint(prefix, 10)], err = readNames(in, names); err != nil {
			return nil, err
		}
	}
	return prefixes, nil
}

func readNames(in *bufio.Reader, names []string) (string, error) {
	count, err := in.ReadByte()
	if err != nil {
		return "", err
	}
	places := make([]uint16, count)
	if err := binary.Read(in, binary.LittleEndian, places); err != nil {
		return "", err
	}
	var found []string
	for _, i := range places {
		if int(i) >= len(names) {
			return "", errors.New("a name that is not there")
		}
		found = append(found, names[i])
	}
	return strings.Join(found, ","), nil
}

// callingCode is the calling code that digits begin with.
func callingCode(digits string) string {
	codes := phonenumbers.GetSupportedCallingCodes()
	for n := 1; n <= min(3, len(digits)); n++ {
		if code, err := strconv.Atoi(digits[:n]); err == nil && codes[code] {
			return digits[:n]
		}
	}
	return digits
}

// moves reports whether numbers that begin so may be of no fixed place, such as most mobile ones. Then all of the country's
// zones are theirs, as in libphonenumber's own mapper. It tries a hundred numbers of each length.
func moves(code, national string) bool {
	if code == "1" { // mobile numbers have the area codes of others, and freephone numbers have no prefix of their own
		return false
	}
	country, _ := strconv.ParseInt(code, 10, 32)
	for length := max(len(national), 4); length <= phone.MaxDigits-len(code); length++ {
		first, _ := strconv.ParseUint(national+strings.Repeat("0", length-len(national)), 10, 64)
		size := uint64(math.Pow10(length - len(national)))
		tries := min(size, 100)
		for i := range tries {
			n := first + (2*i+1)*size/(2*tries)
			if _, err := phone.FromDigits(uint64(country)*uint64(math.Pow10(length)) + n); err != nil {
				continue // no number of that country is as long
			}
			if !isOfAPlace(&phonenumbers.PhoneNumber{CountryCode: proto.Int32(int32(country)), NationalNumber: proto.Uint64(n)}) {
				return true
			}
		}
	}
	return false
}

// geographicMobile are the calling codes in which a mobile number says where it is from.
var geographicMobile = []int32{52, 54, 55, 62, 86}

// isOfAPlace reports whether a number is none, or one that says where it is from.
func isOfAPlace(n *phonenumbers.PhoneNumber) bool {
	switch phonenumbers.GetNumberType(n) {
	case phonenumbers.UNKNOWN, phonenumbers.FIXED_LINE, phonenumbers.FIXED_LINE_OR_MOBILE:
		return true
	case phonenumbers.MOBILE:
		return slices.Contains(geographicMobile, n.GetCountryCode())
	}
	return false
}

// write writes a line for each group of zones with its prefixes, without those that say what a shorter one does.
func write(prefixes map[string]string, version string) []byte {
	groups := make(map[string][]string)
	for _, p := range slices.Sorted(maps.Keys(prefixes)) {
		zones := prefixes[p]
		if zones != byPrefix(prefixes, p[:len(p)-1]) {
			groups[zones] = append(groups[zones], p)
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# The time zones of numbers: zones, and the digits that such numbers begin with. The longest prefix counts.\n"+
		"# From libphonenumber's data in %s %s, by internal/place/internal/gen.\n", module, version)
	for _, zones := range slices.Sorted(maps.Keys(groups)) {
		fmt.Fprintf(&b, "%s: %s\n", zones, strings.Join(groups[zones], " "))
	}
	return b.Bytes()
}

// byPrefix are the zones of the longest prefix of p; empty: none.
func byPrefix(prefixes map[string]string, p string) string {
	for ; p != ""; p = p[:len(p)-1] {
		if zones, ok := prefixes[p]; ok {
			return zones
		}
	}
	return ""
}
