package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// CaseDamage is the name of a row of Damage.
const CaseDamage = "damage"

// Damage counts the trials that harmed one kind of file in one way.
type Damage struct {
	Case  string `json:"case"`  // CaseDamage
	Store string `json:"store"` // closed, killed, running or pair
	Part  string `json:"part"`  // kind of file; of a pair: any
	Kind  string `json:"kind"`  // of harm; of a pair: any
	// Trials is how many there were. Of them dncd refused to start, or started and said
	// that something is wrong, or had everything.
	Trials   int `json:"trials"`
	Refused  int `json:"refused"`
	Detected int `json:"detected"`
	Harmless int `json:"harmless"`
	// Repaired is how many --repair made whole, Accepted how many needed --accept-loss.
	Repaired int `json:"repaired"`
	Accepted int `json:"accepted"`
	// LostOptOuts, LostLists and LostStories were gone in the end, and were named.
	LostOptOuts int `json:"lost_opt_outs"`
	LostLists   int `json:"lost_lists"`
	LostStories int `json:"lost_stories"`
	// Faults are broken promises.
	Faults int `json:"faults"`
}

// Damages sums up rows of the same store, part and kind.
type Damages struct{ rows map[[3]string]*Damage }

// NewDamages is without rows.
func NewDamages() *Damages { return &Damages{rows: map[[3]string]*Damage{}} }

// Add adds the row of a trial.
func (d *Damages) Add(r Damage) {
	key := [3]string{r.Store, r.Part, r.Kind}
	sum := d.rows[key]
	if sum == nil {
		sum = &Damage{Case: CaseDamage, Store: r.Store, Part: r.Part, Kind: r.Kind}
		d.rows[key] = sum
	}
	sum.Trials += r.Trials
	sum.Refused += r.Refused
	sum.Detected += r.Detected
	sum.Harmless += r.Harmless
	sum.Repaired += r.Repaired
	sum.Accepted += r.Accepted
	sum.LostOptOuts += r.LostOptOuts
	sum.LostLists += r.LostLists
	sum.LostStories += r.LostStories
	sum.Faults += r.Faults
}

// All returns the rows in order.
func (d *Damages) All() []Damage {
	all := make([]Damage, 0, len(d.rows))
	for _, r := range d.rows {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Damage) int {
		return cmp.Or(cmp.Compare(a.Store, b.Store), cmp.Compare(a.Part, b.Part), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// DamageTable writes what became of harmed stores as a table for people.
func DamageTable(w io.Writer, rows []Damage) error {
	header := "store\tfile\tharm\ttrials\trefused\tdetected\tharmless\trepaired\taccepted\tlost opt-outs\tlost lists\tlost stories\tfaults"
	return table(w, header, len(rows), func(i int) string {
		r := rows[i]
		return fmt.Sprintf("%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d", r.Store, r.Part, r.Kind, r.Trials, r.Refused, r.Detected,
			r.Harmless, r.Repaired, r.Accepted, r.LostOptOuts, r.LostLists, r.LostStories, r.Faults)
	})
}
