package codec

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/encoding"
	standard "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	dncv1 "github.com/dncd/dncd/proto/dnc/v1"
)

// withCode are the messages of CheckService, as its descriptor has them, and those that Watch sends.
func withCode(t testing.TB) []protoreflect.MessageType {
	t.Helper()
	var types []protoreflect.MessageType
	methods := dncv1.File_dnc_v1_check_proto.Services().ByName("CheckService").Methods()
	for i := range methods.Len() {
		for _, d := range []protoreflect.MessageDescriptor{methods.Get(i).Input(), methods.Get(i).Output()} {
			typ, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
			if err != nil {
				t.Fatal(err)
			}
			types = append(types, typ)
		}
	}
	return append(types, new(dncv1.WatchResponse).ProtoReflect().Type())
}

func marshal(t testing.TB, c encoding.CodecV2, m any) []byte {
	t.Helper()
	data, err := c.Marshal(m)
	if err != nil {
		t.Fatalf("marshal %T: %v", m, err)
	}
	defer data.Free()
	return data.Materialize()
}

func unmarshal(c encoding.CodecV2, b []byte, m any) error {
	return c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(b)}, m)
}

// filler makes random messages.
type filler struct{ *rand.Rand }

// fill sets fields of m, in one message of three a field that no version of the contract has yet.
func (r filler) fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case r.IntN(3) == 0:
		case f.IsList():
			list := m.Mutable(f).List()
			for range r.IntN(1 + r.IntN(30)) {
				list.Append(r.value(f, list.NewElement))
			}
		default:
			m.Set(f, r.value(f, func() protoreflect.Value { return m.NewField(f) }))
		}
	}
	if r.IntN(3) == 0 && !isWellKnown(m) {
		b := protowire.AppendTag(nil, 1000, protowire.BytesType)
		m.SetUnknown(protowire.AppendString(b, r.text()))
	}
}

// isWellKnown tells times and durations, of which unknown fields are dropped.
func isWellKnown(m protoreflect.Message) bool {
	return m.Descriptor().ParentFile().Package() == "google.protobuf"
}

// dropUnknown drops what the codec drops, and writes the tags of other unknown fields in their shortest form, as protobuf
// does when it reads them: the codec keeps the bytes that came.
func dropUnknown(m protoreflect.Message) {
	if isWellKnown(m) {
		m.SetUnknown(nil)
	}
	if unknown := m.GetUnknown(); len(unknown) > 0 {
		m.SetUnknown(withShortTags(unknown))
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				dropUnknown(v.List().Get(i).Message())
			}
		default:
			dropUnknown(v.Message())
		}
		return true
	})
}

func withShortTags(fields protoreflect.RawFields) (out protoreflect.RawFields) {
	for len(fields) > 0 {
		number, typ, tag := protowire.ConsumeTag(fields)
		value := protowire.ConsumeFieldValue(number, typ, fields[max(tag, 0):])
		if tag < 0 || value < 0 {
			return append(out, fields...)
		}
		out = protowire.AppendTag(out, number, typ)
		out = append(out, fields[tag:tag+value]...)
		fields = fields[tag+value:]
	}
	return out
}

func (r filler) value(f protoreflect.FieldDescriptor, zero func() protoreflect.Value) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind:
		v := zero()
		r.fill(v.Message())
		return v
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(r.text())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(r.text()))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.Int32() >> r.IntN(32)))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(r.Uint32()) >> r.IntN(32))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(r.Uint64()) >> r.IntN(64))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(r.Uint32() >> r.IntN(32))
	}
	return protoreflect.ValueOfUint64(r.Uint64() >> r.IntN(64))
}

func (r filler) text() string {
	return strings.Repeat("a\u00e9\u4e16", r.IntN(1+r.IntN(40)))
}

// wantEqual writes m with one codec and reads it with the other, both ways.
func wantEqual(t *testing.T, m proto.Message) {
	t.Helper()
	ours, theirs := New(), encoding.GetCodecV2(standard.Name)
	for _, way := range [][2]encoding.CodecV2{{ours, theirs}, {theirs, ours}, {ours, ours}} {
		got := m.ProtoReflect().New().Interface()
		if err := unmarshal(way[1], marshal(t, way[0], m), got); err != nil {
			t.Fatalf("unmarshal %T written by %T with %T: %v", m, way[0], way[1], err)
		}
		if !proto.Equal(m, got) {
			t.Fatalf("%T written by %T and read by %T is\n%v, was\n%v", m, way[0], way[1], got, m)
		}
	}
}

func TestBothCodecsAgree(t *testing.T) {
	for _, typ := range withCode(t) {
		r := filler{rand.New(rand.NewPCG(1, 2))}
		wantEqual(t, typ.New().Interface())
		for range 60 {
			m := typ.New()
			r.fill(m)
			wantEqual(t, m.Interface())
		}
	}
}

func TestAllMessagesWithCodeAreListed(t *testing.T) {
	types := withCode(t)
	if len(types) != 7 {
		t.Errorf("got %d messages, want 7", len(types))
	}
	for _, typ := range types {
		if generated(typ.New().Interface()) == nil {
			t.Errorf("%s is not on the list", typ.Descriptor().Name())
		}
	}
}

// TestNilMessage: a handler's typed nil is an empty message, as it is to protobuf.
func TestNilMessage(t *testing.T) {
	for _, typ := range withCode(t) {
		if b := marshal(t, New(), typ.Zero().Interface()); len(b) != 0 {
			t.Errorf("nil %s is %d bytes", typ.Descriptor().Name(), len(b))
		}
	}
}

// TestCut holds that of a message cut anywhere no more is read than protobuf reads.
func TestCut(t *testing.T) {
	for _, typ := range withCode(t) {
		r := filler{rand.New(rand.NewPCG(3, 4))}
		m := typ.New()
		for len(marshal(t, New(), m.Interface())) < 500 {
			r.fill(m)
		}
		whole := marshal(t, New(), m.Interface())
		for i := range min(len(whole), 700) {
			wantAsProto(t, typ, whole[:i])
			if err := unmarshal(New(), whole[:i], typ.New().Interface()); (err == nil) != (proto.Unmarshal(whole[:i], typ.New().Interface()) == nil) {
				t.Fatalf("%s cut at %d of %d: %v", typ.Descriptor().Name(), i, len(whole), err)
			}
		}
	}
}

// wantAsProto holds that what protobuf reads from b is read from it here.
func wantAsProto(t *testing.T, typ protoreflect.MessageType, b []byte) {
	t.Helper()
	want, got := typ.New().Interface(), typ.New().Interface()
	err := unmarshal(New(), b, got)
	if proto.Unmarshal(b, want) != nil {
		return
	}
	dropUnknown(want.ProtoReflect())
	dropUnknown(got.ProtoReflect())
	if err != nil || !proto.Equal(got, want) {
		t.Fatalf("%s from %x: %v, %v, want %v", typ.Descriptor().Name(), b, got, err, want)
	}
}

func FuzzUnmarshal(f *testing.F) {
	types := withCode(f)
	r := filler{rand.New(rand.NewPCG(5, 6))}
	for i, typ := range types {
		m := typ.New()
		r.fill(m)
		f.Add(uint8(i), marshal(f, New(), m.Interface()))
	}
	f.Add(uint8(3), []byte("\xf1\x00M\xdf\x8732\x0200")) // an unknown field whose tag has a byte too many
	// As no writer of ours does it: a string where the contract has a number, packed numbers one by one, a field twice.
	f.Add(uint8(0), []byte{0x22, 0x01, 'x', 0x0a, 0x01, '1', 0x0a, 0x01, '2'})
	f.Add(uint8(2), append([]byte{0x11}, make([]byte, 8)...))
	f.Add(uint8(0), []byte{0x32, 0x02, 0x08, 0x01, 0x38, 0x05, 0x32, 0x02, 0x10, 0x01})
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) { wantAsProto(t, types[int(kind)%len(types)], b) })
}

// FuzzAgree makes the message from the seed.
func FuzzAgree(f *testing.F) {
	types := withCode(f)
	f.Add(uint8(0), uint64(1))
	f.Fuzz(func(t *testing.T, kind uint8, seed uint64) {
		m := types[int(kind)%len(types)].New()
		filler{rand.New(rand.NewPCG(seed, 0))}.fill(m)
		wantEqual(t, m.Interface())
	})
}

// TestTextIsUTF8 finds each string of each message, at any depth.
func TestTextIsUTF8(t *testing.T) {
	const bad = "+1416555\xff0199"
	for _, typ := range withCode(t) {
		found := 0
		eachText(typ.Descriptor(), nil, func(path []protoreflect.FieldDescriptor) {
			found++
			m := typ.New()
			setAt(m, path, bad)
			written, err := New().Marshal(m.Interface())
			if err == nil {
				t.Errorf("%s: wrote %s that is not UTF-8: %x", typ.Descriptor().Name(), path[len(path)-1].FullName(), written.Materialize())
			}
			b, ok := m.Interface().(message)
			if !ok {
				t.Fatalf("%T has no generated code", m.Interface())
			}
			raw := make([]byte, b.SizeVT())
			if _, err := b.MarshalToSizedBufferVT(raw); err != nil {
				t.Fatal(err)
			}
			err = unmarshal(New(), raw, typ.New().Interface())
			if err == nil || strings.Contains(err.Error(), "1416555") {
				t.Errorf("%s: read %s that is not UTF-8: %v", typ.Descriptor().Name(), path[len(path)-1].FullName(), err)
			}
		})
		if found == 0 {
			t.Errorf("%s: no string found", typ.Descriptor().Name())
		}
	}
}

// eachText calls f with the way to each string field of d.
func eachText(d protoreflect.MessageDescriptor, path []protoreflect.FieldDescriptor, f func([]protoreflect.FieldDescriptor)) {
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		way := slices.Concat(path, []protoreflect.FieldDescriptor{field})
		switch field.Kind() {
		case protoreflect.StringKind:
			f(way)
		case protoreflect.MessageKind:
			eachText(field.Message(), way, f)
		}
	}
}

// setAt sets the string at the end of path; in a list it is the second of two.
func setAt(m protoreflect.Message, path []protoreflect.FieldDescriptor, text string) {
	f := path[0]
	switch {
	case len(path) > 1 && f.IsList():
		m.Mutable(f).List().AppendMutable()
		setAt(m.Mutable(f).List().AppendMutable().Message(), path[1:], text)
	case len(path) > 1:
		setAt(m.Mutable(f).Message(), path[1:], text)
	case f.IsList():
		m.Mutable(f).List().Append(protoreflect.ValueOfString("ok"))
		m.Mutable(f).List().Append(protoreflect.ValueOfString(text))
	default:
		m.Set(f, protoreflect.ValueOfString(text))
	}
}

// TestUnmarshalForgets: a message that is read into holds nothing of before.
func TestUnmarshalForgets(t *testing.T) {
	for _, typ := range withCode(t) {
		r := filler{rand.New(rand.NewPCG(7, 8))}
		again := typ.New() // as a stream does it
		for range 60 {
			used, want := typ.New(), typ.New()
			r.fill(used)
			r.fill(want)
			for _, m := range []protoreflect.Message{used, again} {
				if err := unmarshal(New(), marshal(t, New(), want.Interface()), m.Interface()); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(m.Interface(), want.Interface()) {
					t.Fatalf("read %v into a used message, want %v", m.Interface(), want.Interface())
				}
			}
			whole := marshal(t, New(), used.Interface())
			_ = unmarshal(New(), whole[:len(whole)*2/3], again.Interface()) // what fails halfway leaves nothing behind
		}
	}
}

// TestOtherMessages: records carry free text, and protobuf judges it.
func TestOtherMessages(t *testing.T) {
	m := &dncv1.RecordOptOutRequest{Number: "+14165550199", Note: "said no"}
	if generated(m) != nil {
		t.Errorf("%T is on the list", m)
	}
	wantEqual(t, m)
	m.Note = "\xff"
	if _, err := New().Marshal(m); err == nil {
		t.Error("wrote a note that is not UTF-8")
	}
	if _, err := New().Marshal("no message"); err == nil {
		t.Error("wrote what is no message")
	}
	if err := unmarshal(New(), nil, new(string)); err == nil {
		t.Error("read into what is no message")
	}
}

// TestLargeMessage goes through gRPC's pool of buffers and comes out of many pieces.
func TestLargeMessage(t *testing.T) {
	m := &dncv1.CheckNumbersRequest{E164: make([]uint64, 10_000)}
	for i := range m.E164 {
		m.E164[i] = 14165550000 + uint64(i)
	}
	for range 3 {
		b := marshal(t, New(), m)
		var pieces mem.BufferSlice
		for rest := b; len(rest) > 0; {
			n := min(len(rest), 16<<10)
			pieces = append(pieces, mem.SliceBuffer(rest[:n]))
			rest = rest[n:]
		}
		got := new(dncv1.CheckNumbersRequest)
		if err := New().Unmarshal(pieces, got); err != nil || !proto.Equal(got, m) {
			t.Fatalf("%d numbers came back: %v", len(got.GetE164()), err)
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	m := &dncv1.CheckNumberRequest{Number: "+14165550199", Scope: "acme"}
	for name, c := range map[string]encoding.CodecV2{"codec": New(), "protobuf": encoding.GetCodecV2(standard.Name)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				data, err := c.Marshal(m)
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Unmarshal(data, new(dncv1.CheckNumberRequest)); err != nil {
					b.Fatal(err)
				}
				data.Free()
			}
		})
	}
}

// TestTracked: Freed is called once, whatever the size of a message, when its bytes are freed.
func TestTracked(t *testing.T) {
	for _, count := range []int{0, 1, 10_000} {
		freed := 0
		m := &dncv1.CheckNumbersResponse{E164: make([]uint64, count)}
		for i := range m.E164 {
			m.E164[i] = 14155550100
		}
		want, err := New().Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got, err := New().Marshal(&Tracked{Message: m, Freed: func() { freed++ }})
		if err != nil || !bytes.Equal(got.Materialize(), want.Materialize()) {
			t.Errorf("%d numbers: got %v and other bytes, want those of the message", count, err)
		}
		if count == 10_000 && freed != 0 {
			t.Error("the bytes were freed before their time")
		}
		got.Free()
		if freed != 1 {
			t.Errorf("%d numbers: freed %d times, want once", count, freed)
		}
	}
}
