package registry

import "bytes"

// openLNNTE reads a file of the Canadian registry, which is text or XML in the
// layouts of the US one.
func openLNNTE(in content) (decoder, error) {
	if in.lines.startsXML() {
		return openXML(in)
	}
	return openFTC(in)
}

// startsXML reports whether the first thing at hand that is not space is a tag.
func (l *lines) startsXML() bool {
	for {
		text := bytes.TrimLeft(l.window(), xmlSpace)
		if len(text) > 0 || len(l.window()) > maxLine || !l.fill() {
			return bytes.HasPrefix(text, []byte("<"))
		}
	}
}
