package identity

import "testing"

// What a server pays to ask, for one message, who is calling.
func BenchmarkPeerMember(b *testing.B) {
	c := begin(b, "north")
	site := c.enrol("mercy", RoleSite)
	state, _, err := handshake(b, c.coordinator.ServerTLS(at(epoch)), site.ClientTLS(at(epoch)))
	if err != nil {
		b.Fatal(err)
	}
	roster := c.coordinator.Rosters().Latest()
	for b.Loop() {
		if _, err := PeerMember(state, roster, epoch); err != nil {
			b.Fatal(err)
		}
	}
}
