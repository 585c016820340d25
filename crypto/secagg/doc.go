// Package secagg is the secure sum: the only way anything derived from a
// patient leaves a hospital. A site encrypts a vector of numbers so that it can
// only ever be opened as part of a sum over several sites.
//
// # How
//
// Each site draws a fresh key s for every round and encrypts its vector as
//
//	c = a*s + e + 2^20 * m   in  Z_q[X]/(X^N + 1), one ring element per chunk
//
// which is additive in the key, the error and the message at once. It shares
// only the key among a committee of sites with Shamir's scheme. Committee
// members add the shares of an announced set of contributors and answer with
// the sum; a threshold of answers opens the sum of the keys, which opens the
// sum of the vectors and nothing else. The opening costs the same for ten
// numbers and for a hundred million.
//
//	round, err := secagg.NewRound(spec)
//	contribution, err := round.Seal(values)          // each site; SealStream for a long vector
//	opening, err := round.AddShares(shares)          // each committee member
//	sum, err := round.Open(n, read, openings)        // the coordinator, and any auditor
//
// # What it promises
//
// Nothing about one site's vector is learned beyond the opened sum, by a
// coordinator that deviates arbitrarily together with fewer than a threshold
// of committee members, while at least two contributors are honest. The opened
// sum is exact: bit for bit the sum of the encoded integers. A contribution
// that is damaged, truncated or under another key makes Open fail; it never
// gives a wrong number silently. Any threshold of the committee is enough,
// whoever contributed and whoever is gone.
//
// It does not promise that a site told the truth. Seal keeps an honest site
// within its fields' bounds; a site that writes its own ciphertext can add
// whatever leaves each sum within contributors * bound, and is caught only
// beyond that.
//
// # What it refuses
//
// Raw parameters: a suite is a name, and the layout decides which. A value
// that is not finite or out of its field's bound: nothing is clipped. A layout
// with a slot that could overflow. A threshold of half the committee or less,
// with which two sets could be opened. A sum over fewer than two. Bytes of the
// wrong length, before anything is allocated for them, and elements out of
// range. An opening share off the polynomial, by name; a key sum, noise or slot
// larger than its contributors can make it. No error contains a value.
//
// The sampler, the sharing and the arithmetic on secrets branch on nothing
// secret as written; lattigo's reductions rely on the compiler's conditional
// moves for that, the vector kernels on nothing. Keys, errors and encoded values are overwritten after use, as
// far as Go lets a program do it: the schedule of an AES key is out of reach.
//
// It does not know who is who: signatures, rosters, the floor on the number of
// contributors, that shares are sealed to their member, and above all that a
// committee member answers for ONE set of a round, ever, are its callers'.
//
// # What it rests on
//
// Key-additive encryption with an opened key sum: LERNA (Li, Lin,
// Polychroniadou, Tessaro, ePrint 2023/1936), OPA (Karthikeyan, Polychroniadou,
// arXiv 2410.22303) and Willow (Bell-Clark and others, ePrint 2024/936). Masking
// by learning with errors and shared secrets: Stevens and others (USENIX
// Security 2022). The rule that members answer for one set: Bonawitz and others
// (CCS 2017).
//
// Opening reveals the exact sums of keys and of errors. That the rest stays
// hidden is the Hint-RLWE assumption: with keys and errors discrete Gaussian of
// standard deviation 4.6, two honest contributors leave each other a deviation
// of at least 4.6/sqrt(2) > 3.19, the one for which the standard tables of ring
// learning with errors give 128 bits at these sizes. It is an assumption, and
// stated as one.
//
// Arithmetic in the ring is lattigo's (package ring of v5), which this package
// alone imports. Its decoders never see bytes from elsewhere. On processors with
// AVX-512 vector kernels take its place and that of the other steps that take
// the time (type kernels); the plain steps say what they do, run everywhere
// else, and are compared with them byte for byte. GODEBUG=cpu.avx512f=off makes
// any processor run those.
package secagg
