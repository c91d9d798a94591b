package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestDiskOf(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"a": 10_000, "sub/b": 5_000, "sub/ballast": 7_000} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := DiskOf(dir, "ballast")
	if err != nil || got.Bytes != 15_000 {
		t.Errorf("got %v bytes, %v; want 15000", got.Bytes, err)
	}
	if _, err := DiskOf(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there has a size")
	}
}

func TestMemoryAndProcessorTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory and processor time are told on Linux alone")
	}
	pid := os.Getpid()
	block := make([]byte, 64<<20)
	for i := range block {
		block[i] = byte(i)
	}
	with, err := MemoryOf(pid)
	if err != nil || with.Anon < 64<<20 || with.RSS < with.Anon || with.RSSPeak < with.RSS {
		t.Fatalf("got %+v, %v with 64 MiB in use", with, err)
	}
	runtime.KeepAlive(block)
	if err := ResetPeak(pid); err != nil {
		t.Fatal(err)
	}
	if cpu, err := CPUOf(pid); err != nil || cpu < 0 {
		t.Errorf("processor time %v, %v", cpu, err)
	}
	if _, memory := Machine(); memory < with.RSS {
		t.Errorf("a machine of %v bytes runs a process of %v", memory, with.RSS)
	}
}

func TestEnvironment(t *testing.T) {
	got := Environment([]string{"PATH=/bin", "DNCD_DATA=x", "DNC_ADDR=y", "DNCX=1"}, "DNCD_", "DNC_")
	if want := []string{"PATH=/bin", "DNCX=1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestTail(t *testing.T) {
	var tail Tail
	for range 3 {
		if n, err := tail.Write([]byte(strings.Repeat("x", 3000) + "\n")); n != 3001 || err != nil {
			t.Fatal(n, err)
		}
	}
	if _, err := tail.Write([]byte("the end\n")); err != nil {
		t.Fatal(err)
	}
	if s := tail.String(); len(s) > tailSize || !strings.HasSuffix(s, "x\nthe end") {
		t.Errorf("kept %d bytes that end in %q", len(s), s[len(s)-10:])
	}
}

func TestWatchPeakIsOfTheProcessAlone(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if runtime.GOOS != "linux" || err != nil {
		t.Skip("needs Linux and sleep")
	}
	const own = 256 << 20
	block := make([]byte, own)
	for i := range block {
		block[i] = byte(i)
	}
	cmd := exec.Command(sleep, "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := WatchPeak(cmd.Process.Pid)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if peak := end(); peak <= 0 || peak >= own {
		t.Errorf("sleep takes %v bytes, started by a process of more than %d", peak, own)
	}
	runtime.KeepAlive(block)
}
