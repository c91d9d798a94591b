package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"html"
	"html/template"
	"io"

	"github.com/dncd/dncd/internal/feed"
)

// dossierPage is one printable page without scripts or other files. The note stands at its end, unchanged.
var dossierPage = template.Must(template.New("dossier").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{{.Title}}</title>
<style>
body { font: 10pt/1.4 sans-serif; max-width: 50em; margin: 2em auto; }
h1 { font-size: 13pt; } h2 { font-size: 11pt; }
li { white-space: pre-wrap; overflow-wrap: anywhere; }
pre { font-size: 6pt; white-space: pre-wrap; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>{{.Title}}</h1>
{{range .Parts}}<h2>{{.Title}}</h2>
<ul>
{{range .Lines}}<li>{{.}}</li>
{{end}}</ul>
{{end}}<h2>What verifies it</h2>
<ul>
<li>SHA-256 of the signed note: {{.Hash}}</li>
<li>key of the server: {{.Key}}</li>
<li>{{.Fingerprint}}</li>
</ul>
<p>The signed note follows. "dnc verify" reads this page, and compares it with the note.</p>
<pre>{{.Note}}</pre>
</body>
</html>
`))

// writeDossierPage writes the page of a dossier. It depends on nothing but the note.
func writeDossierPage(w io.Writer, d *feed.Dossier, note []byte) error {
	key, err := feed.ParsePublicKey(d.ServerKey)
	if err != nil {
		return err
	}
	return dossierPage.Execute(w, map[string]any{
		"Title": dossierTitle(d), "Parts": dossierParts(d), "Note": string(note),
		"Hash": fmt.Sprintf("%x", sha256.Sum256(note)), "Key": key.Name(), "Fingerprint": key.Fingerprint(),
	})
}

// noteOfPage returns the note of a page that writeDossierPage wrote; false: it is no page.
func noteOfPage(page []byte) (note []byte, isPage bool) {
	_, rest, isPage := bytes.Cut(page, []byte("<pre>"))
	text, _, ends := bytes.Cut(rest, []byte("</pre>"))
	if !isPage || !ends || !bytes.HasPrefix(page, []byte("<!DOCTYPE html>")) {
		return nil, false
	}
	return []byte(html.UnescapeString(string(text))), true
}

// isPageOf reports whether a page is exactly that of a note.
func isPageOf(page []byte, d *feed.Dossier, note []byte) bool {
	var want bytes.Buffer
	return writeDossierPage(&want, d, note) == nil && bytes.Equal(want.Bytes(), page)
}
