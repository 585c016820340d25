package federation

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/consilium-fl/consilium/coordinator/blobs"
	"github.com/consilium-fl/consilium/crypto/identity"
	"github.com/consilium-fl/consilium/crypto/statement"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
	"github.com/consilium-fl/consilium/site-agent/vault"
)

// BenchmarkPlainRound is a round as a system without any encryption of the
// vectors would run it: every site sends float32 over the same connection, with
// the same calls, the same chunk size, the same digests, the same files synced
// at both ends; the server adds them up as float64. There is no committee, no
// opening and no ledger.
func BenchmarkPlainRound(b *testing.B) {
	const sites = 8
	for _, values := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("values=%d/sites=%d", values, sites), func(b *testing.B) {
			c := newBench(b, sites, values)
			var costs []cost
			var bytes int64
			for b.Loop() {
				b.StopTimer()
				round := c.preparePlain(b)
				b.StartTimer()
				begun, before := time.Now(), processorTime()
				sum := round.run(b)
				costs = append(costs, cost{time.Since(begun), processorTime() - before})
				b.StopTimer()
				round.stop()
				bytes = round.bytes
				c.checkSum(b, sum)
				b.StartTimer()
			}
			c.report(b, costs, bytes)
		})
	}
}

// plainChunk is the length of the secure sum's longest chunk.
const plainChunk = 217088

type plainRound struct {
	*bench
	id    statement.Digest
	bytes int64 // of one contribution
	stop  func()
	done  <-chan []float64
}

func (c *bench) preparePlain(b *testing.B) *plainRound {
	b.Helper()
	node, err := identity.OpenNode(filepath.Join(c.coordinatorDir(), "identity"))
	must(b, err)
	files, err := blobs.OpenFiles(filepath.Join(c.dir, fmt.Sprint("plain", c.nonce)))
	must(b, err)
	listener, err := net.Listen("tcp", c.address)
	must(b, err)
	c.nonce++
	c.drawValues()
	r := &plainRound{bench: c, id: statement.DigestOf([]byte{c.nonce})}
	done := make(chan []float64, 1)
	r.done = done
	service := &plainServer{store: files.In(r.id), sites: len(c.sites), values: c.values, done: done, begun: map[string]statement.ContributionHeader{}}
	const window = 1 << 20 // as the coordinator's
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(node.ServerTLS(time.Now))),
		grpc.StaticStreamWindowSize(window), grpc.StaticConnWindowSize(window))
	consiliumv1.RegisterSiteServiceServer(server, service)
	serving := start(func(context.Context) error { return server.Serve(listener) })
	r.stop = func() {
		server.GracefulStop()
		must(b, serving.stop())
		must(b, files.Close())
	}
	for _, s := range c.sites { // connected before the clock runs, as in BenchmarkRound
		_, err := s.site.Poll(b.Context(), &consiliumv1.PollRequest{})
		must(b, err)
	}
	return r
}

func (r *plainRound) run(b *testing.B) []float64 {
	failed := make([]error, len(r.sites))
	var group sync.WaitGroup
	for i, s := range r.sites {
		group.Go(func() { failed[i] = s.contributePlain(b.Context(), r.id) })
	}
	group.Wait()
	must(b, errors.Join(failed...))
	r.bytes = 4 * int64(r.values)
	return <-r.done
}

func (s *benchSite) contributePlain(ctx context.Context, id statement.Digest) error {
	encoded := make([]byte, 0, 4*len(s.values))
	for _, v := range s.values {
		encoded = binary.LittleEndian.AppendUint32(encoded, math.Float32bits(float32(v)))
	}
	c, err := s.vault.Seal(id, func(to *vault.Sealing) ([]byte, error) {
		for chunk := range slices.Chunk(encoded, plainChunk) {
			if err := to.Chunk(chunk); err != nil {
				return nil, err
			}
		}
		return s.header(nil, id, to, nil)
	})
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := s.send(ctx, id, c); err != nil {
		return err
	}
	return s.vault.Wipe(id)
}

// plainServer stores what comes and, once every site is done, adds it up.
type plainServer struct {
	consiliumv1.UnimplementedSiteServiceServer
	store         blobs.Store
	sites, values int
	done          chan<- []float64

	mu       sync.Mutex
	begun    map[string]statement.ContributionHeader
	complete int
}

func (p *plainServer) Poll(context.Context, *consiliumv1.PollRequest) (*consiliumv1.PollResponse, error) {
	return &consiliumv1.PollResponse{}, nil
}

func (p *plainServer) BeginContribution(_ context.Context, q *consiliumv1.BeginContributionRequest) (*consiliumv1.BeginContributionResponse, error) {
	if err := p.store.Put(blobs.New(q.GetHeader())); err != nil {
		return nil, err
	}
	_, payload, err := statement.Payload(q.GetHeader())
	if err != nil {
		return nil, err
	}
	var header statement.ContributionHeader
	if err := statement.Decode(payload, &header); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun[header.Site] = header
	answer := &consiliumv1.BeginContributionResponse{}
	for i := range header.Chunks {
		answer.Missing = append(answer.Missing, uint32(i))
	}
	return answer, nil
}

func (p *plainServer) UploadChunks(stream consiliumv1.SiteService_UploadChunksServer) error {
	for {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&consiliumv1.UploadChunksResponse{})
		}
		if err != nil {
			return err
		}
		if err := p.store.Stage(blobs.New(q.GetChunk())); err != nil {
			return err
		}
	}
}

func (p *plainServer) CommitContribution(context.Context, *consiliumv1.CommitContributionRequest) (*consiliumv1.CommitContributionResponse, error) {
	if err := p.store.Sync(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.complete++; p.complete < p.sites {
		return &consiliumv1.CommitContributionResponse{}, nil
	}
	sum := make([]float64, p.values)
	for _, header := range p.begun {
		at := 0
		for _, name := range header.Chunks {
			chunk, err := p.store.Get(name)
			if err != nil {
				return nil, err
			}
			for ; len(chunk) > 0; chunk = chunk[4:] {
				sum[at] += float64(math.Float32frombits(binary.LittleEndian.Uint32(chunk)))
				at++
			}
		}
	}
	p.done <- sum
	return &consiliumv1.CommitContributionResponse{}, nil
}
