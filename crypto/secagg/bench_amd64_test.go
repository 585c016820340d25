package secagg

import "unsafe"

func init() {
	if hasVectors {
		inverseTransform = func(r *Round, prime int, v []uint64) {
			laneTablesOf[r.suite]().primes[prime].untransform(unsafe.Slice((*int64)(unsafe.Pointer(&v[0])), len(v)))
		}
	}
}
