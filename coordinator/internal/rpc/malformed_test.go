package rpc_test

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// TestMalformedRequestsAreRefusedAndNothingBreaks sends requests of every method
// with arbitrary content, by those who may call it. The answer is never that
// the coordinator failed, and it goes on to serve.
//
// It does not reach what lies behind a valid statement about a running round;
// the tests of contributions and faults do.
func TestMalformedRequestsAreRefusedAndNothingBreaks(t *testing.T) {
	c := rehearsal.New(t)
	c.Start(coordinator.Options{})
	c.Enrol(identity.RoleSite, "Site")
	c.Enrol(identity.RoleResearcher, "Researcher")
	c.Enrol(identity.RoleAuditor, "Auditor")
	parties := map[string]*grpc.ClientConn{"governance": c.Dial(c.Governance.ClientTLS(c.Clock.Now))}
	for party, name := range map[string]string{"site": "Site", "researcher": "Researcher", "auditor": "Auditor"} {
		_, parties[party] = c.Connect(name)
	}
	parties["anyone"] = parties["auditor"]
	study := c.Researcher("Researcher").Propose(rehearsal.Study)
	g := generator{
		random:  rand.New(rand.NewPCG(3, 4)),
		strings: []string{"", study, strings.ToUpper(study), strings.Repeat("0", 64), "consilium1.x.y", "ü\x00", strings.Repeat("a", 5000)},
	}
	site := c.Node("Site")
	for kind, v := range map[statement.Kind]any{
		statement.KindApproval:           statement.Approval{Site: "Site", Approved: true},
		statement.KindContributionHeader: statement.ContributionHeader{Site: "Site"},
		statement.KindOpeningShare:       statement.OpeningShare{Member: "Site"},
		statement.KindOpeningFault:       statement.OpeningFault{Member: "Site"},
		statement.KindDecline:            statement.Decline{Site: "Site"},
		statement.KindReleaseDecision:    statement.ReleaseDecision{Site: "Site"},
	} {
		signed, err := statement.Sign(kind, v, "Site", site.Keys().Signing())
		if err != nil {
			t.Fatal(err)
		}
		g.bytes = append(g.bytes, signed, signed[:len(signed)/2])
	}
	g.bytes = append(g.bytes, nil, []byte("{}"), []byte("null"), []byte(rehearsal.Study), make([]byte, 100_000), []byte("a: [b"), c.Governance.Rosters().Envelopes()[0])

	words := contract(t)
	all := methods()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		conn := parties[callers[words[name]][0]]
		for range 25 {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			if strings.HasSuffix(name, "/Watch") || strings.HasSuffix(name, "/Poll") {
				ctx, cancel = context.WithTimeout(context.Background(), 50*time.Millisecond) // they wait
			}
			err := send(ctx, t, conn, name, m, g.message(t, m.Input()))
			cancel()
			switch status.Code(err) {
			case codes.Internal:
				if !strings.Contains(err.Error(), "invalid UTF-8") {
					t.Errorf("%s: %v", name, err)
				}
			case codes.Unknown, codes.Unavailable:
				if !strings.Contains(err.Error(), "EOF") {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	if _, err := consiliumv1.NewStudyServiceClient(parties["auditor"]).List(context.Background(), &consiliumv1.ListRequest{}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAMessageThatIsTooLargeIsRefused(t *testing.T) {
	c := rehearsal.New(t)
	c.Start(coordinator.Options{})
	c.Enrol(identity.RoleResearcher, "Researcher")
	_, conn := c.Connect("Researcher")
	_, err := consiliumv1.NewStudyServiceClient(conn).Propose(context.Background(), &consiliumv1.ProposeRequest{Protocol: make([]byte, 65<<20)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("error is %v", err)
	}
}

// send is call with a request.
func send(ctx context.Context, t *testing.T, conn *grpc.ClientConn, name string, m protoreflect.MethodDescriptor, in protoreflect.ProtoMessage) error {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	out := kind.New().Interface()
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return conn.Invoke(ctx, name, in, out)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}, name)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(in); err == nil {
		stream.CloseSend()
	}
	return stream.RecvMsg(out)
}

// generator fills messages from pools of awkward values.
type generator struct {
	random  *rand.Rand
	strings []string
	bytes   [][]byte
}

func (g *generator) message(t *testing.T, d protoreflect.MessageDescriptor) protoreflect.ProtoMessage {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(err)
	}
	m := kind.New()
	for i := range d.Fields().Len() {
		field := d.Fields().Get(i)
		if field.IsList() {
			list := m.Mutable(field).List()
			for range g.random.IntN(4) {
				list.Append(g.value(field))
			}
			continue
		}
		m.Set(field, g.value(field))
	}
	return m.Interface()
}

func (g *generator) value(field protoreflect.FieldDescriptor) protoreflect.Value {
	number := []uint64{0, 1, 2, 1 << 31, 1<<32 - 1, 1 << 63, 1<<64 - 1}[g.random.IntN(7)]
	switch field.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(g.strings[g.random.IntN(len(g.strings))])
	case protoreflect.BytesKind:
		b := slices.Clone(g.bytes[g.random.IntN(len(g.bytes))])
		if len(b) > 0 && g.random.IntN(2) == 0 {
			b[g.random.IntN(len(b))] ^= byte(1 + g.random.IntN(255))
		}
		return protoreflect.ValueOfBytes(b)
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(g.random.IntN(2) == 0)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(number)
	}
	panic("a request has a field of a kind that the generator does not fill: " + field.Kind().String())
}
