#include "textflag.h"

// The steps of a chunk beside its transforms: see residues_amd64.go.

#define CONSTANT8(name, a, b, c, d, e, f, g, h) \
DATA name<>+0(SB)/8, $a;  \
DATA name<>+8(SB)/8, $b;  \
DATA name<>+16(SB)/8, $c; \
DATA name<>+24(SB)/8, $d; \
DATA name<>+32(SB)/8, $e; \
DATA name<>+40(SB)/8, $f; \
DATA name<>+48(SB)/8, $g; \
DATA name<>+56(SB)/8, $h; \
GLOBL name<>(SB), RODATA|NOPTR, $64

// As in ntt_amd64.s, with p in Z31 and 2^52 in Z30.
#define REDUCE(x, t) \
	VPADDQ  Z30, x, t; \
	VPSRAQ  $53, t, t; \
	VPMULLQ Z31, t, t; \
	VPSUBQ  t, x, x

// CANONICAL(x, t) brings |x| < 2^63 into [0, p). After REDUCE a negative x,
// read as unsigned, is above x+p, and a non-negative one below it.
#define CANONICAL(x, t) \
	REDUCE(x, t);      \
	VPADDQ  Z31, x, t; \
	VPMINUQ t, x, x

// Words of three to a coefficient, and of two, side by side in memory.
CONSTANT8(third0a, 0, 3, 6, 9, 12, 15, 0, 0)
CONSTANT8(third0b, 0, 1, 2, 3, 4, 5, 10, 13)
CONSTANT8(third1a, 1, 4, 7, 10, 13, 0, 0, 0)
CONSTANT8(third1b, 0, 1, 2, 3, 4, 8, 11, 14)
CONSTANT8(third2a, 2, 5, 8, 11, 14, 0, 0, 0)
CONSTANT8(third2b, 0, 1, 2, 3, 4, 9, 12, 15)
CONSTANT8(even, 0, 2, 4, 6, 8, 10, 12, 14)
CONSTANT8(odd, 1, 3, 5, 7, 9, 11, 13, 15)

// func spreadWords(message *uint64, words int, noise, out *int64, n int, primes *spreadPrime, count int)
TEXT ·spreadWords(SB), NOSPLIT, $0-56
	MOVQ message+0(FP), SI
	MOVQ words+8(FP), AX
	MOVQ noise+16(FP), DX
	MOVQ out+24(FP), DI
	MOVQ n+32(FP), CX
	MOVQ primes+40(FP), R8
	MOVQ count+48(FP), R9
	MOVQ $0x1fffffffffffff, R10
	VPBROADCASTQ R10, Z29
	MOVQ CX, R13
	SHLQ $3, R13           // bytes from one prime's elements to the next's
	VPXORQ Z1, Z1, Z1
	VPXORQ Z2, Z2, Z2
	VMOVDQU64 third0a<>(SB), Z16
	VMOVDQU64 third0b<>(SB), Z17
	VMOVDQU64 third1a<>(SB), Z18
	VMOVDQU64 third1b<>(SB), Z19
	VMOVDQU64 third2a<>(SB), Z20
	VMOVDQU64 third2b<>(SB), Z21
	VMOVDQU64 even<>(SB), Z22
	VMOVDQU64 odd<>(SB), Z23

eight:
	VMOVDQU64 (SI), Z0
	CMPQ AX, $2
	JLT  loaded
	JEQ  two
	VMOVDQU64 64(SI), Z3
	VMOVDQU64 128(SI), Z4
	VMOVDQA64 Z0, Z1
	VMOVDQA64 Z0, Z2
	VPERMT2Q Z3, Z16, Z0
	VPERMT2Q Z4, Z17, Z0
	VPERMT2Q Z3, Z18, Z1
	VPERMT2Q Z4, Z19, Z1
	VPERMT2Q Z3, Z20, Z2
	VPERMT2Q Z4, Z21, Z2
	ADDQ $128, SI
	JMP  loaded

two:
	VMOVDQU64 64(SI), Z3
	VMOVDQA64 Z0, Z1
	VPERMT2Q Z3, Z22, Z0
	VPERMT2Q Z3, Z23, Z1
	ADDQ $64, SI

loaded:
	ADDQ $64, SI

	// The message, shifted by 20 bits, in limbs of 53 bits: Z4 .. Z7.
	VPSLLQ $20, Z0, Z4
	VPANDQ Z29, Z4, Z4
	VPSRLQ $33, Z0, Z5
	VPSLLQ $31, Z1, Z8
	VPORQ  Z8, Z5, Z5
	VPANDQ Z29, Z5, Z5
	VPSRLQ $22, Z1, Z6
	VPSLLQ $42, Z2, Z8
	VPORQ  Z8, Z6, Z6
	VPANDQ Z29, Z6, Z6
	VPSRLQ $11, Z2, Z7
	VPADDQ (DX), Z4, Z4
	ADDQ   $64, DX
	VCVTQQ2PD Z5, Z9
	VCVTQQ2PD Z6, Z10
	VCVTQQ2PD Z7, Z11

	MOVQ R8, R11
	MOVQ R9, BX
	MOVQ DI, R12

prime:
	VMULPD.BCST      16(R11), Z9, Z12
	VFMADD231PD.BCST 32(R11), Z10, Z12
	VFMADD231PD.BCST 48(R11), Z11, Z12
	VPMULLQ.BCST     8(R11), Z5, Z13
	VPMULLQ.BCST     24(R11), Z6, Z14
	VPMULLQ.BCST     40(R11), Z7, Z15
	VCVTPD2QQ        Z12, Z12
	VPMULLQ.BCST     (R11), Z12, Z12
	VPADDQ           Z4, Z13, Z13
	VPADDQ           Z14, Z15, Z15
	VPSUBQ           Z12, Z13, Z13
	VPADDQ           Z15, Z13, Z13
	VMOVDQU64        Z13, (R12)
	ADDQ R13, R12
	ADDQ $56, R11
	DECQ BX
	JNZ  prime

	ADDQ $64, DI
	SUBQ $8, CX
	JNZ  eight
	VZEROUPPER
	RET

// Eight residues r0 .. r7 in 53 bytes, as seven words and a bit: the residue
// that a word begins with and how far to shift it down, the next one and how
// far up. Word 4 ends with the two lowest bits of r6.
CONSTANT8(packFirst, 0, 1, 2, 3, 4, 6, 7, 0)
CONSTANT8(packDown, 0, 11, 22, 33, 44, 2, 13, 64)
CONSTANT8(packSecond, 1, 2, 3, 4, 5, 7, 0, 0)
CONSTANT8(packUp, 53, 42, 31, 20, 9, 51, 64, 64)
CONSTANT8(packThird, 0, 0, 0, 0, 6, 0, 0, 0)
CONSTANT8(packTop, 64, 64, 64, 64, 62, 64, 64, 64)

// And back: the word that a residue begins in, how far to shift it down, and
// the next word up.
CONSTANT8(unpackFirst, 0, 0, 1, 2, 3, 4, 4, 5)
CONSTANT8(unpackDown, 0, 53, 42, 31, 20, 9, 62, 51)
CONSTANT8(unpackSecond, 1, 1, 2, 3, 4, 5, 5, 6)
CONSTANT8(unpackUp, 64, 11, 22, 33, 44, 55, 2, 13)

// PRODUCT of the draw at (SI), cut to 53 bits, with the key element at (DX)
// into x; K2 collects draws that are not below p. Z29 = 2^53-1, Z28 = 1/p.
#define MASKED(x, t, s) \
	VPANDQ    (SI), Z29, x;        \
	VMOVDQU64 (DX), s;             \
	VPCMPUQ   $5, Z31, x, K1;      \
	KORB      K1, K2, K2;          \
	VCVTQQ2PD s, t;                \
	VMULPD    Z28, t, t;           \
	VPMULLQ   s, x, s;             \
	VCVTQQ2PD x, x;                \
	VMULPD    x, t, t;             \
	VCVTPD2QQ t, t;                \
	VPMULLQ   Z31, t, t;           \
	VPSUBQ    t, s, x

#define MASKCONSTANTS(p, inverse) \
	VPBROADCASTQ p, Z31;                 \
	VPBROADCASTQ inverse, Z28;           \
	MOVQ         $0x1fffffffffffff, R10; \
	VPBROADCASTQ R10, Z29;               \
	MOVQ         $0x10000000000000, R10; \
	VPBROADCASTQ R10, Z30;               \
	KXORB        K2, K2, K2

#define PACK8 \
	CANONICAL(Z0, Z2);          \
	VPERMQ  Z0, Z16, Z1;        \
	VPERMQ  Z0, Z18, Z2;        \
	VPERMQ  Z0, Z20, Z3;        \
	VPSRLVQ Z17, Z1, Z1;        \
	VPSLLVQ Z19, Z2, Z2;        \
	VPSLLVQ Z21, Z3, Z3;        \
	VPORQ   Z2, Z1, Z1;         \
	VPORQ   Z3, Z1, Z1

// func maskPack(work, key *int64, stream *byte, n int, p uint64, inverse float64, out *byte) (rejected uint64)
TEXT ·maskPack(SB), NOSPLIT, $0-64
	MOVQ work+0(FP), R8
	MOVQ key+8(FP), DX
	MOVQ stream+16(FP), SI
	MOVQ n+24(FP), CX
	MOVQ out+48(FP), DI
	MASKCONSTANTS(p+32(FP), inverse+40(FP))
	VMOVDQU64 packFirst<>(SB), Z16
	VMOVDQU64 packDown<>(SB), Z17
	VMOVDQU64 packSecond<>(SB), Z18
	VMOVDQU64 packUp<>(SB), Z19
	VMOVDQU64 packThird<>(SB), Z20
	VMOVDQU64 packTop<>(SB), Z21
	SUBQ $8, CX

pack:
	MASKED(Z0, Z1, Z2)
	VPADDQ (R8), Z0, Z0
	PACK8
	VMOVDQU64 Z1, (DI)     // eleven bytes too many: the next eight overwrite them
	ADDQ $64, SI
	ADDQ $64, DX
	ADDQ $64, R8
	ADDQ $53, DI
	SUBQ $8, CX
	JNZ  pack

	MASKED(Z0, Z1, Z2)
	VPADDQ (R8), Z0, Z0
	PACK8
	MOVQ  $0x1fffffffffffff, R10 // the last 53 bytes and no more
	KMOVQ R10, K1
	VMOVDQU8 Z1, K1, (DI)
	KMOVB K2, AX
	MOVQ AX, rejected+56(FP)
	VZEROUPPER
	RET

// func unmask(sums *uint64, key *int64, stream *byte, n int, p uint64, inverse float64, out *int64) (rejected uint64)
TEXT ·unmask(SB), NOSPLIT, $0-64
	MOVQ sums+0(FP), R8
	MOVQ key+8(FP), DX
	MOVQ stream+16(FP), SI
	MOVQ n+24(FP), CX
	MOVQ out+48(FP), DI
	MASKCONSTANTS(p+32(FP), inverse+40(FP))

subtract:
	MASKED(Z0, Z1, Z2)
	VMOVDQU64 (R8), Z3
	VPSRLQ  $53, Z3, Z4    // not rounded, as REDUCE does: a sum may be close to 2^63
	VPMULLQ Z31, Z4, Z4
	VPSUBQ  Z4, Z3, Z3
	VPSUBQ  Z0, Z3, Z3
	REDUCE(Z3, Z4)
	VMOVDQU64 Z3, (DI)
	ADDQ $64, SI
	ADDQ $64, DX
	ADDQ $64, R8
	ADDQ $64, DI
	SUBQ $8, CX
	JNZ  subtract
	KMOVB K2, AX
	MOVQ AX, rejected+56(FP)
	VZEROUPPER
	RET

#define UNPACK8 \
	VPERMQ  Z0, Z16, Z1;        \
	VPERMQ  Z0, Z18, Z2;        \
	VPSRLVQ Z17, Z1, Z1;        \
	VPSLLVQ Z19, Z2, Z2;        \
	VPORQ   Z2, Z1, Z1;         \
	VPANDQ  Z29, Z1, Z1;        \
	VPCMPUQ $5, Z31, Z1, K1;    \
	KORB    K1, K2, K2;         \
	VPADDQ  (DI), Z1, Z1;       \
	VMOVDQU64 Z1, (DI)

// func unpackAdd(in *byte, sums *uint64, n int, p uint64) (above uint64)
TEXT ·unpackAdd(SB), NOSPLIT, $0-40
	MOVQ in+0(FP), SI
	MOVQ sums+8(FP), DI
	MOVQ n+16(FP), CX
	VPBROADCASTQ p+24(FP), Z31
	MOVQ $0x1fffffffffffff, R10
	VPBROADCASTQ R10, Z29
	KXORB K2, K2, K2
	VMOVDQU64 unpackFirst<>(SB), Z16
	VMOVDQU64 unpackDown<>(SB), Z17
	VMOVDQU64 unpackSecond<>(SB), Z18
	VMOVDQU64 unpackUp<>(SB), Z19
	SUBQ $8, CX

unpack:
	VMOVDQU64 (SI), Z0     // eleven bytes of the next eight as well
	UNPACK8
	ADDQ $53, SI
	ADDQ $64, DI
	SUBQ $8, CX
	JNZ  unpack

	KMOVQ R10, K1
	VMOVDQU8.Z (SI), K1, Z0
	UNPACK8
	KMOVB K2, AX
	MOVQ AX, above+32(FP)
	VZEROUPPER
	RET

// LAZYPRODUCT multiplies x by the factor at an offset into the prime at (R8),
// as PRODUCT in ntt_amd64.s.
#define LAZYPRODUCT(x, factor, t) \
	VCVTQQ2PD x, t;                   \
	VMULPD.BCST   8+factor(R8), t, t; \
	VPMULLQ.BCST  factor(R8), x, x;   \
	VCVTPD2QQ t, t;                   \
	VPMULLQ   Z31, t, t;              \
	VPSUBQ    t, x, x

// DEFICIT is x * (2^53 - p), x < 2^53, for the prime at offset p of (BX): the
// low 53 bits and a little more in low, the rest in high. x*p is then
// 2^53 * (x - high) - low.
#define DEFICIT(x, p, low, high, t) \
	VPSRLQ        $32, x, t;    \
	VPMULUDQ.BCST p(BX), x, low; \
	VPMULUDQ.BCST p(BX), t, t;  \
	VPSRLQ        $21, t, high; \
	VPSLLQ        $32, t, t;    \
	VPANDQ        Z29, t, t;    \
	VPADDQ        t, low, low

// CARRY leaves 53 bits in a and adds the rest, signed, to b.
#define CARRY(a, b, t) \
	VPSRAQ $53, a, t; \
	VPADDQ t, b, b;   \
	VPANDQ Z29, a, a

CONSTANT8(weave0a, 0, 8, 0, 1, 9, 0, 2, 10)
CONSTANT8(weave0b, 0, 1, 8, 3, 4, 9, 6, 7)
CONSTANT8(weave1a, 0, 3, 11, 0, 4, 12, 0, 5)
CONSTANT8(weave1b, 10, 1, 2, 11, 4, 5, 12, 7)
CONSTANT8(weave2a, 13, 0, 6, 14, 0, 7, 15, 0)
CONSTANT8(weave2b, 0, 13, 2, 3, 14, 5, 6, 15)
CONSTANT8(weaveLower, 0, 8, 1, 9, 2, 10, 3, 11)
CONSTANT8(weaveUpper, 4, 12, 5, 13, 6, 14, 7, 15)

// func composeWords(data *int64, n int, primes *garnerPrime, count int, mix *mixture, bound uint64, message *uint64) (overflow uint64)
TEXT ·composeWords(SB), NOSPLIT, $0-64
	MOVQ data+0(FP), DI
	MOVQ n+8(FP), CX
	MOVQ primes+16(FP), DX
	MOVQ count+24(FP), R9
	MOVQ mix+32(FP), BX
	MOVQ message+48(FP), R11
	MOVQ CX, R13
	SHLQ $3, R13           // bytes from one prime's elements to the next's
	MOVQ $0x10000000000000, R10
	VPBROADCASTQ R10, Z30
	MOVQ $0x1fffffffffffff, R10
	VPBROADCASTQ R10, Z29
	MOVQ $0x80000, R10     // 2^(nu-1)
	VPBROADCASTQ R10, Z28
	MOVQ $0xfffff, R10     // 2^nu - 1
	VPBROADCASTQ R10, Z27
	VPBROADCASTQ bound+40(FP), Z26
	KXORB K2, K2, K2
	VMOVDQU64 weave0a<>(SB), Z16
	VMOVDQU64 weave0b<>(SB), Z17
	VMOVDQU64 weave1a<>(SB), Z18
	VMOVDQU64 weave1b<>(SB), Z19
	VMOVDQU64 weave2a<>(SB), Z20
	VMOVDQU64 weave2b<>(SB), Z21
	VMOVDQU64 weaveLower<>(SB), Z22
	VMOVDQU64 weaveUpper<>(SB), Z23

coefficients:
	// Garner's digits: Z0 .. Z3.
	MOVQ DX, R8
	MOVQ DI, SI
	VPXORQ Z4, Z4, Z4      // the limbs of the coefficient: Z4 .. Z7
	VPXORQ Z5, Z5, Z5
	VPXORQ Z6, Z6, Z6
	VPXORQ Z7, Z7, Z7
	VPBROADCASTQ (R8), Z31
	VMOVDQU64 (SI), Z0
	LAZYPRODUCT(Z0, 8, Z8)
	CANONICAL(Z0, Z8)
	VMOVDQA64 Z0, Z4
	CMPQ R9, $1
	JEQ  composed

	ADDQ $72, R8
	ADDQ R13, SI
	VPBROADCASTQ (R8), Z31
	VMOVDQU64 (SI), Z1
	LAZYPRODUCT(Z1, 8, Z8)
	REDUCE(Z1, Z8)
	VPSUBQ Z0, Z1, Z1
	LAZYPRODUCT(Z1, 24, Z8)
	CANONICAL(Z1, Z8)
	CMPQ R9, $2
	JNE  four

	// Z1 * p0 + Z0
	DEFICIT(Z1, 0, Z8, Z9, Z10)
	VPSUBQ Z8, Z4, Z4
	VPSUBQ Z9, Z1, Z5
	CARRY(Z4, Z5, Z10)
	JMP composed

four:
	ADDQ $72, R8
	ADDQ R13, SI
	VPBROADCASTQ (R8), Z31
	VMOVDQU64 (SI), Z2
	LAZYPRODUCT(Z2, 8, Z8)
	REDUCE(Z2, Z8)
	VPSUBQ Z0, Z2, Z2
	LAZYPRODUCT(Z2, 24, Z8)
	VPSUBQ Z1, Z2, Z2
	LAZYPRODUCT(Z2, 40, Z8)
	CANONICAL(Z2, Z8)

	ADDQ $72, R8
	ADDQ R13, SI
	VPBROADCASTQ (R8), Z31
	VMOVDQU64 (SI), Z3
	LAZYPRODUCT(Z3, 8, Z8)
	REDUCE(Z3, Z8)
	VPSUBQ Z0, Z3, Z3
	LAZYPRODUCT(Z3, 24, Z8)
	VPSUBQ Z1, Z3, Z3
	LAZYPRODUCT(Z3, 40, Z8)
	VPSUBQ Z2, Z3, Z3
	LAZYPRODUCT(Z3, 56, Z8)
	CANONICAL(Z3, Z8)

	// ((Z3 * p2 + Z2) * p1 + Z1) * p0 + Z0: first Z3 * p2 + Z2 in Z2, Z3.
	DEFICIT(Z3, 16, Z8, Z9, Z10)
	VPSUBQ Z8, Z2, Z2
	VPSUBQ Z9, Z3, Z3
	CARRY(Z2, Z3, Z10)

	// Times p1, plus Z1: Z1, Z2, Z3.
	DEFICIT(Z2, 8, Z8, Z9, Z10)
	DEFICIT(Z3, 8, Z11, Z12, Z13)
	VPSUBQ Z8, Z1, Z1
	VPSUBQ Z9, Z2, Z2
	VPSUBQ Z11, Z2, Z2
	VPSUBQ Z12, Z3, Z3
	CARRY(Z1, Z2, Z10)
	CARRY(Z2, Z3, Z10)

	// Times p0, plus Z0: Z4 .. Z7.
	DEFICIT(Z1, 0, Z8, Z9, Z10)
	DEFICIT(Z2, 0, Z11, Z12, Z13)
	DEFICIT(Z3, 0, Z14, Z15, Z24)
	VPSUBQ Z8, Z4, Z4
	VPSUBQ Z9, Z1, Z5
	VPSUBQ Z11, Z5, Z5
	VPSUBQ Z12, Z2, Z6
	VPSUBQ Z14, Z6, Z6
	VPSUBQ Z15, Z3, Z7
	CARRY(Z4, Z5, Z10)
	CARRY(Z5, Z6, Z10)
	CARRY(Z6, Z7, Z10)

composed:
	// Plus 2^(nu-1), and minus q if it is not below q then.
	VPADDQ Z28, Z4, Z4
	CARRY(Z4, Z5, Z10)
	CARRY(Z5, Z6, Z10)
	CARRY(Z6, Z7, Z10)
	VPSUBQ.BCST 32(BX), Z4, Z8
	VPSUBQ.BCST 40(BX), Z5, Z9
	VPSUBQ.BCST 48(BX), Z6, Z11
	VPSUBQ.BCST 56(BX), Z7, Z12
	CARRY(Z8, Z9, Z10)
	CARRY(Z9, Z11, Z10)
	CARRY(Z11, Z12, Z10)
	VPMOVQ2M Z12, K1       // set where the difference is negative
	VPBLENDMQ Z4, Z8, K1, Z4
	VPBLENDMQ Z5, Z9, K1, Z5
	VPBLENDMQ Z6, Z11, K1, Z6
	VPBLENDMQ Z7, Z12, K1, Z7

	// The noise, and the words of what is above it.
	VPANDQ Z27, Z4, Z8
	VPSUBQ Z28, Z8, Z8
	VPABSQ Z8, Z8
	VPCMPUQ $6, Z26, Z8, K1
	KORB K1, K2, K2
	VPSRLQ $20, Z4, Z0
	VPSLLQ $33, Z5, Z8
	VPORQ  Z8, Z0, Z0
	CMPQ R9, $2
	JLT  one
	VPSRLQ $31, Z5, Z1
	VPSLLQ $22, Z6, Z8
	VPORQ  Z8, Z1, Z1
	CMPQ R9, $2
	JEQ  two
	VPSRLQ $42, Z6, Z2
	VPSLLQ $11, Z7, Z8
	VPORQ  Z8, Z2, Z2

	VMOVDQA64 Z0, Z3
	VPERMT2Q Z1, Z16, Z3
	VPERMT2Q Z2, Z17, Z3
	VMOVDQA64 Z0, Z4
	VPERMT2Q Z1, Z18, Z4
	VPERMT2Q Z2, Z19, Z4
	VPERMT2Q Z1, Z20, Z0
	VPERMT2Q Z2, Z21, Z0
	VMOVDQU64 Z3, (R11)
	VMOVDQU64 Z4, 64(R11)
	VMOVDQU64 Z0, 128(R11)
	ADDQ $192, R11
	JMP  written

two:
	VMOVDQA64 Z0, Z3
	VPERMT2Q Z1, Z22, Z3
	VPERMT2Q Z1, Z23, Z0
	VMOVDQU64 Z3, (R11)
	VMOVDQU64 Z0, 64(R11)
	ADDQ $128, R11
	JMP  written

one:
	VMOVDQU64 Z0, (R11)
	ADDQ $64, R11

written:
	ADDQ $64, DI
	SUBQ $8, CX
	JNZ  coefficients
	KMOVB K2, AX
	MOVQ AX, overflow+56(FP)
	VZEROUPPER
	RET
