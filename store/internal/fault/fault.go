// Package fault has the errors that the packages of the store share. package store exports those that a caller decides on,
// under the same names.
package fault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// Errors to decide on with errors.Is.
var (
	ErrLocked         = errors.New("the data directory is in use by another process")
	ErrDamaged        = errors.New("the store is damaged")
	ErrStoriesDamaged = errors.New("stories are damaged or missing: checks are answered in full, writes are not taken")
	ErrOlderJournal   = errors.New("the files beside the journal are newer than the journal: an older copy was put back")
	ErrDiskFull       = errors.New("not enough free disk space for writes")
	ErrTooLarge       = errors.New("the change is too large for one event")

	ErrClosed        = errors.New("the store is closed")
	ErrImportRunning = errors.New("a load of the list is running")
	ErrTakenOver     = errors.New("another command took the list over: this load was abandoned")
	ErrClockJumped   = errors.New("the clock jumped ahead")

	ErrNothingToWithdraw = errors.New("no opt-out in force at exactly that scope")
	ErrConsentWithdrawn  = errors.New("consents at that scope were withdrawn after this one was obtained")
	ErrRequestReused     = errors.New("the request id was used before for something else")
	ErrListExists        = errors.New("a list of that name exists")
	ErrListNotFound      = errors.New("no such list")
	ErrTokenExists       = errors.New("a token or certificate of that name, or a token with that secret, is granted something already")
	ErrTokenNotFound     = errors.New("no such token or certificate")
	ErrNoSubscriber      = errors.New("no such subscriber")
	ErrSubscriber        = errors.New("the subscriber cannot be as asked")
	ErrEpoch             = errors.New("the subscriber's filter was changed, or its feed rebased")
	ErrAck               = errors.New("the acknowledgement does not count")
	ErrNoDesk            = errors.New("no such desk")
	ErrTooManyRecords    = errors.New("the number holds too many records")
	ErrUnconfirmed       = errors.New("it has to be confirmed")

	// ErrMoved says that what a change was made from changed since, such as a list while a load was compared with it: make it
	// again.
	ErrMoved = errors.New("it changed since the change was made from it")

	// ErrStage is a stage file that is missing or damaged.
	ErrStage = errors.New("the staged numbers are missing or damaged")

	// ErrSystem is a limit or a permission of the system that the store met: nothing on the disk is damaged. It wraps the
	// error number.
	ErrSystem = errors.New("the system refuses what the store needs")
)

// ErrNoConsent is ErrNothingToWithdraw where a consent was to be withdrawn.
var ErrNoConsent error = noConsent{}

type noConsent struct{}

func (noConsent) Error() string        { return "no consent of that kind at exactly that scope" }
func (noConsent) Is(target error) bool { return target == ErrNothingToWithdraw }

var systemErrors = []syscall.Errno{
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.EFBIG, syscall.ENOSPC, syscall.EDQUOT,
}

type systemError struct {
	number syscall.Errno
	err    error
}

func (e systemError) Error() string { return fmt.Sprintf("%v: %v", ErrSystem, e.err) }

func (e systemError) Unwrap() []error { return []error{ErrSystem, e.number} }

// AsSystem returns err as an ErrSystem, or nil when it is something else. Badger's errors hold their causes as text.
func AsSystem(err error) error {
	if err == nil || errors.Is(err, ErrSystem) {
		return err
	}
	at := slices.IndexFunc(systemErrors, func(n syscall.Errno) bool {
		return errors.Is(err, n) || strings.HasSuffix(err.Error(), n.Error()) || strings.Contains(err.Error(), n.Error()+"\n")
	})
	if at < 0 {
		return nil
	}
	return systemError{systemErrors[at], err}
}

// AsDamage returns err as damage, unless the system refused something: then nothing was read that could be damaged.
func AsDamage(err error) error {
	if refused := AsSystem(err); refused != nil {
		return refused
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// DamagedKey is the damage of a value. It names the value by its kind, never by its key, which may be a person's number.
func DamagedKey(key []byte) error {
	return fmt.Errorf("%w: a value of kind %q fails its checksum", ErrDamaged, key[:1])
}

// Unconfirmed is an ErrUnconfirmed that says what has to be confirmed.
type Unconfirmed string

func (u Unconfirmed) Error() string { return string(u) }

// Unwrap returns ErrUnconfirmed.
func (u Unconfirmed) Unwrap() error { return ErrUnconfirmed }

// Subscriber is an ErrSubscriber that says why.
type Subscriber string

func (s Subscriber) Error() string { return string(s) }

// Unwrap returns ErrSubscriber.
func (s Subscriber) Unwrap() error { return ErrSubscriber }

// Ack is an ErrAck that says why.
type Ack string

func (a Ack) Error() string { return string(a) }

// Unwrap returns ErrAck.
func (a Ack) Unwrap() error { return ErrAck }
