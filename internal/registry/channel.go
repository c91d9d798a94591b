package registry

import "strings"

// Channel is how an opt-out came in; "" is not said.
type Channel string

// The channels, named as in the contract.
const (
	Call         Channel = "CALL"
	Email        Channel = "EMAIL"
	Letter       Channel = "LETTER"
	SMS          Channel = "SMS"
	Web          Channel = "WEB"
	InPerson     Channel = "IN_PERSON"
	OtherChannel Channel = "OTHER"
)

// parseChannel reads a channel as files name it, in English or French. What it
// does not know is another channel, never an error: the objection counts
// however it came in.
func parseChannel(text string) Channel {
	switch titleKey(text) {
	case "":
		return ""
	case "call", "calls", "phone", "phonecall", "telephone", "tel", "voice", "ivr",
		"appel", "appeltelephonique", "partelephone", "voix", "svi":
		return Call
	case "email", "mail", "mel", "courriel", "courrierelectronique", "parmail", "paremail":
		return Email
	case "letter", "post", "postalmail", "courrier", "courrierpostal", "lettre", "poste":
		return Letter
	case "sms", "text", "textmessage", "texto", "messagetexte":
		return SMS
	case "web", "website", "site", "online", "webform", "app",
		"siteweb", "siteinternet", "internet", "enligne", "formulaire", "application":
		return Web
	case "inperson", "facetoface", "store", "branch",
		"enpersonne", "faceaface", "agence", "enagence", "boutique", "enboutique", "magasin", "enmagasin", "surplace":
		return InPerson
	}
	return OtherChannel
}

// channelMemory is parseChannel with a memory: a file has few.
type channelMemory map[string]Channel

func (m channelMemory) of(text string) Channel {
	const most = 1000
	c, ok := m[text]
	if !ok {
		c = parseChannel(text)
		if len(m) < most {
			m[strings.Clone(text)] = c
		}
	}
	return c
}
