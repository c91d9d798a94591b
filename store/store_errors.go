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
	ErrTooManyRecords       = errors.New("the number holds too many records")
	ErrNothingToWithdraw    = errors.New("no opt-out in force at exactly that scope")
	ErrRequestReused        = errors.New("the request id was used before for something else")
	ErrListNotFound         = errors.New("no such list")
	ErrListExists           = errors.New("a list of that name exists")
	ErrListName             = errors.New("a list name is 1 to 64 characters of a-z 0-9 . _ - and begins with a letter or digit, with at most 8 digits without a letter between them")
	ErrSettings             = errors.New("invalid list settings")
	ErrUnconfirmed          = errors.New("it has to be confirmed")
	ErrJurisdiction         = errors.New("a registry must name its jurisdiction")
	ErrTokenExists          = errors.New("a token or certificate of that name, or a token with that secret, is granted something already")
	ErrTokenNotFound        = errors.New("no such token or certificate")
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
	ErrHistoryGone          = errors.New("that revision is not kept")
	ErrFutureRevision       = errors.New("that revision does not exist yet")
	ErrStage                = fault.ErrStage
	ErrSystem               = fault.ErrSystem
)

// unconfirmed is an ErrUnconfirmed that says what has to be confirmed.
type unconfirmed string

func (u unconfirmed) Error() string { return string(u) }

func (u unconfirmed) Unwrap() error { return ErrUnconfirmed }

// errMoved says that the list changed while a load was compared with it: compare again.
var errMoved = errors.New("the list changed since the load was compared")

// orSystem is err, as an ErrSystem when it is one and nothing graver.
func orSystem(err error) error {
	for _, graver := range []error{ErrDamaged, ErrLocked, ErrDiskFull, ErrLoss, ErrNoEnd} {
		if errors.Is(err, graver) {
			return err
		}
	}
	return cmp.Or(fault.AsSystem(err), err)
}
