package server

import (
	where "github.com/dncd/dncd/internal/place"
	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// isTablesVersion reports whether text is the version of some tables; empty: of none.
func isTablesVersion(text string) bool {
	if text == "" {
		return true
	}
	_, err := where.TablesDifference(text)
	return err == nil
}

// tablesDifference are the built-in tables that are not those of the answer that a read reproduces, if it is one.
func tablesDifference(past *dncv1.Past) []string {
	if past.GetTablesVersion() == "" {
		return nil
	}
	names, _ := where.TablesDifference(past.GetTablesVersion()) // pastView has read it
	return names
}
