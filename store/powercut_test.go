package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPowerCutLosesNothingAcknowledged runs a writing process on a file system that lies in an image file, and copies
// that file without any sync while it writes: the copy is the disk after a power cut, without what only the page cache
// held. The process is stopped first, so that no new operation starts while the copy is made; those under way go on.
// DNCTEST_POWERCUT_ROUNDS asks for more cuts than a few.
func TestPowerCutLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a campaign: -short leaves it out")
	}
	if dir := os.Getenv(childDir); dir != "" {
		writeUntilKilled(t, dir)
		return
	}
	needsLoopMounts(t)
	const cutsPerImage = 4
	random, cuts, writes := seeded(t), campaign(t, "DNCTEST_POWERCUT_ROUNDS", cutsPerImage), 0
	for cuts > 0 && !t.Failed() {
		t.Run("image", func(t *testing.T) { writes += powerCuts(t, min(cuts, cutsPerImage), random) })
		cuts -= cutsPerImage
	}
	t.Logf("%d acknowledged writes", writes)
}

// powerCuts makes an image, cuts the power of a store in it several times, and returns how many writes were
// acknowledged before the last cut.
func powerCuts(t *testing.T, cuts int, random *rand.Rand) (writes int) {
	image, disk := filepath.Join(t.TempDir(), "image"), t.TempDir()
	makeImage(t, image, 192<<20)
	if err := mount(t, disk, "-o", "loop", image); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(disk, "data")
	makeChildLists(t, dir)
	c := startChild(t, dir, random.IntN(1<<20))
	t.Cleanup(func() { c.kill() }) // before the disk is unmounted
	for range cuts {
		c.awaitAck(writes + 1)
		time.Sleep(time.Duration(random.IntN(250)) * time.Millisecond)
		before, after := c.copyStopped(t, image, image+"-cut")
		writes = acknowledged(before)
		l := newLedger()
		l.note(before)
		l.noteUncertain(after)
		openCut(t, image+"-cut", l)
		c.signal(syscall.SIGCONT)
	}
	return writes
}

// copyStopped stops the child and copies the image. It returns what the child had told before the copy began, and what
// came to light later.
func (c *child) copyStopped(t *testing.T, image, to string) (before, after []deed) {
	t.Helper()
	c.stop()
	before = c.told()
	if err := copySparse(image, to); err != nil {
		t.Fatal(err)
	}
	c.catchUp()
	return before, c.told()[len(before):]
}

// stop stops the child and waits until every thread of it stands still: the signal alone does not.
func (c *child) stop() {
	c.t.Helper()
	c.signal(syscall.SIGSTOP)
	for end := time.Now().Add(time.Minute); !c.isStopped(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("the child does not stop")
		}
	}
}

// isStopped reports whether the state of every thread is T.
func (c *child) isStopped() bool {
	c.t.Helper()
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", c.cmd.Process.Pid))
	if err != nil || len(stats) == 0 {
		c.t.Fatalf("the threads of the child: %v, %v", stats, err)
	}
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		// The state follows the name in parentheses, which may hold spaces.
		if at := bytes.LastIndexByte(stat, ')'); err != nil || !bytes.HasPrefix(stat[at+1:], []byte(" T")) {
			return false
		}
	}
	return true
}

// caughtUp is a line in the diary of a child that is not the child's own.
const caughtUp = "caught up"

// catchUp waits until all is read that a stopped child wrote: by a line behind it.
func (c *child) catchUp() {
	c.t.Helper()
	conn, err := c.diary.SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	var write *os.File
	opened := conn.Control(func(fd uintptr) { write, err = os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_WRONLY, 0) })
	if err := errors.Join(opened, err); err != nil {
		c.t.Fatal(err)
	}
	defer write.Close()
	if _, err := fmt.Fprintln(write, caughtUp); err != nil {
		c.t.Fatal(err)
	}
	select {
	case <-c.caught:
	case <-c.ended:
		c.t.Fatal("the diary cannot be read to its end")
	}
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// openCut opens the store that a copied image holds and holds it against l.
func openCut(t *testing.T, image string, l *ledger) {
	t.Helper()
	disk := t.TempDir()
	if err := mount(t, disk, "-o", "loop", image); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(disk, "data"))
	l.verify(t, s)
	closeStore(t, s)
	unmount(disk)
	if err := os.Remove(image); err != nil {
		t.Fatal(err)
	}
}

// needsLoopMounts skips the test where an image cannot be mounted.
func needsLoopMounts(t *testing.T) {
	t.Helper()
	needsMounts(t)
	if _, err := exec.LookPath("mkfs.ext4"); err != nil {
		t.Skip("needs root and loop mounts:", err)
	}
	image := filepath.Join(t.TempDir(), "image")
	makeImage(t, image, 4<<20)
	if err := mount(t, t.TempDir(), "-o", "loop", image); err != nil {
		t.Skip("needs root and loop mounts:", err)
	}
}

func needsMounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs to mount file systems: not root")
	}
	for _, tool := range []string{"mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs to mount file systems:", err)
		}
	}
}

func makeImage(t *testing.T, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", path).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
}

// mount mounts at a point until the test ends.
func mount(t *testing.T, point string, args ...string) error {
	t.Helper()
	out, err := exec.Command("mount", append(args, point)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mount: %w: %s", err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() { unmount(point) })
	return nil
}

// unmount unmounts what is mounted at a point, at once, or when the last file that is open there is closed.
func unmount(point string) {
	if exec.Command("umount", point).Run() != nil {
		_ = exec.Command("umount", "-l", point).Run()
	}
}
