package neural

// SoFar is the network as it is after so many rounds of training; nil while there
// is none.
func (f *Fit) SoFar() (rounds int, m *Model) {
	if f.round == 0 {
		return 0, nil
	}
	return f.round, f.network.newModel(f.fitted)
}
