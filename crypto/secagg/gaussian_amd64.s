#include "go_asm.h"
#include "textflag.h"

// COUNT adds one to each lane of count whose draw has a high word not below the
// entry's in Z19. Z16 holds ones.
#define COUNT(hi, count, K) \
	VPCMPUQ $5, Z19, hi, K;      \
	VPADDQ  Z16, count, K, count

// LOOKUP reads, for each lane, the word of a column that the count says: of
// three pairs of registers, each of sixteen words, the one that K1 (count >= 16)
// and K2 (count >= 32) choose.
#define LOOKUP(count, a0, a1, b0, b1, c0, c1, out, t) \
	VMOVDQA64 count, out;      \
	VPERMI2Q  a1, a0, out;     \
	VMOVDQA64 count, t;        \
	VPERMI2Q  b1, b0, t;       \
	VMOVDQA64 t, K1, out;      \
	VMOVDQA64 count, t;        \
	VPERMI2Q  c1, c0, t;       \
	VMOVDQA64 t, K2, out

// CORRECT takes one from the lanes whose draw has the high word of the entry
// counted last, and a low word below that entry's. Z17 holds 16, Z18 holds 32.
#define CORRECT(hi, lo, count, t, u) \
	VPCMPUQ $5, Z17, count, K1; \
	VPCMPUQ $5, Z18, count, K2; \
	LOOKUP(count, Z20, Z21, Z22, Z23, Z24, Z25, t, u); \
	VPCMPUQ $0, t, hi, K3;      \
	LOOKUP(count, Z26, Z27, Z28, Z29, Z30, Z31, t, u); \
	VPCMPUQ $1, t, lo, K3, K3;  \
	VPSUBQ  Z16, count, K3, count

// HALVES(a, b, t) turns the draws h0 l0 .. h3 l3 and h4 l4 .. h7 l7 into
// h0 h4 h1 h5 h2 h6 h3 h7 and l0 l4 ..
#define HALVES(a, b, t) \
	VPUNPCKLQDQ b, a, t; \
	VPUNPCKHQDQ b, a, b; \
	VMOVDQA64   t, a

// SIGNED(lo, count, t) gives the magnitudes the sign of the draws' lowest bit
// and undoes the order of HALVES, which Z14 holds; Z15 is zero.
#define SIGNED(lo, count, t) \
	VPANDQ Z16, lo, t;           \
	VPSUBQ t, Z15, lo;           \
	VPXORQ lo, count, count;     \
	VPADDQ t, count, count;      \
	VPERMQ count, Z14, count

DATA unzip<>+0(SB)/8, $0
DATA unzip<>+8(SB)/8, $2
DATA unzip<>+16(SB)/8, $4
DATA unzip<>+24(SB)/8, $6
DATA unzip<>+32(SB)/8, $1
DATA unzip<>+40(SB)/8, $3
DATA unzip<>+48(SB)/8, $5
DATA unzip<>+56(SB)/8, $7
GLOBL unzip<>(SB), RODATA|NOPTR, $64

// func gaussian32(draws *byte, out *int64, n int, table *gaussianColumns)
TEXT ·gaussian32(SB), NOSPLIT, $0-32
	MOVQ draws+0(FP), SI
	MOVQ out+8(FP), DI
	MOVQ n+16(FP), CX
	MOVQ table+24(FP), DX
	MOVQ $1, R10
	VPBROADCASTQ R10, Z16
	MOVQ $16, R10
	VPBROADCASTQ R10, Z17
	MOVQ $32, R10
	VPBROADCASTQ R10, Z18
	VMOVDQU64 (DX), Z20
	VMOVDQU64 64(DX), Z21
	VMOVDQU64 128(DX), Z22
	VMOVDQU64 192(DX), Z23
	VMOVDQU64 256(DX), Z24
	VMOVDQU64 320(DX), Z25
	VMOVDQU64 384(DX), Z26
	VMOVDQU64 448(DX), Z27
	VMOVDQU64 512(DX), Z28
	VMOVDQU64 576(DX), Z29
	VMOVDQU64 640(DX), Z30
	VMOVDQU64 704(DX), Z31

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
	LEAQ 8(DX), R8         // the first entry is not one to be counted
	MOVQ $const_errorBound, R9

entry:
	VPBROADCASTQ (R8), Z19
	COUNT(Z0, Z8, K1)
	COUNT(Z2, Z9, K2)
	COUNT(Z4, Z10, K3)
	COUNT(Z6, Z11, K4)
	ADDQ $8, R8
	DECQ R9
	JNZ  entry

	CORRECT(Z0, Z1, Z8, Z12, Z13)
	CORRECT(Z2, Z3, Z9, Z12, Z13)
	CORRECT(Z4, Z5, Z10, Z12, Z13)
	CORRECT(Z6, Z7, Z11, Z12, Z13)
	VMOVDQU64 unzip<>(SB), Z14
	VPXORQ Z15, Z15, Z15
	SIGNED(Z1, Z8, Z12)
	SIGNED(Z3, Z9, Z13)
	SIGNED(Z5, Z10, Z12)
	SIGNED(Z7, Z11, Z13)
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
