package secagg

import (
	"math/big"
	"sync"
	"unsafe"
)

func init() {
	if hasVectors {
		kernel = lanes
	}
}

// lanes work eight lanes at a time, on processors with AVX-512.
var lanes = kernels{
	key:         newLaneKey,
	combine:     combineLanes,
	gaussian:    gaussianLanes,
	addResidues: addResiduesLanes,
	outOfBound:  outOfBoundLanes,
	encodeSlots: encodeLanes,
	decodeSlots: decodeLanes,
}

// laneTables are a suite's constants for the vector kernels.
type laneTables struct {
	primes []*vectorPrime
	spread []spreadPrime
	garner []garnerPrime
	mix    mixture
}

var laneTablesOf = func() map[*suite]func() *laneTables {
	m := make(map[*suite]func() *laneTables, len(suites))
	for _, s := range suites {
		m[s] = sync.OnceValue(func() *laneTables { return newLaneTables(arithmetics[s.name]()) })
	}
	return m
}()

func newLaneTables(a *arithmetic) *laneTables {
	t := new(laneTables)
	q := big.NewInt(1)
	for i, sr := range a.rings {
		p := new(big.Int).SetUint64(sr.Modulus)
		spread := spreadPrime{p: sr.Modulus}
		for j := range spread.limbs {
			f := new(big.Int).Lsh(big.NewInt(1), uint((j+1)*residueBits))
			spread.limbs[j] = newVectorFactor(f.Mod(f, p).Uint64(), sr.Modulus)
		}
		inverse := func(x uint64) vectorFactor {
			f := new(big.Int).SetUint64(x)
			return newVectorFactor(f.ModInverse(f, p).Uint64(), sr.Modulus)
		}
		garner := garnerPrime{p: sr.Modulus, inverseDegree: inverse(uint64(a.degree))}
		for j := range i {
			garner.inverses[j] = inverse(a.primes[j].p)
		}
		t.mix.deficits[i] = 1<<residueBits - sr.Modulus
		q.Mul(q, p)
		t.primes = append(t.primes, newVectorPrime(sr))
		t.spread = append(t.spread, spread)
		t.garner = append(t.garner, garner)
	}
	for i := range t.mix.modulus {
		limb := new(big.Int).Rsh(q, uint(i*residueBits))
		t.mix.modulus[i] = limb.Uint64() & residueMask
	}
	return t
}

// laneKey is plainKey in vector lanes.
type laneKey struct {
	*Round
	*laneTables
	public publicElements
	key    []int64 // modulo every prime, in NTT form, reduced
	work   []int64
	stream []byte
	mask   []uint64 // for the draws of a that need a second one
}

func newLaneKey(r *Round, key []int64) roundKey {
	n := r.degree
	l, _ := r.laneKeys.Get().(*laneKey)
	if l == nil {
		l = &laneKey{
			laneTables: laneTablesOf[r.suite](),
			key:        make([]int64, len(r.primes)*n), work: make([]int64, len(r.primes)*n),
			stream: make([]byte, 8*n),
		}
	}
	l.Round, l.public = r, newPublicElements(r.spec.ID)
	for i, v := range l.laneTables.primes {
		k := l.key[i*n : (i+1)*n]
		copy(k, key)
		v.transform(k)
		for j, x := range k {
			k[j] = reduced(x, int64(v.p))
		}
	}
	return l
}

// reduced brings |x| < 2^62 to at most 2^52 + 2^30 in magnitude, without a
// branch or a division.
func reduced(x, p int64) int64 { return x - (x+1<<52)>>53*p }

func (l *laneKey) wipe() {
	clear(l.key)
	clear(l.work)
	pool := &l.laneKeys
	l.Round = nil
	pool.Put(l)
}

// publicElement runs a kernel on the key stream of a, and once more, on the
// words of a itself, in the rare case that the kernel met one that is drawn
// again: one in 2^33 is.
func (l *laneKey) publicElement(chunk, prime int, kernel func(stream *byte) (rejected uint64)) {
	clear(l.stream)
	l.public.stream(chunk, prime).XORKeyStream(l.stream, l.stream)
	if kernel(&l.stream[0]) == 0 {
		return
	}
	if l.mask == nil {
		l.mask = make([]uint64, l.degree)
	}
	l.public.generator(chunk, prime).uniform(l.mask, l.rings[prime].Modulus)
	kernel((*byte)(unsafe.Pointer(&l.mask[0])))
}

func (l *laneKey) encrypt(chunk int, message []uint64, noise []int64, out []byte) {
	n, size := l.degree, l.chunkBytes()/len(l.laneTables.primes)
	spreadWords(&message[0], l.messageWords(), &noise[0], &l.work[0], n, &l.spread[0], len(l.spread))
	for i, v := range l.laneTables.primes {
		work, key, packed := l.work[i*n:(i+1)*n], &l.key[i*n], &out[i*size : (i+1)*size][0]
		v.transform(work)
		l.publicElement(chunk, i, func(stream *byte) uint64 {
			return maskPack(&work[0], key, stream, n, v.p, 1/float64(v.p), packed)
		})
	}
}

func (l *laneKey) decrypt(chunk int, bound int64, sums, message []uint64) bool {
	n := l.degree
	for i, v := range l.laneTables.primes {
		work, key, from := l.work[i*n:(i+1)*n], &l.key[i*n], &sums[i*n]
		l.publicElement(chunk, i, func(stream *byte) uint64 {
			return unmask(from, key, stream, n, v.p, 1/float64(v.p), &work[0])
		})
		v.untransform(work)
	}
	return composeWords(&l.work[0], n, &l.garner[0], len(l.garner), &l.mix, uint64(bound), &message[0]) == 0
}

// addResiduesLanes is addResiduesPlain; that names a residue at fault.
func addResiduesLanes(in []byte, sums []uint64, p uint64) error {
	_ = in[len(sums)*residueBits/8-1]
	if unpackAdd(&in[0], &sums[0], len(sums), p) != 0 {
		return addResiduesPlain(in, sums, p)
	}
	return nil
}
