package client

import (
	"context"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// DossierOption adjusts GetDossier: Region, and Scope for each scope at which the number is to be checked.
type DossierOption interface {
	applyDossier(*dncv1.GetDossierRequest)
}

func (r RegionOption) applyDossier(m *dncv1.GetDossierRequest) { m.Region = r.code }
func (s ScopeOption) applyDossier(m *dncv1.GetDossierRequest)  { m.Scopes = append(m.Scopes, s.scope) }

// GetDossier returns what is known of a number, and which subscriber knew it when: a note that the server signed. Its first
// line is JSON, and it holds no other number; `dnc verify` verifies it. The caller must be an officer. Errors as for Check.
func (c *Client) GetDossier(ctx context.Context, number string, opts ...DossierOption) (note []byte, err error) {
	if err := sendable(number); err != nil {
		return nil, err
	}
	request := &dncv1.GetDossierRequest{Number: number}
	for _, o := range opts {
		o.applyDossier(request)
	}
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.GetDossierResponse, error) {
		return on.propagation.GetDossier(ctx, request)
	})
	return answer.GetNote(), err
}

// GetCheckpoint has the server compute the log of a subscriber at a revision of an epoch again, and returns it as a note that the server
// signed, with the notes by which its key follows from those before it. Errors: ErrSubscriberNotFound, ErrFilterChanged,
// ErrJournalForked, ErrHistoryGone.
func (c *Client) GetCheckpoint(ctx context.Context, subscriber EventID, epoch, revision uint64) (note []byte, keyRotations []string, err error) {
	request := &dncv1.GetCheckpointRequest{
		Subscriber: &dncv1.EventId{Revision: subscriber.Revision, Index: subscriber.Index}, Epoch: epoch, Revision: revision,
	}
	answer, err := callRetry(ctx, c, func(ctx context.Context, on *connection) (*dncv1.GetCheckpointResponse, error) {
		return on.propagation.GetCheckpoint(ctx, request)
	})
	return answer.GetCheckpoint(), textsOf(answer.GetServerKey().GetRotations()), err
}

func textsOf(notes [][]byte) (texts []string) {
	for _, note := range notes {
		texts = append(texts, string(note))
	}
	return texts
}
