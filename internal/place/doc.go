// Package place says where the person of a number may be: by which clocks, and which days are public holidays there.
//
// It promises: what it does not know is empty, and never a guess; a number that may be in several zones has all of them.
package place
