package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// MemoryOf measures a process that runs.
func MemoryOf(pid int) (Memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, err
	}
	kib := map[string]float64{}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		if number, ok := strings.CutSuffix(strings.TrimSpace(value), " kB"); ok {
			kib[name], _ = strconv.ParseFloat(number, 64)
		}
	}
	return Memory{RSS: kib["VmRSS"] * 1024, RSSPeak: kib["VmHWM"] * 1024, Anon: kib["RssAnon"] * 1024}, nil
}

// ResetPeak makes what a process needs now its peak.
func ResetPeak(pid int) error {
	const resetPeak = "5" // see proc(5), clear_refs
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte(resetPeak), 0)
}

// CPUOf returns the processor time that a process has taken.
func CPUOf(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses, which may hold spaces.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const user, system, ticks = 11, 12, 100 // USER_HZ is 100 on every architecture of Go
	if len(fields) <= system {
		return 0, errors.New("/proc/pid/stat is too short")
	}
	u, err1 := strconv.ParseInt(fields[user], 10, 64)
	s, err2 := strconv.ParseInt(fields[system], 10, 64)
	return time.Duration(u+s) * time.Second / ticks, errors.Join(err1, err2)
}

// WrittenBy returns how many bytes a process has given to the disks, pages of mapped files included.
func WrittenBy(pid int) (float64, error) {
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(io)) {
		if text, ok := strings.CutPrefix(line, "write_bytes: "); ok {
			return strconv.ParseFloat(strings.TrimSpace(text), 64)
		}
	}
	return 0, errors.New("/proc/pid/io has no write_bytes")
}

func allocated(info fs.FileInfo) float64 {
	const unit = 512 // of st_blocks, see stat(2)
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return float64(stat.Blocks) * unit
}

// SyncDisks writes what the system holds back, so that it does not fall into
// what is measured next.
func SyncDisks() { syscall.Sync() }

// FineSleep lets Sleep of this thread end on time, which the system otherwise puts off by 50 us to end several at once.
// The goroutine must be locked to its thread.
func FineSleep() {
	const setTimerSlack, nanoseconds = 29, 1 // see prctl(2)
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, setTimerSlack, nanoseconds, 0)
}

// Sleep is a sleep of the thread, which ends sooner after its time than that of a goroutine, whose timer waits for the
// network poller's millisecond when nothing else runs.
func Sleep(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	_ = syscall.Nanosleep(&t, nil) // who sleeps looks at the time
}

// AsUser makes a command that does not start for root run as a user that is there.
// The returned function hands it a file or directory.
func AsUser(name string) (on func(*exec.Cmd), give func(path string) error, err error) {
	if os.Geteuid() != 0 {
		return func(*exec.Cmd) {}, func(string) error { return nil }, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, nil, err
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, err
	}
	on = func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	return on, func(path string) error { return os.Chown(path, int(uid), int(gid)) }, nil
}

// Machine names the processor and returns the memory in bytes.
func Machine() (cpu string, memory float64) {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			cpu = strings.TrimSpace(value)
			break
		}
	}
	var system syscall.Sysinfo_t
	if err := syscall.Sysinfo(&system); err == nil {
		memory = float64(system.Totalram) * float64(system.Unit)
	}
	return cpu, memory
}
