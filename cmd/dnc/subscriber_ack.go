package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dncd/dncd/client"
	"github.com/dncd/dncd/internal/feed"
)

func (a *app) subscriberAckCommand() *cobra.Command {
	var at, stage string
	cmd := &cobra.Command{
		Use:   "ack NAME (NOTE.ack | --at POSITION --stage STAGE)",
		Short: "Hand in what a calling base acknowledged, or claim how far it got",
		Long: `Hand in what a calling base acknowledged. NOTE.ack is what ` + "`dnc key sign`" + ` wrote at the base, or - for
standard input. The server compares it with the log of the base: a note that does not say what the log
holds is refused, and the message says what differs.

A base without a key cannot sign. For it, --at and --stage claim how far it got: the position is the one
that its feed ended with. A claim is shown as such, and proves nothing. A base with a key takes none.`,
		Example: `  dnc subscriber ack call-centre checkpoint.note.ack
  dnc subscriber ack marketing --at 4711 --stage applied`,
		Args: counted(1, 2, "name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ack, err := acknowledgement(cmd, args[1:], at, stage)
			if err != nil {
				return err
			}
			return a.subscriberAck(cmd, args[0], ack)
		},
		ValidArgsFunction: a.firstIsSubscriber,
	}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "claim this `position`: a revision, as the feed of the base ended with")
	f.StringVar(&stage, "stage", "", "claim this stage: received, durable or applied")
	complete(cmd, "at")
	complete(cmd, "stage", feed.StageNames()...)
	return cmd
}

// acknowledgement is what the arguments behind the name say.
func acknowledgement(cmd *cobra.Command, notes []string, at, stage string) (ack client.Acknowledgement, err error) {
	switch claims := at != "" || stage != ""; {
	case len(notes) == 1 && claims:
		return ack, usagef(cmd, "a note says its position and stage itself: leave out --at and --stage")
	case len(notes) == 1:
		ack.Note, err = readNote(cmd, notes[0])
		return ack, err
	case at == "" || stage == "":
		return ack, usagef(cmd, "name the note that the base signed, or claim with --at POSITION and --stage STAGE")
	}
	if err := oneOf(cmd, "stage", stage, feed.StageNames()); err != nil {
		return ack, err
	}
	if ack.Position, err = client.ParsePosition(at); err != nil {
		return ack, usagef(cmd, "--at: %v", err)
	}
	ack.Stage = client.Stage(stage)
	return ack, nil
}

func (a *app) subscriberAck(cmd *cobra.Command, name string, ack client.Acknowledgement) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	receipt, err := c.Acknowledge(cmd.Context(), name, ack)
	if err != nil {
		return err
	}
	return a.print(receipt, func() string {
		if !receipt.Recorded {
			return fmt.Sprintf("%s: it adds nothing to what was acknowledged  revision %d", name, receipt.Revision)
		}
		return fmt.Sprintf("%s: acknowledged  revision %d", name, receipt.Revision)
	})
}
