package boost

// SoFar is the ensemble of as many trees as are grown; nil while there is none, and
// when the last trees are dropped again.
func (f *Fit) SoFar() (trees int, m *Model) {
	if len(f.trees) == 0 || f.grown {
		return 0, nil
	}
	return len(f.trees), f.Model()
}
