package block

import "testing"

func FuzzBlockPlace(f *testing.F) {
	key := []byte("b, list and block")
	f.Add(Place{1 << 40, 513, 0xdeadbeef}.Encode())
	f.Add([]byte{kindElsewhere})
	f.Fuzz(func(t *testing.T, payload []byte) {
		if !IsPlace(payload) {
			return
		}
		p, err := ParsePlace(key, payload)
		if err != nil {
			return
		}
		if p.At < 0 || p.Length < 0 || p.Length > MaxPacked {
			t.Fatalf("place %+v", p)
		}
		if again, err := ParsePlace(key, p.Encode()); err != nil || again != p {
			t.Fatalf("%+v became %+v, %v", p, again, err)
		}
	})
}
