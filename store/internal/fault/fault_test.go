package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"
)

func TestDamageAndRefusalsOfTheSystemAreToldApart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		number syscall.Errno // 0: damage
	}{
		{&fs.PathError{Op: "open", Path: "000001.sst", Err: syscall.EACCES}, syscall.EACCES},
		{errors.New("While opening fid: 1 err: " + (&fs.PathError{Op: "open", Path: "x", Err: syscall.EMFILE}).Error()), syscall.EMFILE},
		{errors.New("truncate 00001.mem: file too large\nerror while truncation"), syscall.EFBIG},
		{errors.New("while mmapping x with size: 1: cannot allocate memory"), syscall.ENOMEM},
		{errors.New("write MANIFEST: no space left on device"), syscall.ENOSPC},
		{errors.New("read 000001.sst: input/output error"), 0},
		{fmt.Errorf("open 000001.sst: %w", fs.ErrNotExist), 0},
		{errors.New("a checksum does not match"), 0},
	} {
		got := AsDamage(c.err)
		if c.number == 0 {
			if !errors.Is(got, ErrDamaged) || errors.Is(got, ErrSystem) {
				t.Errorf("%v: %v, want damage", c.err, got)
			}
			continue
		}
		if errors.Is(got, ErrDamaged) || !errors.Is(got, ErrSystem) || !errors.Is(got, c.number) {
			t.Errorf("%v: %v, want a refusal with %v", c.err, got, c.number)
		}
	}
}
