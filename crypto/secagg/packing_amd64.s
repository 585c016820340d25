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

// func scaleRound32(values *float64, out *uint32, n int, scale float64, offset uint64)
TEXT ·scaleRound32(SB), NOSPLIT, $0-40
	MOVQ values+0(FP), SI
	MOVQ out+8(FP), DI
	MOVQ n+16(FP), CX
	VBROADCASTSD scale+24(FP), Z30
	VPBROADCASTQ offset+32(FP), Z31

eight32:
	VMULPD    (SI), Z30, Z0
	VCVTPD2QQ Z0, Z0
	VPADDQ    Z31, Z0, Z0
	VPMOVQD   Z0, (DI)
	ADDQ $64, SI
	ADDQ $32, DI
	SUBQ $8, CX
	JNZ  eight32
	VZEROUPPER
	RET

// func concatenate32(slots *uint32, groups, stride int, table *uint64, words, terms int, message *uint64)
TEXT ·concatenate32(SB), NOSPLIT, $0-56
	MOVQ slots+0(FP), SI
	MOVQ groups+8(FP), CX
	MOVQ stride+16(FP), R8
	MOVQ table+24(FP), DX
	MOVQ words+32(FP), R9
	MOVQ terms+40(FP), R10
	MOVQ message+48(FP), DI
	MOVQ $0x5555, AX       // the low half of each 64-bit lane
	KMOVW AX, K1
	DECQ R10

group:
	MOVQ DX, R11
	MOVQ R9, R12

vector:
	MOVQ (R11), AX
	VMOVDQU64 (SI)(AX*1), Z0
	VMOVDQU64 64(SI)(AX*1), Z1
	VMOVDQU64 64(R11), Z2
	VPERMI2D.Z Z1, Z0, K1, Z2
	VPSRLVQ 128(R11), Z2, Z2
	ADDQ $192, R11
	MOVQ R10, BX

term:
	VMOVDQU64 (R11), Z3
	VPERMI2D.Z Z1, Z0, K1, Z3
	VPSLLVQ 64(R11), Z3, Z3
	VPORQ Z3, Z2, Z2
	ADDQ $128, R11
	DECQ BX
	JNZ  term

	VMOVDQU64 Z2, (DI)
	ADDQ $64, DI
	DECQ R12
	JNZ  vector

	ADDQ R8, SI
	DECQ CX
	JNZ  group
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

// EXTRACT reads up to eight slots of the coefficient whose words are in Z0 into
// v: the word a slot begins in, shifted down, the next one, shifted up, by the
// four vectors of the group at (R12). Lanes beyond the last slot read zero, since
// the mask of the group's lanes is zero there.
#define EXTRACT \
	VMOVDQU64 (R12), Z1;       \
	VPERMQ    Z0, Z1, Z1;      \
	VMOVDQU64 128(R12), Z2;    \
	VPERMQ    Z0, Z2, Z2;      \
	VPSRLVQ   64(R12), Z1, Z1; \
	VPSLLVQ   192(R12), Z2, Z2; \
	VPORQ     Z2, Z1, Z1;      \
	VPANDQ    256(R12), Z1, Z1; \
	VPCMPUQ   $6, Z31, Z1, K1; \
	KORB      K1, K2, K2;      \
	VPSUBQ    Z30, Z1, Z1

// func separate(message *uint64, coefficients, words int, groups *slotGroup, count int, highest, offset uint64, unused *[8]uint64, out *byte, stride int, narrow bool) (outside uint64)
TEXT ·separate(SB), NOSPLIT, $0-96
	MOVQ message+0(FP), SI
	MOVQ coefficients+8(FP), CX
	MOVQ words+16(FP), R8
	MOVQ groups+24(FP), DX
	MOVQ count+32(FP), R9
	VPBROADCASTQ highest+40(FP), Z31
	VPBROADCASTQ offset+48(FP), Z30
	MOVQ unused+56(FP), AX
	VMOVDQU64 (AX), Z29
	MOVQ out+64(FP), DI
	MOVQ stride+72(FP), R10
	MOVBLZX narrow+80(FP), R11
	MOVQ $1, AX
	XCHGQ R8, CX
	SHLQ CX, AX
	DECQ AX
	KMOVB AX, K3           // lanes that hold words of one coefficient
	XCHGQ R8, CX
	SHLQ $3, R8
	KXORB K2, K2, K2
	VPXORQ Z28, Z28, Z28

coefficient:
	VMOVDQU64.Z (SI), K3, Z0
	VPANDQ Z29, Z0, Z1
	VPORQ  Z1, Z28, Z28
	MOVQ DX, R12
	MOVQ DI, R13
	MOVQ R9, BX
	TESTQ R11, R11
	JZ   middle

narrow:
	EXTRACT
	VPMOVQD Z1, (R13)
	ADDQ $320, R12
	ADDQ $32, R13
	DECQ BX
	JNZ  narrow
	JMP  separated

middle:
	EXTRACT
	VMOVDQU64 Z1, (R13)
	ADDQ $320, R12
	ADDQ $64, R13
	DECQ BX
	JNZ  middle

separated:
	ADDQ R8, SI
	ADDQ R10, DI
	DECQ CX
	JNZ  coefficient
	VPTESTMQ Z28, Z28, K1
	KORB  K1, K2, K2
	KMOVB K2, AX
	MOVQ AX, outside+88(FP)
	VZEROUPPER
	RET
