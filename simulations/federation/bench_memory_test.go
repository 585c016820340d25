package federation

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/round"
	"github.com/consilium-fl/consilium/coordinator/store"
	"github.com/consilium-fl/consilium/coordinator/store/sqlite"
	"github.com/consilium-fl/consilium/crypto/secagg"
	siteagent "github.com/consilium-fl/consilium/site-agent"
)

// BenchmarkCoordinatorMemory reports the most memory that a coordinator of its
// own process has in use in a round, connections and everything, in lengths of
// one site's ciphertext: live-peak/packed is what is reachable, beyond what an
// idle coordinator has; resident-peak/packed is what the system gave the process.
//
//	go test -run '^$' -bench CoordinatorMemory -benchtime 1x ./simulations/federation
func BenchmarkCoordinatorMemory(b *testing.B) {
	for _, values := range []int{1_000_000, 10_000_000} {
		for _, sites := range []int{8, 32} {
			b.Run(fmt.Sprintf("values=%d/sites=%d", values, sites), func(b *testing.B) {
				c := newBench(b, sites, values)
				var m memory
				var packed int
				for b.Loop() {
					m, packed = c.measureRound(b)
				}
				b.ReportMetric(float64(m.live-m.idle)/float64(packed), "live-peak/packed")
				b.ReportMetric(float64(m.resident)/float64(packed), "resident-peak/packed")
				b.ReportMetric(float64(m.live)/(1<<20), "live-peak-MB")
				b.ReportMetric(float64(packed)/(1<<20), "packed-MB")
			})
		}
	}
}

// memory of a process, in bytes: live before and at most, resident at most.
type memory struct{ idle, live, resident int64 }

// measureRound does a round with the coordinator in another process, and returns
// what it took there and the length of one site's ciphertext.
func (c *bench) measureRound(b *testing.B) (m memory, packed int) {
	b.Helper()
	r := &benchRound{bench: c, plan: c.makePlan(b), store: c.openStore(b)}
	c.insert(b, r.plan, r.store.Store)
	must(b, r.store.Close())
	c.drawValues()
	child := exec.Command(os.Args[0], "-test.run", "^TestServeForABenchmark$")
	child.Env = append(os.Environ(), benchServer+"="+strings.Join([]string{c.coordinatorDir(), c.address, r.stream()}, "\n"))
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	must(b, err)
	out, err := child.StdoutPipe()
	must(b, err)
	must(b, child.Start())
	defer child.Wait()
	defer child.Process.Kill()
	said := bufio.NewReader(out)
	var sites []*running
	for _, s := range c.sites {
		s.seal = siteagent.Seal
		sites = append(sites, start(func(ctx context.Context) error {
			if err := s.work(ctx); ctx.Err() == nil {
				child.Process.Kill()
				return err
			}
			return nil
		}))
	}
	defer func() {
		for _, s := range sites {
			must(b, s.stop())
		}
	}()
	for _, s := range c.sites {
		for !s.waits.Load() {
			time.Sleep(time.Millisecond)
		}
	}
	_, err = io.WriteString(in, "go\n")
	must(b, err)
	if _, err := fmt.Fscanln(said, &m.idle, &m.live, &m.resident); err != nil {
		b.Fatal("the coordinator says nothing about its memory: ", err)
	}
	crypto, err := secagg.NewRound(r.plan.RoundSpec())
	must(b, err)
	return m, crypto.Chunks() * crypto.ChunkBytes()
}

const benchServer = "CONSILIUM_BENCHMARK_COORDINATOR"

// TestServeForABenchmark is no test: it is the process that measureRound starts.
func TestServeForABenchmark(t *testing.T) {
	arguments := strings.Split(os.Getenv(benchServer), "\n")
	if len(arguments) != 3 {
		t.Skip("only a benchmark starts this")
	}
	dir, address, stream := arguments[0], arguments[1], arguments[2]
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("tcp", address)
	fail(err)
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "facts.db"))
	fail(err)
	held := &heldStore{Store: db}
	ended := make(chan struct{})
	server, err := coordinator.Open(coordinator.Options{Dir: dir, Listener: listener, Store: held, AfterAppend: func(batch store.Batch) {
		for _, f := range batch.Facts {
			if record, err := round.Decode(f.Body); f.Stream == stream && err == nil {
				if _, over := record.(round.Ended); over {
					close(ended)
				}
			}
		}
	}})
	fail(err)
	serving := start(server.Serve)
	bufio.NewReader(os.Stdin).ReadString('\n')
	m := memory{idle: liveBytes()}
	held.letGo(stream)
	server.Nudge()
	for over := false; !over; {
		select {
		case <-ended:
			over = true
		default:
		}
		m.live = max(m.live, liveBytes())
	}
	fmt.Println(m.idle, m.live, residentPeak(t))
	serving.stop()
}

func liveBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// residentPeak is 0 where the system does not say.
func residentPeak(t *testing.T) (bytes int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		t.Fatal(err)
	}
	return bytes << 10
}
