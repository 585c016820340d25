#include "textflag.h"

// The transforms of ntt_amd64.go. Elements are signed 64-bit integers that
// stand for their residue modulo p; how large they can get is proven there.
//
// Z31 holds p in every lane, Z30 holds 2^52.

// PRODUCT(x, w, ratio, t) replaces x by a number congruent to x*w that is at
// most (1/2 + 3/2 * |x|/p) * p in magnitude: x*w - round(x*ratio)*p, computed
// modulo 2^64. ratio is the float64 nearest to w/p, |w| < p/2.
#define PRODUCT(x, w, ratio, t) \
	VCVTQQ2PD x, t;        \
	VMULPD    ratio, t, t; \
	VPMULLQ   w, x, x;     \
	VCVTPD2QQ t, t;        \
	VPMULLQ   Z31, t, t;   \
	VPSUBQ    t, x, x

// FORWARD(u, x) is the butterfly of Cooley and Tukey: u + x*w, u - x*w.
#define FORWARD(u, x, w, ratio, t) \
	PRODUCT(x, w, ratio, t);   \
	VPSUBQ x, u, t;            \
	VPADDQ x, u, u;            \
	VMOVDQA64 t, x

// INVERSE(u, x) is the butterfly of Gentleman and Sande: u + x, (u - x)*w.
#define INVERSE(u, x, w, ratio, t) \
	VPSUBQ x, u, t;            \
	VPADDQ x, u, u;            \
	VMOVDQA64 t, x;            \
	PRODUCT(x, w, ratio, t)

// REDUCE(x, t) brings |x| < 2^63 to at most 2^52 + 2^30 in magnitude.
#define REDUCE(x, t) \
	VPADDQ  Z30, x, t; \
	VPSRAQ  $53, t, t; \
	VPMULLQ Z31, t, t; \
	VPSUBQ  t, x, x

#define REDUCE8 \
	REDUCE(Z0, Z24); \
	REDUCE(Z1, Z25); \
	REDUCE(Z2, Z26); \
	REDUCE(Z3, Z27); \
	REDUCE(Z4, Z24); \
	REDUCE(Z5, Z25); \
	REDUCE(Z6, Z26); \
	REDUCE(Z7, Z27)

#define LOAD8 \
	VMOVDQU64 (DI), Z0;         \
	VMOVDQU64 (DI)(R8*1), Z1;   \
	VMOVDQU64 (DI)(R8*2), Z2;   \
	VMOVDQU64 (DI)(R11*1), Z3;  \
	VMOVDQU64 (DI)(R8*4), Z4;   \
	VMOVDQU64 (DI)(R12*1), Z5;  \
	VMOVDQU64 (DI)(R11*2), Z6;  \
	VMOVDQU64 (DI)(R13*1), Z7

#define STORE8 \
	VMOVDQU64 Z0, (DI);         \
	VMOVDQU64 Z1, (DI)(R8*1);   \
	VMOVDQU64 Z2, (DI)(R8*2);   \
	VMOVDQU64 Z3, (DI)(R11*1);  \
	VMOVDQU64 Z4, (DI)(R8*4);   \
	VMOVDQU64 Z5, (DI)(R12*1);  \
	VMOVDQU64 Z6, (DI)(R11*2);  \
	VMOVDQU64 Z7, (DI)(R13*1)

// R8 = bytes between the eight elements of a radix-8 butterfly; R11, R12, R13
// three, five and seven times that.
#define STRIDES8 \
	LEAQ (R8)(R8*2), R11; \
	LEAQ (R8)(R8*4), R12; \
	LEAQ (R11)(R8*4), R13

// The seven twiddles of block i of a pass that starts with m blocks: m+i at
// AX, 2m+2i and the next at 2*AX, 4m+4i and the next three at 4*AX.
#define TWIDDLES8 \
	VPBROADCASTQ (SI)(AX*1), Z8;    \
	VPBROADCASTQ (SI)(AX*2), Z9;    \
	VPBROADCASTQ 8(SI)(AX*2), Z10;  \
	VPBROADCASTQ (SI)(AX*4), Z11;   \
	VPBROADCASTQ 8(SI)(AX*4), Z12;  \
	VPBROADCASTQ 16(SI)(AX*4), Z13; \
	VPBROADCASTQ 24(SI)(AX*4), Z14; \
	VPBROADCASTQ (DX)(AX*1), Z16;   \
	VPBROADCASTQ (DX)(AX*2), Z17;   \
	VPBROADCASTQ 8(DX)(AX*2), Z18;  \
	VPBROADCASTQ (DX)(AX*4), Z19;   \
	VPBROADCASTQ 8(DX)(AX*4), Z20;  \
	VPBROADCASTQ 16(DX)(AX*4), Z21; \
	VPBROADCASTQ 24(DX)(AX*4), Z22

#define CONSTANTS(p) \
	VPBROADCASTQ p, Z31;           \
	MOVQ         $(1<<52), R10;    \
	VPBROADCASTQ R10, Z30

// func nttForward8(data, w *int64, ratio *float64, n, m int, p uint64, reduce bool)
TEXT ·nttForward8(SB), NOSPLIT, $0-49
	MOVQ data+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), R8
	MOVQ m+32(FP), CX
	CONSTANTS(p+40(FP))
	MOVBLZX reduce+48(FP), R9
	MOVQ CX, AX
	SHLQ $3, AX
	TZCNTQ CX, BX          // m is a power of two
	XCHGQ BX, CX
	SHRQ CX, R8            // n/(8m) elements of 8 bytes
	MOVQ BX, CX
	STRIDES8

block:
	TWIDDLES8
	MOVQ R8, BX

inner:
	LOAD8
	TESTQ R9, R9
	JZ    reduced
	REDUCE8

reduced:
	FORWARD(Z0, Z4, Z8, Z16, Z24)
	FORWARD(Z1, Z5, Z8, Z16, Z25)
	FORWARD(Z2, Z6, Z8, Z16, Z26)
	FORWARD(Z3, Z7, Z8, Z16, Z27)
	FORWARD(Z0, Z2, Z9, Z17, Z24)
	FORWARD(Z1, Z3, Z9, Z17, Z25)
	FORWARD(Z4, Z6, Z10, Z18, Z26)
	FORWARD(Z5, Z7, Z10, Z18, Z27)
	FORWARD(Z0, Z1, Z11, Z19, Z24)
	FORWARD(Z2, Z3, Z12, Z20, Z25)
	FORWARD(Z4, Z5, Z13, Z21, Z26)
	FORWARD(Z6, Z7, Z14, Z22, Z27)
	STORE8
	ADDQ $64, DI
	SUBQ $64, BX
	JNZ  inner

	ADDQ R13, DI           // past the other seven eighths of the block
	ADDQ $8, AX
	DECQ CX
	JNZ  block
	VZEROUPPER
	RET

// func nttForward4(data, w *int64, ratio *float64, n int, p uint64)
TEXT ·nttForward4(SB), NOSPLIT, $0-40
	MOVQ data+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), R8
	CONSTANTS(p+32(FP))
	SHLQ $1, R8            // n/4 elements of 8 bytes
	LEAQ (R8)(R8*2), R11
	VPBROADCASTQ 8(SI), Z8
	VPBROADCASTQ 16(SI), Z9
	VPBROADCASTQ 24(SI), Z10
	VPBROADCASTQ 8(DX), Z16
	VPBROADCASTQ 16(DX), Z17
	VPBROADCASTQ 24(DX), Z18
	MOVQ R8, BX

inner4:
	VMOVDQU64 (DI), Z0
	VMOVDQU64 (DI)(R8*1), Z1
	VMOVDQU64 (DI)(R8*2), Z2
	VMOVDQU64 (DI)(R11*1), Z3
	FORWARD(Z0, Z2, Z8, Z16, Z24)
	FORWARD(Z1, Z3, Z8, Z16, Z25)
	FORWARD(Z0, Z1, Z9, Z17, Z24)
	FORWARD(Z2, Z3, Z10, Z18, Z25)
	VMOVDQU64 Z0, (DI)
	VMOVDQU64 Z1, (DI)(R8*1)
	VMOVDQU64 Z2, (DI)(R8*2)
	VMOVDQU64 Z3, (DI)(R11*1)
	ADDQ $64, DI
	SUBQ $64, BX
	JNZ  inner4
	VZEROUPPER
	RET

// func nttForward2(data, w *int64, ratio *float64, n int, p uint64)
TEXT ·nttForward2(SB), NOSPLIT, $0-40
	MOVQ data+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), R8
	CONSTANTS(p+32(FP))
	SHLQ $2, R8            // n/2 elements of 8 bytes
	VPBROADCASTQ 8(SI), Z8
	VPBROADCASTQ 8(DX), Z16
	MOVQ R8, BX

inner2:
	VMOVDQU64 (DI), Z0
	VMOVDQU64 (DI)(R8*1), Z1
	FORWARD(Z0, Z1, Z8, Z16, Z24)
	VMOVDQU64 Z0, (DI)
	VMOVDQU64 Z1, (DI)(R8*1)
	ADDQ $64, DI
	SUBQ $64, BX
	JNZ  inner2
	VZEROUPPER
	RET

// Within 16 elements a0 .. a7, b0 .. b7: permutations between the layers.
DATA spread2<>+0(SB)/8, $0
DATA spread2<>+8(SB)/8, $0
DATA spread2<>+16(SB)/8, $0
DATA spread2<>+24(SB)/8, $0
DATA spread2<>+32(SB)/8, $1
DATA spread2<>+40(SB)/8, $1
DATA spread2<>+48(SB)/8, $1
DATA spread2<>+56(SB)/8, $1
GLOBL spread2<>(SB), RODATA|NOPTR, $64

DATA spread4<>+0(SB)/8, $0
DATA spread4<>+8(SB)/8, $0
DATA spread4<>+16(SB)/8, $1
DATA spread4<>+24(SB)/8, $1
DATA spread4<>+32(SB)/8, $2
DATA spread4<>+40(SB)/8, $2
DATA spread4<>+48(SB)/8, $3
DATA spread4<>+56(SB)/8, $3
GLOBL spread4<>(SB), RODATA|NOPTR, $64

// From [a0..a3 b0..b3] and [a4..a7 b4..b7] to [a0 a1 a4 a5 b0 b1 b4 b5] and
// [a2 a3 a6 a7 b2 b3 b6 b7]. The same again leads back.
DATA pairsLow<>+0(SB)/8, $0
DATA pairsLow<>+8(SB)/8, $1
DATA pairsLow<>+16(SB)/8, $8
DATA pairsLow<>+24(SB)/8, $9
DATA pairsLow<>+32(SB)/8, $4
DATA pairsLow<>+40(SB)/8, $5
DATA pairsLow<>+48(SB)/8, $12
DATA pairsLow<>+56(SB)/8, $13
GLOBL pairsLow<>(SB), RODATA|NOPTR, $64

DATA pairsHigh<>+0(SB)/8, $2
DATA pairsHigh<>+8(SB)/8, $3
DATA pairsHigh<>+16(SB)/8, $10
DATA pairsHigh<>+24(SB)/8, $11
DATA pairsHigh<>+32(SB)/8, $6
DATA pairsHigh<>+40(SB)/8, $7
DATA pairsHigh<>+48(SB)/8, $14
DATA pairsHigh<>+56(SB)/8, $15
GLOBL pairsHigh<>(SB), RODATA|NOPTR, $64

// From [a0 a2 a4 a6 b0 b2 b4 b6] and [a1 a3 a5 a7 b1 b3 b5 b7] to a0 .. a7 and
// b0 .. b7.
DATA weaveLow<>+0(SB)/8, $0
DATA weaveLow<>+8(SB)/8, $8
DATA weaveLow<>+16(SB)/8, $1
DATA weaveLow<>+24(SB)/8, $9
DATA weaveLow<>+32(SB)/8, $2
DATA weaveLow<>+40(SB)/8, $10
DATA weaveLow<>+48(SB)/8, $3
DATA weaveLow<>+56(SB)/8, $11
GLOBL weaveLow<>(SB), RODATA|NOPTR, $64

DATA weaveHigh<>+0(SB)/8, $4
DATA weaveHigh<>+8(SB)/8, $12
DATA weaveHigh<>+16(SB)/8, $5
DATA weaveHigh<>+24(SB)/8, $13
DATA weaveHigh<>+32(SB)/8, $6
DATA weaveHigh<>+40(SB)/8, $14
DATA weaveHigh<>+48(SB)/8, $7
DATA weaveHigh<>+56(SB)/8, $15
GLOBL weaveHigh<>(SB), RODATA|NOPTR, $64

// From a0 .. a7 and b0 .. b7 to the even and the odd ones.
DATA evens<>+0(SB)/8, $0
DATA evens<>+8(SB)/8, $2
DATA evens<>+16(SB)/8, $4
DATA evens<>+24(SB)/8, $6
DATA evens<>+32(SB)/8, $8
DATA evens<>+40(SB)/8, $10
DATA evens<>+48(SB)/8, $12
DATA evens<>+56(SB)/8, $14
GLOBL evens<>(SB), RODATA|NOPTR, $64

DATA odds<>+0(SB)/8, $1
DATA odds<>+8(SB)/8, $3
DATA odds<>+16(SB)/8, $5
DATA odds<>+24(SB)/8, $7
DATA odds<>+32(SB)/8, $9
DATA odds<>+40(SB)/8, $11
DATA odds<>+48(SB)/8, $13
DATA odds<>+56(SB)/8, $15
GLOBL odds<>(SB), RODATA|NOPTR, $64

// The last four layers of the forward transform, first four of the inverse,
// stay within 16 elements. Block g of 16 uses twiddle n/16+g, then n/8+2g and
// the next, then four from n/4+4g, then eight from n/2+8g: with BX = n/2 bytes
// into the table and AX = 8g, these lie at BX+AX, 2*(BX+AX), 4*(BX+AX) and
// 8*(BX+AX).

// func nttForward16(data, w *int64, ratio *float64, n int, p uint64)
TEXT ·nttForward16(SB), NOSPLIT, $0-40
	MOVQ data+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), CX
	CONSTANTS(p+32(FP))
	MOVQ CX, AX
	SHRQ $1, AX
	SHRQ $4, CX
	VMOVDQU64 spread2<>(SB), Z29
	VMOVDQU64 spread4<>(SB), Z28
	VMOVDQU64 pairsLow<>(SB), Z27
	VMOVDQU64 pairsHigh<>(SB), Z26
	VMOVDQU64 weaveLow<>(SB), Z25
	VMOVDQU64 weaveHigh<>(SB), Z24

block16:
	VMOVDQU64 (DI), Z0
	VMOVDQU64 64(DI), Z1
	VPBROADCASTQ (SI)(AX*1), Z8
	VPBROADCASTQ (DX)(AX*1), Z16
	FORWARD(Z0, Z1, Z8, Z16, Z4)

	VBROADCASTI64X2 (SI)(AX*2), Z9
	VBROADCASTI64X2 (DX)(AX*2), Z17
	VPERMQ Z9, Z29, Z9
	VPERMQ Z17, Z29, Z17
	VSHUFI64X2 $0x44, Z1, Z0, Z2
	VSHUFI64X2 $0xee, Z1, Z0, Z3
	FORWARD(Z2, Z3, Z9, Z17, Z4)

	VBROADCASTI64X4 (SI)(AX*4), Z10
	VBROADCASTI64X4 (DX)(AX*4), Z18
	VPERMQ Z10, Z28, Z10
	VPERMQ Z18, Z28, Z18
	VMOVDQA64 Z2, Z0
	VPERMT2Q Z3, Z27, Z0
	VPERMT2Q Z3, Z26, Z2
	FORWARD(Z0, Z2, Z10, Z18, Z4)

	VMOVDQU64 (SI)(AX*8), Z11
	VMOVDQU64 (DX)(AX*8), Z19
	VPUNPCKLQDQ Z2, Z0, Z1
	VPUNPCKHQDQ Z2, Z0, Z3
	FORWARD(Z1, Z3, Z11, Z19, Z4)

	VMOVDQA64 Z1, Z0
	VPERMT2Q Z3, Z25, Z0
	VPERMT2Q Z3, Z24, Z1
	VMOVDQU64 Z0, (DI)
	VMOVDQU64 Z1, 64(DI)
	ADDQ $128, DI
	ADDQ $8, AX
	DECQ CX
	JNZ  block16
	VZEROUPPER
	RET

// func nttInverse16(data, w *int64, ratio *float64, n int, p uint64)
TEXT ·nttInverse16(SB), NOSPLIT, $0-40
	MOVQ data+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), CX
	CONSTANTS(p+32(FP))
	MOVQ CX, AX
	SHRQ $1, AX
	SHRQ $4, CX
	VMOVDQU64 spread2<>(SB), Z29
	VMOVDQU64 spread4<>(SB), Z28
	VMOVDQU64 pairsLow<>(SB), Z27
	VMOVDQU64 pairsHigh<>(SB), Z26
	VMOVDQU64 evens<>(SB), Z25
	VMOVDQU64 odds<>(SB), Z24

iblock16:
	VMOVDQU64 (DI), Z1
	VMOVDQU64 64(DI), Z0
	VMOVDQU64 (SI)(AX*8), Z11
	VMOVDQU64 (DX)(AX*8), Z19
	VMOVDQA64 Z1, Z3
	VPERMT2Q Z0, Z24, Z3
	VPERMT2Q Z0, Z25, Z1
	INVERSE(Z1, Z3, Z11, Z19, Z4)

	VBROADCASTI64X4 (SI)(AX*4), Z10
	VBROADCASTI64X4 (DX)(AX*4), Z18
	VPERMQ Z10, Z28, Z10
	VPERMQ Z18, Z28, Z18
	VPUNPCKLQDQ Z3, Z1, Z0
	VPUNPCKHQDQ Z3, Z1, Z2
	INVERSE(Z0, Z2, Z10, Z18, Z4)

	VBROADCASTI64X2 (SI)(AX*2), Z9
	VBROADCASTI64X2 (DX)(AX*2), Z17
	VPERMQ Z9, Z29, Z9
	VPERMQ Z17, Z29, Z17
	VMOVDQA64 Z0, Z1
	VPERMT2Q Z2, Z27, Z0
	VPERMT2Q Z2, Z26, Z1
	INVERSE(Z0, Z1, Z9, Z17, Z4)

	VPBROADCASTQ (SI)(AX*1), Z8
	VPBROADCASTQ (DX)(AX*1), Z16
	VSHUFI64X2 $0x44, Z1, Z0, Z2
	VSHUFI64X2 $0xee, Z1, Z0, Z3
	INVERSE(Z2, Z3, Z8, Z16, Z4)
	VMOVDQU64 Z2, (DI)
	VMOVDQU64 Z3, 64(DI)
	ADDQ $128, DI
	ADDQ $8, AX
	DECQ CX
	JNZ  iblock16
	VZEROUPPER
	RET

// func nttInverse8(data, w *int64, ratio *float64, n, m int, p uint64)
TEXT ·nttInverse8(SB), NOSPLIT, $0-48
	MOVQ data+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), R8
	MOVQ m+32(FP), CX
	CONSTANTS(p+40(FP))
	MOVQ CX, AX
	SHLQ $3, AX
	TZCNTQ CX, BX
	XCHGQ BX, CX
	SHRQ CX, R8
	MOVQ BX, CX
	STRIDES8

iblock:
	TWIDDLES8
	MOVQ R8, BX

iinner:
	LOAD8
	REDUCE8
	INVERSE(Z0, Z1, Z11, Z19, Z24)
	INVERSE(Z2, Z3, Z12, Z20, Z25)
	INVERSE(Z4, Z5, Z13, Z21, Z26)
	INVERSE(Z6, Z7, Z14, Z22, Z27)
	INVERSE(Z0, Z2, Z9, Z17, Z24)
	INVERSE(Z1, Z3, Z9, Z17, Z25)
	INVERSE(Z4, Z6, Z10, Z18, Z26)
	INVERSE(Z5, Z7, Z10, Z18, Z27)
	INVERSE(Z0, Z4, Z8, Z16, Z24)
	INVERSE(Z1, Z5, Z8, Z16, Z25)
	INVERSE(Z2, Z6, Z8, Z16, Z26)
	INVERSE(Z3, Z7, Z8, Z16, Z27)
	STORE8
	ADDQ $64, DI
	SUBQ $64, BX
	JNZ  iinner

	ADDQ R13, DI
	ADDQ $8, AX
	DECQ CX
	JNZ  iblock
	VZEROUPPER
	RET

// func nttInverse4(data, w *int64, ratio *float64, n int, p uint64)
TEXT ·nttInverse4(SB), NOSPLIT, $0-40
	MOVQ data+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), R8
	CONSTANTS(p+32(FP))
	SHLQ $1, R8
	LEAQ (R8)(R8*2), R11
	VPBROADCASTQ 8(SI), Z8
	VPBROADCASTQ 16(SI), Z9
	VPBROADCASTQ 24(SI), Z10
	VPBROADCASTQ 8(DX), Z16
	VPBROADCASTQ 16(DX), Z17
	VPBROADCASTQ 24(DX), Z18
	MOVQ R8, BX

iinner4:
	VMOVDQU64 (DI), Z0
	VMOVDQU64 (DI)(R8*1), Z1
	VMOVDQU64 (DI)(R8*2), Z2
	VMOVDQU64 (DI)(R11*1), Z3
	INVERSE(Z0, Z1, Z9, Z17, Z24)
	INVERSE(Z2, Z3, Z10, Z18, Z25)
	INVERSE(Z0, Z2, Z8, Z16, Z24)
	INVERSE(Z1, Z3, Z8, Z16, Z25)
	VMOVDQU64 Z0, (DI)
	VMOVDQU64 Z1, (DI)(R8*1)
	VMOVDQU64 Z2, (DI)(R8*2)
	VMOVDQU64 Z3, (DI)(R11*1)
	ADDQ $64, DI
	SUBQ $64, BX
	JNZ  iinner4
	VZEROUPPER
	RET

// func nttInverse2(data, w *int64, ratio *float64, n int, p uint64)
TEXT ·nttInverse2(SB), NOSPLIT, $0-40
	MOVQ data+0(FP), DI
	MOVQ w+8(FP), SI
	MOVQ ratio+16(FP), DX
	MOVQ n+24(FP), R8
	CONSTANTS(p+32(FP))
	SHLQ $2, R8
	VPBROADCASTQ 8(SI), Z8
	VPBROADCASTQ 8(DX), Z16
	MOVQ R8, BX

iinner2:
	VMOVDQU64 (DI), Z0
	VMOVDQU64 (DI)(R8*1), Z1
	INVERSE(Z0, Z1, Z8, Z16, Z24)
	VMOVDQU64 Z0, (DI)
	VMOVDQU64 Z1, (DI)(R8*1)
	ADDQ $64, DI
	SUBQ $64, BX
	JNZ  iinner2
	VZEROUPPER
	RET
