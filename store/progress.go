package store

// Phase is what a committed import is doing.
type Phase uint8

// The phases of an import: of a list the first three, in that order, of records the last.
const (
	PhaseUnspecified Phase = iota
	PhaseComparing         // the staged numbers with the list
	PhaseWriting           // blocks
	PhaseSwitching         // building the filter, and switching
	PhaseRecording         // rows
)

// Progress is how far a committed import is in its phase.
type Progress struct {
	Phase       Phase
	Done, Total uint64 // numbers or rows
}
