package secagg

// roundKey is a key, or the sum of several, in the form that masks chunks: what
// a site encrypts with and the sum of contributions is opened with. It holds
// scratch space and is for one goroutine.
type roundKey interface {
	// encrypt writes a*s + e + 2^nu * message of a chunk, in NTT form and
	// packed, which is additive in the key, the error and the message.
	encrypt(chunk int, message []uint64, noise []int64, out []byte)

	// decrypt writes the summed message of a chunk, from the sums of its
	// residues, prime after prime, which it overwrites. False means that a
	// coefficient's noise is larger than the bound in magnitude.
	decrypt(chunk int, bound int64, sums, message []uint64) bool

	// wipe overwrites the key and what was computed with it. The key is not used
	// after that: its memory may be another's.
	wipe()
}

// plainKey works with package ring.
type plainKey struct {
	*Round
	public     publicElements
	mont       []uint64 // modulo every prime, in NTT and Montgomery form
	work, mask []uint64
}

func newPlainKey(r *Round, key []int64) roundKey {
	p := &plainKey{r, newPublicElements(r.spec.ID), make([]uint64, len(r.primes)*r.degree), make([]uint64, r.degree), make([]uint64, r.degree)}
	for i, sr := range r.rings {
		k := p.mont[i*r.degree : (i+1)*r.degree]
		for j, s := range key {
			k[j] = residue(s, sr.Modulus)
		}
		sr.NTT(k, k)
		sr.MForm(k, k)
	}
	return p
}

func (p *plainKey) wipe() { clear(p.mont); clear(p.work) }

func (p *plainKey) encrypt(chunk int, message []uint64, noise []int64, out []byte) {
	size, words := p.chunkBytes()/len(p.primes), p.messageWords()
	for i, sr := range p.rings {
		for k := range p.work {
			m := message[k*words : (k+1)*words]
			p.work[k] = subtractOnce(p.reduceMessage(m, i)+residue(noise[k], sr.Modulus), sr.Modulus)
		}
		sr.NTT(p.work, p.work)
		p.public.generator(chunk, i).uniform(p.mask, sr.Modulus)
		sr.MulCoeffsMontgomeryThenAdd(p.mask, p.mont[i*p.degree:(i+1)*p.degree], p.work)
		packResidues(p.work, out[i*size:(i+1)*size])
	}
}

func (p *plainKey) decrypt(chunk int, bound int64, sums, message []uint64) bool {
	for i, sr := range p.rings {
		v := sums[i*p.degree : (i+1)*p.degree]
		sr.Reduce(v, v)
		p.public.generator(chunk, i).uniform(p.mask, sr.Modulus)
		sr.MulCoeffsMontgomeryThenSub(p.mask, p.mont[i*p.degree:(i+1)*p.degree], v)
		sr.INTT(v, v)
	}
	words := p.messageWords()
	var residues [maxPrimes]uint64
	for k := range p.degree {
		for i := range p.primes {
			residues[i] = sums[i*p.degree+k]
		}
		m, noise := p.centre(p.compose(&residues))
		if noise < -bound || noise > bound {
			return false
		}
		copy(message[k*words:], m[:words])
	}
	return true
}

// subtractOnce brings x < 2p below p, without a branch.
func subtractOnce(x, p uint64) uint64 {
	x -= p
	return x + p&uint64(int64(x)>>63)
}
