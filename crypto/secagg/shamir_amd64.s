#include "textflag.h"

// TERM adds a row's products with the weight in Z26: their lower halves to lo,
// their upper halves to hi. Z28 holds 2^16 - 1.
#define TERM(lo, hi, v, c, at) \
	VPMOVZXWD at, v;     \
	VPMULLD Z26, v, v;   \
	VPANDD  Z28, v, c;   \
	VPADDD  c, lo, lo;   \
	VPSRLD  $16, v, v;   \
	VPADDD  v, hi, hi

// FOLD brings v below 2^16 + 15 * (v >> 16).
#define FOLD(v, c) \
	VPSRLD $16, v, c;   \
	VPANDD Z28, v, v;   \
	VPSUBD c, v, v;     \
	VPSLLD $4, c, c;    \
	VPADDD c, v, v

// SHARE brings lo + 15 * hi < 2^30 into [0, p) and stores 16 bits of each. Z27
// holds p. The first fold leaves less than 2^19, the second less than 2p.
#define SHARE(lo, hi, c, at) \
	VPSUBD  hi, lo, lo;   \
	VPSLLD  $4, hi, hi;   \
	VPADDD  hi, lo, lo;   \
	FOLD(lo, c);          \
	FOLD(lo, c);          \
	VPSUBD  Z27, lo, c;   \
	VPMINUD c, lo, lo;    \
	VPMOVDW lo, at

// func combineRows(weights *uint32, rows *[]byte, count, width int, out *byte)
TEXT ·combineRows(SB), NOSPLIT, $0-40
	MOVQ weights+0(FP), SI
	MOVQ rows+8(FP), BX
	MOVQ count+16(FP), R8
	MOVQ width+24(FP), CX
	MOVQ out+32(FP), DI
	MOVL $0xffff, AX
	VPBROADCASTD AX, Z28
	MOVL $65521, AX
	VPBROADCASTD AX, Z27
	XORQ DX, DX            // bytes of the columns that are done

columns:
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
	MOVQ SI, R9
	MOVQ BX, R10
	MOVQ R8, R11

row:
	MOVQ (R10), R12
	ADDQ DX, R12
	VPBROADCASTD (R9), Z26
	TERM(Z0, Z4, Z8, Z9, (R12))
	TERM(Z1, Z5, Z10, Z11, 32(R12))
	TERM(Z2, Z6, Z12, Z13, 64(R12))
	TERM(Z3, Z7, Z14, Z15, 96(R12))
	ADDQ $4, R9
	ADDQ $24, R10          // the next slice
	DECQ R11
	JNZ  row

	SHARE(Z0, Z4, Z8, (DI))
	SHARE(Z1, Z5, Z9, 32(DI))
	SHARE(Z2, Z6, Z10, 64(DI))
	SHARE(Z3, Z7, Z11, 96(DI))
	ADDQ $128, DX
	ADDQ $128, DI
	SUBQ $64, CX
	JNZ  columns
	VZEROUPPER
	RET
