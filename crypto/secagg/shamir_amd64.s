#include "textflag.h"

// HORNER multiplies the values in v by the point and adds 16-bit coefficients:
// see evaluateRows. Adding 2^15 and flipping that bit again turns the low half
// from an unsigned number into a signed one and corrects the high half. Z31
// holds x and 15 * x, Z30 2^15.
#define HORNER(v, c, at) \
	VPADDD    Z30, v, v;   \
	VPXORD    Z30, v, v;   \
	VPMADDWD  Z31, v, v;   \
	VPMOVZXWD at, c;       \
	VPADDD    c, v, v

// SHARE brings |v| < 2^26 into [0, p) and stores 16 bits of each: plus a
// multiple of p below 2^27, folded once below 2^16 + 15 * 2^11 < 2p. Z29 holds
// that multiple, Z28 2^16 - 1, Z27 p.
#define SHARE(v, c, at) \
	VPADDD  Z29, v, v;   \
	VPSRLD  $16, v, c;   \
	VPANDD  Z28, v, v;   \
	VPSUBD  c, v, v;     \
	VPSLLD  $4, c, c;    \
	VPADDD  c, v, v;     \
	VPSUBD  Z27, v, c;   \
	VPMINUD c, v, v;     \
	VPMOVDW v, at

// func evaluateRows(rows *byte, degree, width int, point uint64, out *byte)
TEXT ·evaluateRows(SB), NOSPLIT, $0-40
	MOVQ rows+0(FP), SI
	MOVQ degree+8(FP), R8
	MOVQ width+16(FP), CX
	MOVQ point+24(FP), AX
	MOVQ out+32(FP), DI
	IMUL3Q $15, AX, BX
	SHLQ $16, BX
	ORQ  BX, AX
	VPBROADCASTD AX, Z31
	MOVL $0x8000, AX
	VPBROADCASTD AX, Z30
	MOVL $67159025, AX     // 1025 * p, the first multiple above 2^26
	VPBROADCASTD AX, Z29
	MOVL $0xffff, AX
	VPBROADCASTD AX, Z28
	MOVL $65521, AX
	VPBROADCASTD AX, Z27
	MOVQ CX, R9
	SHLQ $1, R9            // bytes in a row
	MOVQ R9, R10
	IMULQ R8, R10
	ADDQ R10, SI           // the row of the highest power

columns:
	MOVQ SI, R11
	MOVQ R8, R12
	VPMOVZXWD (R11), Z0
	VPMOVZXWD 32(R11), Z1
	VPMOVZXWD 64(R11), Z2
	VPMOVZXWD 96(R11), Z3

power:
	SUBQ R9, R11
	HORNER(Z0, Z4, (R11))
	HORNER(Z1, Z5, 32(R11))
	HORNER(Z2, Z6, 64(R11))
	HORNER(Z3, Z7, 96(R11))
	DECQ R12
	JNZ  power

	SHARE(Z0, Z4, (DI))
	SHARE(Z1, Z5, 32(DI))
	SHARE(Z2, Z6, 64(DI))
	SHARE(Z3, Z7, 96(DI))
	ADDQ $128, SI
	ADDQ $128, DI
	SUBQ $64, CX
	JNZ  columns
	VZEROUPPER
	RET
