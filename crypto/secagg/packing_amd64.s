#include "textflag.h"

// func scaleRound(values *float64, out *uint64, n int, scale float64, offset uint64)
TEXT ·scaleRound(SB), NOSPLIT, $0-40
	MOVQ values+0(FP), SI
	MOVQ out+8(FP), DI
	MOVQ n+16(FP), CX
	VBROADCASTSD scale+24(FP), Z30
	VPBROADCASTQ offset+32(FP), Z31
	SUBQ $8, CX
	JLT  rest

eight:
	VMULPD    (SI), Z30, Z0
	VCVTPD2QQ Z0, Z0       // to nearest, ties to even
	VPADDQ    Z31, Z0, Z0
	VMOVDQU64 Z0, (DI)
	ADDQ $64, SI
	ADDQ $64, DI
	SUBQ $8, CX
	JGE  eight

rest:
	ADDQ $8, CX
	JZ   done
	MOVQ $1, AX
	SHLQ CX, AX
	DECQ AX
	KMOVB AX, K1
	VMOVUPD.Z (SI), K1, Z0
	VMULPD    Z0, Z30, Z0
	VCVTPD2QQ Z0, Z0
	VPADDQ    Z31, Z0, Z0
	VMOVDQU64 Z0, K1, (DI)

done:
	VZEROUPPER
	RET

// func allWithin(values *float64, n int, bound float64) (without uint64)
TEXT ·allWithin(SB), NOSPLIT, $0-32
	MOVQ values+0(FP), SI
	MOVQ n+8(FP), CX
	VBROADCASTSD bound+16(FP), Z31
	MOVQ $0x7fffffffffffffff, AX
	VPBROADCASTQ AX, Z30
	KXORB K2, K2, K2

bound8:
	VPANDQ (SI), Z30, Z0
	VCMPPD $6, Z31, Z0, K1 // not at most: above, or not a number
	KORB   K1, K2, K2
	ADDQ $64, SI
	SUBQ $8, CX
	JNZ  bound8
	KMOVB K2, AX
	MOVQ AX, without+24(FP)
	VZEROUPPER
	RET

// shareRow (shamir_amd64.go) evaluates rows t-1 .. 0 of a polynomial's coefficients at a point
// of at most 2^10 by Horner's rule. v stays below 2^31 + 2^11: the product with
// the point is below 2^42, its sum with a coefficient too, and one fold of a
// Mersenne number brings that back.

#define HORNER(v, c, at) \
	VPMULUDQ  Z31, v, v;   \
	VPMOVZXDQ at, c;       \
	VPADDQ    c, v, v;     \
	VPSRLQ    $31, v, c;   \
	VPANDQ    Z30, v, v;   \
	VPADDQ    c, v, v

#define SHARE(v, c, at) \
	VPSUBQ  Z30, v, c; \
	VPMINUQ c, v, v;   \
	VPMOVQD v, at

// func shareRow(coefficients *uint32, degree, width int, point uint64, out *byte)
TEXT ·shareRow(SB), NOSPLIT, $0-40
	MOVQ coefficients+0(FP), SI
	MOVQ degree+8(FP), R8
	MOVQ width+16(FP), CX
	VPBROADCASTQ point+24(FP), Z31
	MOVQ out+32(FP), DI
	MOVQ $0x7fffffff, AX
	VPBROADCASTQ AX, Z30
	MOVQ CX, R9
	SHLQ $2, R9            // bytes in a row
	MOVQ R9, R10
	IMULQ R8, R10
	ADDQ R10, SI           // the row of the highest power

columns:
	MOVQ SI, R11
	MOVQ R8, R12
	VPMOVZXDQ (R11), Z0
	VPMOVZXDQ 32(R11), Z1
	VPMOVZXDQ 64(R11), Z2
	VPMOVZXDQ 96(R11), Z3

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
	SUBQ $32, CX
	JNZ  columns
	VZEROUPPER
	RET
