package store

import (
	"cmp"
	"errors"

	"github.com/dncd/dncd/store/internal/fault"
)

// Errors that a caller decides on, with errors.Is.
var (
	ErrLocked               = fault.ErrLocked
	ErrNoStore              = errors.New("there is no store there")
	ErrStoreExists          = errors.New("there is a store there already")
	ErrNotEmpty             = errors.New("the directory holds other things")
	ErrDamaged              = fault.ErrDamaged
	ErrOlderJournal         = fault.ErrOlderJournal
	ErrStoriesDamaged       = fault.ErrStoriesDamaged
	ErrReadOnly             = errors.New("a commit failed and its outcome is unknown: no writes until the store is opened again")
	ErrClockJumped          = fault.ErrClockJumped
	ErrDiskFull             = fault.ErrDiskFull
	ErrBusy                 = errors.New("too many writes are waiting")
	ErrClosed               = fault.ErrClosed
	ErrTooLarge             = fault.ErrTooLarge
	ErrTooManyRecords       = fault.ErrTooManyRecords
	ErrNothingToWithdraw    = fault.ErrNothingToWithdraw
	ErrConsentWithdrawn     = fault.ErrConsentWithdrawn
	ErrRequestReused        = fault.ErrRequestReused
	ErrListNotFound         = fault.ErrListNotFound
	ErrListExists           = fault.ErrListExists
	ErrListName             = errors.New("a list name is 1 to 64 characters of a-z 0-9 . _ - and begins with a letter or digit, with at most 8 digits without a letter between them")
	ErrSettings             = errors.New("invalid list settings")
	ErrUnconfirmed          = fault.ErrUnconfirmed
	ErrJurisdiction         = errors.New("a registry must name its jurisdiction")
	ErrTokenExists          = fault.ErrTokenExists
	ErrTokenNotFound        = fault.ErrTokenNotFound
	ErrSubscriberNotFound   = fault.ErrNoSubscriber
	ErrSubscriberInvalid    = fault.ErrSubscriber
	ErrSubscriberSettings   = errors.New("invalid settings of a subscriber")
	ErrEpochEnded           = fault.ErrEpoch
	ErrAckInvalid           = fault.ErrAck
	ErrPolicyInvalid        = errors.New("the policy cannot be used")
	ErrPolicyMoved          = errors.New("the policy was changed since")
	ErrDeskNotFound         = fault.ErrNoDesk
	ErrDeskSettings         = errors.New("invalid settings of a desk")
	ErrImportRunning        = fault.ErrImportRunning
	ErrTakenOver            = fault.ErrTakenOver
	ErrNothingToRevert      = errors.New("the list shows its first load: there is nothing to go back to")
	ErrImportNotFound       = errors.New("no such import")
	ErrChunkOrder           = errors.New("chunk out of order")
	ErrChunksMissing        = errors.New("not every chunk was received")
	ErrNumber               = errors.New("not an E.164 number")
	ErrSnapshotDate         = errors.New("unusable snapshot date")
	ErrSnapshotDateRequired = errors.New("the list has a maximum age: a load must name its snapshot date")
	ErrMode                 = errors.New("the mode does not fit")
	ErrCounts               = errors.New("the counts do not add up")
	ErrForked               = errors.New("the journal holds another history at that position")
	ErrOtherJournal         = errors.New("it is of another journal")
	ErrHistoryGone          = errors.New("that revision is not kept")
	ErrFeedNotReady         = errors.New("numbers that an earlier version stored under other digits are not all stored under the present ones yet")
	ErrFutureRevision       = errors.New("that moment has not come yet")
	ErrPast                 = errors.New("the time is before that of the revision")
	ErrStage                = fault.ErrStage
	ErrSystem               = fault.ErrSystem
)

// orSystem is err, as an ErrSystem when it is one and nothing graver.
func orSystem(err error) error {
	for _, graver := range []error{ErrDamaged, ErrLocked, ErrDiskFull, ErrLoss, ErrNoEnd} {
		if errors.Is(err, graver) {
			return err
		}
	}
	return cmp.Or(fault.AsSystem(err), err)
}
