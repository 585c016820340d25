package rpc_test

import (
	"context"
	"crypto/tls"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/crypto/identity"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

// callers says who is meant by each "Caller:" comment of the wire contract.
var callers = map[string][]string{
	"anyone who holds an unspent, unexpired invitation token.":           {"anyone"},
	"anyone who enrolled, by the same signed enrolment.":                 {"anyone"},
	"any member (coordinator excepted), or the governance key.":          {"site", "researcher", "auditor", "governance"},
	"any site, researcher or auditor on the current roster, for itself.": {"site", "researcher", "auditor"},
	"the governance key.":       {"governance"},
	"site.":                     {"site"},
	"site, for itself.":         {"site"},
	"invited site, for itself.": {"site"},
	"invited site that began the contribution.": {"site"},
	"committee member of the round.":            {"site"},
	"researcher.":                               {"researcher"},
	"researcher who proposed the study.":        {"researcher"},
	"auditor.":                                  {"auditor"},
	"researcher, auditor, site.":                {"site", "researcher", "auditor"},
	"any site, researcher or auditor.":          {"site", "researcher", "auditor"},
	"auditor; researcher who proposed the study, without ciphertexts.": {"auditor", "researcher"},
}

// contract reads the Caller comment of every method from the proto sources.
func contract(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob("../../../proto/consilium/v1/*.proto")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no proto sources: %v", err)
	}
	service := regexp.MustCompile(`^service (\w+)`)
	comment := regexp.MustCompile(`^  // Caller: (.*)$`)
	method := regexp.MustCompile(`^  rpc (\w+)\(`)
	found := map[string]string{}
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		in, who := "", ""
		for line := range strings.Lines(string(source)) {
			line = strings.TrimSuffix(line, "\n")
			if m := service.FindStringSubmatch(line); m != nil {
				in = m[1]
			}
			if m := comment.FindStringSubmatch(line); m != nil {
				who = m[1]
			}
			if m := method.FindStringSubmatch(line); m != nil {
				found["/consilium.v1."+in+"/"+m[1]] = who
				who = ""
			}
		}
	}
	return found
}

// methods enumerates every method from the generated descriptors.
func methods() map[string]protoreflect.MethodDescriptor {
	all := map[string]protoreflect.MethodDescriptor{}
	protoregistry.GlobalFiles.RangeFilesByPackage("consilium.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				all["/"+string(service.FullName())+"/"+string(m.Name())] = m
			}
		}
		return true
	})
	return all
}

// call sends an empty request.
func call(ctx context.Context, t *testing.T, conn *grpc.ClientConn, name string, m protoreflect.MethodDescriptor) error {
	t.Helper()
	message := func(d protoreflect.MessageDescriptor) any {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
		if err != nil {
			t.Fatal(err)
		}
		return kind.New().Interface()
	}
	in, out := message(m.Input()), message(m.Output())
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return conn.Invoke(ctx, name, in, out)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: m.IsStreamingServer()}, name)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(in); err != nil {
		return stream.RecvMsg(out)
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return stream.RecvMsg(out)
}

// shows is a client that shows a member's certificate whatever it is worth.
func shows(node *identity.Node, clock *rehearsal.Clock) *tls.Config {
	cfg := node.RenewalTLS(clock.Now)
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return &tls.Certificate{Certificate: [][]byte{node.Certificate().Raw}, PrivateKey: node.Keys().Signing()}, nil
	}
	return cfg
}

// state counts what is stored.
type state struct {
	facts, leaves uint64
	blobs         int
}

func count(t *testing.T, c *rehearsal.Consortium, db *sqlite.DB) (s state) {
	t.Helper()
	var err error
	if s.facts, s.leaves, err = db.Size(context.Background()); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(c.StateDir(), "blobs"), func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			s.blobs++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestEveryMethodIsRefusedToEveryoneElse calls every method of the descriptors
// as everybody. Who may call gets through to the method, which complains about
// the empty request or answers it; everybody else is refused before that, and
// nothing is stored.
func TestEveryMethodIsRefusedToEveryoneElse(t *testing.T) {
	c := rehearsal.New(t)
	db, err := sqlite.Open(context.Background(), filepath.Join(c.StateDir(), "facts.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const ttl = 20 * time.Minute
	c.Start(coordinator.Options{Store: db, CertificateTTL: ttl})

	// The expired ones enrol first; the clock leaps; the others enrol after.
	c.Enrol(identity.RoleSite, "Expired", "Lapsed")
	lapsedNode, lapsed := c.Connect("Lapsed")
	if err := lapsed.Invoke(context.Background(), "/consilium.v1.MembershipService/Rosters", rosters(), rosters()); status.Code(err) == codes.PermissionDenied {
		t.Fatalf("before it lapsed: %v", err)
	}
	c.Clock.Skip(ttl + time.Minute)
	waitForRenewal(t, c, lapsedNode)
	c.Enrol(identity.RoleSite, "Site", "Removed")
	c.Enrol(identity.RoleResearcher, "Researcher")
	c.Enrol(identity.RoleAuditor, "Auditor")
	_, site := c.Connect("Site")
	_, researcher := c.Connect("Researcher")
	_, auditor := c.Connect("Auditor")
	removedNode, removed := c.Connect("Removed")
	if err := removed.Invoke(context.Background(), "/consilium.v1.LedgerService/Checkpoint", rosters(), rosters()); status.Code(err) == codes.PermissionDenied {
		t.Fatalf("before it was removed: %v", err)
	}
	c.Remove("Removed")

	other := rehearsal.New(t)
	other.Start(coordinator.Options{})
	other.Enrol(identity.RoleSite, "Site")
	foreign := shows(c.Node("Site"), c.Clock)
	foreign.GetClientCertificate = shows(other.Node("Site"), c.Clock).GetClientCertificate
	coordinatorNode, err := identity.OpenNode(filepath.Join(c.StateDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}

	parties := map[string]*grpc.ClientConn{
		"site": site, "researcher": researcher, "auditor": auditor,
		"governance":                          c.Dial(c.Governance.ClientTLS(c.Clock.Now)),
		"coordinator":                         c.Dial(shows(coordinatorNode, c.Clock)),
		"nobody":                              c.Dial(c.Node("Site").RenewalTLS(c.Clock.Now)),
		"one whose certificate expired":       c.Dial(shows(c.Node("Expired"), c.Clock)),
		"one whose certificate expired since": lapsed,
		"a removed member":                    c.Dial(shows(removedNode, c.Clock)),
		"a member removed since":              removed,
		"a member of another consortium":      c.Dial(foreign),
	}
	words := contract(t)
	before := count(t, c, db)
	tested := 0
	for name, m := range methods() {
		who, ok := callers[words[name]]
		if !ok {
			t.Errorf("%s: its proto comment says %q, which names no callers this test knows", name, words[name])
			continue
		}
		for party, conn := range parties {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			err := call(ctx, t, conn, name, m)
			cancel()
			// A handshake that was refused is a connection that never was.
			refused := status.Code(err) == codes.Unavailable ||
				slices.Contains([]string{"not-allowed", "no-certificate", "certificate-not-valid-now"}, rehearsal.Code(err))
			handshake := slices.Contains([]string{"coordinator", "one whose certificate expired", "a removed member", "a member of another consortium"}, party)
			allowed := slices.Contains(who, party) || slices.Contains(who, "anyone") && !handshake
			if allowed == refused {
				t.Errorf("%s called by %s: refused is %v (%v)", name, party, refused, err)
			}
			tested++
		}
	}
	if tested < 24*len(parties) {
		t.Errorf("only %d calls were made: methods are missing", tested)
	}
	if after := count(t, c, db); after != before {
		t.Errorf("the refused calls changed what is stored from %+v to %+v", before, after)
	}
}

// waitForRenewal waits until the coordinator has renewed its own certificate,
// which expired with everybody's.
func waitForRenewal(t *testing.T, c *rehearsal.Consortium, node *identity.Node) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		conn, err := tls.Dial("tcp", c.Address, func() *tls.Config {
			cfg := node.RenewalTLS(c.Clock.Now)
			cfg.NextProtos = []string{"h2"}
			return cfg
		}())
		if err == nil {
			conn.Close()
			return
		}
	}
	t.Fatal("the coordinator did not renew its certificate")
}

// rosters is an empty message; every request and response can be read as one.
func rosters() any { return &consiliumv1.RostersRequest{} }
