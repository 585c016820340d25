#include "go_asm.h"
#include "textflag.h"

// COUNT adds one to each lane of count whose draw (hi, lo) is not below the
// entry: hi >= entry.hi + (lo < entry.lo). No entry's high word is 2^64-1.
// Z16 holds ones, Z18 entry.lo, Z19 entry.hi, Z20 entry.hi + 1.
#define COUNT(hi, lo, count, t, K1, K2) \
	VPCMPUQ   $1, Z18, lo, K1;      \
	VPBLENDMQ Z20, Z19, K1, t;      \
	VPCMPUQ   $5, t, hi, K2;        \
	VPADDQ    Z16, count, K2, count

// HALVES(a, b, sign) turns the draws h0 l0 .. h3 l3 and h4 l4 .. h7 l7 into
// h0 h4 h1 h5 h2 h6 h3 h7 and l0 l4 ..
#define HALVES(a, b, t) \
	VPUNPCKLQDQ b, a, t; \
	VPUNPCKHQDQ b, a, b; \
	VMOVDQA64   t, a

// SIGNED(lo, count, t) gives the magnitudes the sign of the draws' lowest bit
// and undoes the order of HALVES.
#define SIGNED(lo, count, t) \
	VPANDQ Z16, lo, t;           \
	VPSUBQ t, Z17, lo;           \
	VPXORQ lo, count, count;     \
	VPADDQ t, count, count;      \
	VPERMQ count, Z21, count

DATA unzip<>+0(SB)/8, $0
DATA unzip<>+8(SB)/8, $2
DATA unzip<>+16(SB)/8, $4
DATA unzip<>+24(SB)/8, $6
DATA unzip<>+32(SB)/8, $1
DATA unzip<>+40(SB)/8, $3
DATA unzip<>+48(SB)/8, $5
DATA unzip<>+56(SB)/8, $7
GLOBL unzip<>(SB), RODATA|NOPTR, $64

// func gaussian32(draws *byte, out *int64, n int, table *word128)
TEXT ·gaussian32(SB), NOSPLIT, $0-32
	MOVQ draws+0(FP), SI
	MOVQ out+8(FP), DI
	MOVQ n+16(FP), CX
	MOVQ table+24(FP), DX
	MOVQ $1, R10
	VPBROADCASTQ R10, Z16
	VPXORQ Z17, Z17, Z17
	VMOVDQU64 unzip<>(SB), Z21

samples:
	VMOVDQU64 (SI), Z0
	VMOVDQU64 64(SI), Z1
	VMOVDQU64 128(SI), Z2
	VMOVDQU64 192(SI), Z3
	VMOVDQU64 256(SI), Z4
	VMOVDQU64 320(SI), Z5
	VMOVDQU64 384(SI), Z6
	VMOVDQU64 448(SI), Z7
	HALVES(Z0, Z1, Z12)
	HALVES(Z2, Z3, Z13)
	HALVES(Z4, Z5, Z14)
	HALVES(Z6, Z7, Z15)
	VPXORQ Z8, Z8, Z8
	VPXORQ Z9, Z9, Z9
	VPXORQ Z10, Z10, Z10
	VPXORQ Z11, Z11, Z11
	MOVQ DX, R8
	MOVQ $const_errorBound, R9

entry:
	VPBROADCASTQ (R8), Z19
	VPBROADCASTQ 8(R8), Z18
	VPADDQ Z16, Z19, Z20
	COUNT(Z0, Z1, Z8, Z12, K1, K5)
	COUNT(Z2, Z3, Z9, Z13, K2, K6)
	COUNT(Z4, Z5, Z10, Z14, K3, K7)
	COUNT(Z6, Z7, Z11, Z15, K4, K5)
	ADDQ $16, R8
	DECQ R9
	JNZ  entry

	SIGNED(Z1, Z8, Z12)
	SIGNED(Z3, Z9, Z13)
	SIGNED(Z5, Z10, Z14)
	SIGNED(Z7, Z11, Z15)
	VMOVDQU64 Z8, (DI)
	VMOVDQU64 Z9, 64(DI)
	VMOVDQU64 Z10, 128(DI)
	VMOVDQU64 Z11, 192(DI)
	ADDQ $512, SI
	ADDQ $256, DI
	SUBQ $32, CX
	JNZ  samples
	VZEROUPPER
	RET
