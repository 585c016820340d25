package secagg

// kernels are the steps of sealing and opening that take the time. Each has a
// plain twin, which says what the step is and is the oracle of the tests; the
// twins give the same results, byte for byte.
type kernels struct {
	// key prepares a key to mask chunks with.
	key func(r *Round, key []int64) roundKey

	// combine adds up rows of field elements, as many as there are weights, each
	// times its weight, and each as long as out.
	combine func(weights []uint32, rows [][]byte, out []byte)

	// gaussian fills out with samples.
	gaussian func(g *generator, out []int64)

	// addResidues adds len(sums) packed residues, a multiple of 64, to sums. It
	// refuses a residue that is not below p. Sums of up to 2^11 residues do not
	// overflow.
	addResidues func(in []byte, sums []uint64, p uint64) error

	// outOfBound is the index of the first value that is not within the bound, -1
	// when all are.
	outOfBound func(values []float64, bound float64) int

	// encodeSlots writes as many coefficients as the values fill, the last of
	// them perhaps in part; slots are of less than a word.
	encodeSlots func(g *segment, values []float64, words int, message []uint64)

	// decodeSlots reads coefficients of a segment from its number first on; slots
	// are of less than a word. It may leave the last ones of the message to
	// segment.decode, and says how many it read.
	decodeSlots func(g *segment, first, contributors, words int, message []uint64, out run) (done int, ok bool)
}

// plain works on every processor, and never branches on a secret.
var plain = kernels{
	key:         newPlainKey,
	combine:     combinePlain,
	gaussian:    (*generator).gaussianPlain,
	addResidues: addResiduesPlain,
	outOfBound:  outOfBoundPlain,
	encodeSlots: (*segment).encodeSlotsPlain,
	decodeSlots: (*segment).decodeSlotsPlain,
}

// kernel is what is in use: the fastest that the processor has.
var kernel = plain

func (r *Round) keyTransform(key []int64) roundKey { return kernel.key(r, key) }

func (g *generator) gaussian(out []int64) { kernel.gaussian(g, out) }

func addResidues(in []byte, sums []uint64, p uint64) error { return kernel.addResidues(in, sums, p) }
