// Package dncv1 is the wire contract of dncd: the messages and services generated from the protos beside it.
//
// The comments of the protos are the contract: units, limits and errors of every field and call. A program in Go wants
// package client instead, which never takes an error for a permission to call. Fields, values and calls are added and
// never changed or taken away within v1; a reader ignores what it does not know.
package dncv1
