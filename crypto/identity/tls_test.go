package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAMemberAndTheCoordinatorKnowEachOther(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	state, serverErr, clientErr := handshake(t, c.coordinator.ServerTLS(at(epoch)), site.ClientTLS(at(epoch)))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server %v, client %v", serverErr, clientErr)
	}
	if state.Version != tls.VersionTLS13 || state.CurveID != tls.X25519MLKEM768 {
		t.Errorf("version %x, key exchange %v", state.Version, state.CurveID)
	}
	m, err := PeerMember(state, c.coordinator.Rosters().Latest(), epoch)
	if err != nil || m.Name != "mercy" || m.Role != RoleSite {
		t.Errorf("peer is %+v, %v", m, err)
	}
	if PeerGovernance(state, c.coordinator.Governance(), epoch) {
		t.Error("a site passes for governance")
	}
}

func TestOlderTLSIsRefused(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	client := site.ClientTLS(at(epoch))
	client.MinVersion, client.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, serverErr, clientErr := handshake(t, c.coordinator.ServerTLS(at(epoch)), client); serverErr == nil || clientErr == nil {
		t.Error("TLS 1.2 was spoken")
	}
}

func TestGovernanceConnectsByItsKey(t *testing.T) {
	c := begin(t, "north")
	state, serverErr, clientErr := handshake(t, c.coordinator.ServerTLS(at(epoch)), c.governance.ClientTLS(at(epoch)))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server %v, client %v", serverErr, clientErr)
	}
	if !PeerGovernance(state, c.coordinator.Governance(), epoch) {
		t.Error("the governance key is not known")
	}
	if _, err := PeerMember(state, c.coordinator.Rosters().Latest(), epoch); !errors.Is(err, ErrNotMember) {
		t.Errorf("governance passes for a member: %v", err)
	}
	if PeerGovernance(state, c.coordinator.Governance(), epoch.Add(2*time.Hour)) {
		t.Error("governance's certificate does not expire")
	}
	other := begin(t, "south")
	if PeerGovernance(state, other.coordinator.Governance(), epoch) || PeerGovernance(tls.ConnectionState{}, nil, epoch) {
		t.Error("another key passes for governance")
	}
}

// Enrolment needs no certificate; PeerMember refuses every other request.
func TestANewcomerConnectsWithoutACertificate(t *testing.T) {
	c := begin(t, "north")
	token, err := c.governance.Invite("mercy", RoleSite, time.Hour, epoch)
	if err != nil {
		t.Fatal(err)
	}
	state, serverErr, clientErr := handshake(t, c.coordinator.ServerTLS(at(epoch)), EnrolmentTLS(c.parse(token)))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server %v, client %v", serverErr, clientErr)
	}
	if _, err := PeerMember(state, c.coordinator.Rosters().Latest(), epoch); !errors.Is(err, ErrNotMember) {
		t.Errorf("a newcomer passes for a member: %v", err)
	}
	impostor := begin(t, "north") // the same name, other keys
	if _, _, clientErr := handshake(t, impostor.coordinator.ServerTLS(at(epoch)), EnrolmentTLS(c.parse(token))); !errors.Is(clientErr, ErrSecurity) {
		t.Errorf("first contact with an impostor: %v", clientErr)
	}
}

func TestServerRefusesEveryCertificateButAMembers(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	removed := c.enrol("saint luke", RoleSite)
	c.publish(c.governance.Remove("saint luke", epoch))
	foreign := begin(t, "south").enrol("mercy", RoleSite)
	roster := c.coordinator.Rosters().Latest()

	// show presents a certificate whatever it is.
	show := func(der []byte, key ed25519.PrivateKey) *tls.Config {
		cfg := c.governance.ClientTLS(at(epoch))
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
		}
		return cfg
	}
	selfMade, err := selfSigned(site.Keys().Signing(), epoch)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := GenerateKeys(RoleSite)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := roster.authority()
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, role Role, key ed25519.PublicKey) []byte {
		der, err := issueLeaf(authority, c.coordinator.authority(), Member{Name: name, Role: role, SigningKey: key}, "north", epoch, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	// An authority with the same name and other keys: the roster names the right one.
	otherCA, otherKey, err := newAuthority("north", epoch)
	if err != nil {
		t.Fatal(err)
	}
	otherAuthority, err := x509.ParseCertificate(otherCA)
	if err != nil {
		t.Fatal(err)
	}
	mercy, _ := roster.Member("mercy")
	foreignIssue, err := issueLeaf(otherAuthority, otherKey, mercy, "north", epoch, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		client *tls.Config
		want   error
	}{
		"issued by another authority":       {show(foreignIssue, site.Keys().Signing()), ErrNotMember},
		"a removed member":                  {show(removed.Certificate().Raw, removed.Keys().Signing()), ErrNotMember},
		"a member of another consortium":    {show(foreign.Certificate().Raw, foreign.Keys().Signing()), ErrNotMember},
		"a member's key, self-signed":       {show(selfMade.Certificate[0], site.Keys().Signing()), ErrNotMember},
		"issued to a key not on the roster": {show(issue("mercy", RoleSite, stranger.Public()), stranger.Signing()), ErrNotMember},
		"issued in another's name":          {show(issue("coordinator", RoleSite, site.Keys().Public()), site.Keys().Signing()), ErrNotMember},
		"a server's certificate":            {show(issue("mercy", RoleCoordinator, site.Keys().Public()), site.Keys().Signing()), ErrNotMember},
		"expired":                           {show(site.Certificate().Raw, site.Keys().Signing()), ErrExpired},
		"from the future":                   {show(site.Certificate().Raw, site.Keys().Signing()), ErrNotYetValid},
		"a member's, without its key":       {show(site.Certificate().Raw, stranger.Signing()), nil},
	} {
		now := epoch
		switch test.want {
		case ErrExpired:
			now = epoch.Add(DefaultCertificateTTL + time.Second)
		case ErrNotYetValid:
			now = epoch.Add(-time.Hour)
		}
		server := c.coordinator.ServerTLS(at(now))
		own := c.coordinator.certificate.Load()
		server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own, nil }
		test.client.VerifyConnection = nil // this client trusts anyone
		_, serverErr, clientErr := handshake(t, server, test.client)
		if serverErr == nil || clientErr == nil || test.want != nil && !errors.Is(serverErr, test.want) {
			t.Errorf("%s: server %v, client %v", name, serverErr, clientErr)
		}
	}
}

// A removal takes effect on new connections and, by PeerMember, on live ones.
func TestRemovalRevokesOnALiveConnection(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	server := c.coordinator.ServerTLS(at(epoch)) // made once, before the removal
	state, serverErr, clientErr := handshake(t, server, site.ClientTLS(at(epoch)))
	if serverErr != nil || clientErr != nil {
		t.Fatalf("server %v, client %v", serverErr, clientErr)
	}
	c.publish(c.governance.Remove("mercy", epoch))
	if _, err := PeerMember(state, c.coordinator.Rosters().Latest(), epoch); !errors.Is(err, ErrNotMember) {
		t.Errorf("live connection after removal: %v", err)
	}
	if _, serverErr, clientErr = handshake(t, server, site.ClientTLS(at(epoch))); !errors.Is(serverErr, ErrNotMember) || clientErr == nil {
		t.Errorf("new connection after removal: server %v, client %v", serverErr, clientErr)
	}
}

// The authority's own lifetime bounds what it issued.
func TestAnExpiredAuthorityAdmitsNobody(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	late := epoch.Add(authorityTTL + time.Minute)
	if err := c.coordinator.RenewOwn(late, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := handshake(t, c.coordinator.ServerTLS(at(late)), site.RenewalTLS(at(late))); !errors.Is(err, ErrExpired) {
		t.Errorf("got %v", err)
	}
}

func TestExpiryEndsALiveConnection(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	state, _, _ := handshake(t, c.coordinator.ServerTLS(at(epoch)), site.ClientTLS(at(epoch)))
	roster := c.coordinator.Rosters().Latest()
	if _, err := PeerMember(state, roster, epoch.Add(DefaultCertificateTTL)); err != nil {
		t.Errorf("in its last second: %v", err)
	}
	if _, err := PeerMember(state, roster, epoch.Add(DefaultCertificateTTL+time.Second)); !errors.Is(err, ErrExpired) {
		t.Errorf("after expiry: %v", err)
	}
	if _, err := PeerMember(state, nil, epoch); err == nil {
		t.Error("a member of no roster")
	}
}

func TestAClientRefusesEveryServerButTheCoordinator(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	auditor := c.enrol("auditor", RoleAuditor)
	if err := site.AppendRoster(c.coordinator.Rosters().Envelopes()[2]); err != nil {
		t.Fatal(err)
	}
	other := begin(t, "north")
	authority, err := c.coordinator.Rosters().Latest().authority()
	if err != nil {
		t.Fatal(err)
	}
	// A coordinator's authority that issues a server certificate to a member.
	forged, err := issueLeaf(authority, c.coordinator.authority(), Member{Name: "auditor", Role: RoleCoordinator, SigningKey: auditor.Keys().Public()}, "north", epoch, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	serve := func(der []byte, key ed25519.PrivateKey) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	}
	for name, server := range map[string]*tls.Config{
		"another consortium's coordinator": other.coordinator.ServerTLS(at(epoch)),
		"a member's own certificate":       serve(auditor.Certificate().Raw, auditor.Keys().Signing()),
		"a member posing as coordinator":   serve(forged, auditor.Keys().Signing()),
	} {
		_, _, clientErr := handshake(t, server, site.ClientTLS(at(epoch)))
		if clientErr == nil {
			t.Errorf("%s: accepted", name)
		}
		if name != "a member's own certificate" && !errors.Is(clientErr, ErrSecurity) {
			t.Errorf("%s: %v", name, clientErr)
		}
		if _, _, clientErr := handshake(t, server, c.governance.ClientTLS(at(epoch))); clientErr == nil {
			t.Errorf("%s: accepted by governance", name)
		}
	}
}

func TestAWrongClockIsToldApart(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	early := at(epoch.Add(-24 * time.Hour))
	for name, client := range map[string]*tls.Config{"certificate shown": site.ClientTLS(early), "none shown": site.RenewalTLS(early)} {
		_, _, err := handshake(t, c.coordinator.ServerTLS(at(epoch)), client)
		if !errors.Is(err, ErrNotYetValid) || !strings.Contains(err.Error(), "check the clock") {
			t.Errorf("client's clock is slow, %s: %v", name, err)
		}
	}
	if _, err, _ := handshake(t, c.coordinator.ServerTLS(early), site.ClientTLS(at(epoch))); !errors.Is(err, ErrNotYetValid) {
		t.Errorf("server's clock is slow: %v", err)
	}
	if err := checkTime(site.Certificate(), "mercy", epoch.Add(-4*time.Minute)); err != nil {
		t.Errorf("a clock four minutes behind: %v", err)
	}
}

func TestRenewalNeedsNoRestart(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	now := epoch
	clock := func() time.Time { return now }
	server, client := c.coordinator.ServerTLS(clock), site.ClientTLS(clock)
	if site.NeedsRenewal(now) || site.NeedsRenewal(now.Add(15*time.Hour)) {
		t.Error("renewal is due too early")
	}
	now = epoch.Add(17 * time.Hour)
	if !site.NeedsRenewal(now) || !c.coordinator.NeedsRenewal(now) {
		t.Error("renewal is not due when less than a third is left")
	}
	request, err := site.CertificateRequest()
	if err != nil {
		t.Fatal(err)
	}
	self, _ := c.coordinator.Rosters().Latest().Member("mercy")
	der, err := c.coordinator.IssueCertificate(request, self, now, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := site.SetCertificate(der); err != nil {
		t.Fatal(err)
	}
	if err := c.coordinator.RenewOwn(now, 0); err != nil {
		t.Fatal(err)
	}
	now = epoch.Add(30 * time.Hour) // the first certificates are dead
	if _, serverErr, clientErr := handshake(t, server, client); serverErr != nil || clientErr != nil {
		t.Errorf("after renewal: server %v, client %v", serverErr, clientErr)
	}
	reopened, err := OpenNode(c.memberDir("mercy"))
	if err != nil || !reopened.Certificate().Equal(site.Certificate()) {
		t.Errorf("the renewed certificate was not saved: %v", err)
	}
}

// A hospital that was switched off for a week comes back by itself.
func TestAnExpiredMemberRenewsByItsEnrolment(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	late := epoch.Add(7 * 24 * time.Hour)
	if err := c.coordinator.RenewOwn(late, 0); err != nil {
		t.Fatal(err)
	}
	server := c.coordinator.ServerTLS(at(late))
	if _, _, err := handshake(t, server, site.ClientTLS(at(late))); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "renew") {
		t.Errorf("expired: %v", err)
	}
	if _, serverErr, clientErr := handshake(t, server, site.RenewalTLS(at(late))); serverErr != nil || clientErr != nil {
		t.Fatalf("server %v, client %v", serverErr, clientErr)
	}
	envelope, err := site.Enrolment()
	if err != nil {
		t.Fatal(err)
	}
	if err := site.SetCertificate(c.admission(envelope, late)); err != nil {
		t.Fatal(err)
	}
	if _, serverErr, clientErr := handshake(t, server, site.ClientTLS(at(late))); serverErr != nil || clientErr != nil {
		t.Errorf("renewed: server %v, client %v", serverErr, clientErr)
	}
}

func TestOnlyTheCoordinatorIssuesAndOnlyToRosteredKeys(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	other := c.enrol("luke", RoleSite)
	self, _ := c.coordinator.Rosters().Latest().Member("mercy")
	request, err := site.CertificateRequest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := site.IssueCertificate(request, self, epoch, 0); err == nil {
		t.Error("a site issued a certificate")
	}
	if _, err := c.coordinator.IssueCertificate(request, self, epoch, -time.Hour); err == nil {
		t.Error("issued for a negative lifetime")
	}
	othersRequest, err := other.CertificateRequest()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.coordinator.IssueCertificate(othersRequest, self, epoch, 0); !errors.Is(err, ErrSecurity) {
		t.Errorf("luke's request as mercy: %v", err)
	}
	renamed, err := newCertificateRequest("luke", site.Keys().Signing())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.coordinator.IssueCertificate(renamed, self, epoch, 0); !errors.Is(err, ErrSecurity) {
		t.Errorf("mercy's key in luke's name: %v", err)
	}
	damaged := append([]byte(nil), request...)
	damaged[len(damaged)-1] ^= 1
	if _, err := c.coordinator.IssueCertificate(damaged, self, epoch, 0); !errors.Is(err, ErrSecurity) {
		t.Errorf("a request whose signature is damaged: %v", err)
	}
	for name, bad := range map[string][]byte{"empty": nil, "cut": request[:20], "huge": make([]byte, maxCertificate+1)} {
		if _, err := c.coordinator.IssueCertificate(bad, self, epoch, 0); err == nil {
			t.Errorf("issued for a request that is %s", name)
		}
	}
	stranger := self
	stranger.SigningKey = other.Keys().Public()
	if _, err := c.coordinator.IssueCertificate(request, stranger, epoch, 0); !errors.Is(err, ErrNotMember) {
		t.Errorf("a key that the roster does not give this name: %v", err)
	}
	c.publish(c.governance.Remove("mercy", epoch))
	if _, err := c.coordinator.IssueCertificate(request, self, epoch, 0); !errors.Is(err, ErrNotMember) {
		t.Errorf("a removed member: %v", err)
	}
}

func TestANodeKeepsOnlyItsOwnCertificate(t *testing.T) {
	c := begin(t, "north")
	site := c.enrol("mercy", RoleSite)
	other := c.enrol("luke", RoleSite)
	if err := site.AppendRoster(c.coordinator.Rosters().Envelopes()[2]); err != nil {
		t.Fatal(err)
	}
	before := site.Certificate()
	if err := site.SetCertificate(other.Certificate().Raw); !errors.Is(err, ErrSecurity) {
		t.Errorf("another member's certificate: %v", err)
	}
	foreign := begin(t, "south").enrol("mercy", RoleSite)
	if err := site.SetCertificate(foreign.Certificate().Raw); err == nil {
		t.Error("kept another consortium's certificate")
	}
	for name, bad := range map[string][]byte{"empty": nil, "cut": before.Raw[:40], "huge": make([]byte, maxCertificate+1)} {
		if err := site.SetCertificate(bad); err == nil {
			t.Errorf("kept a certificate that is %s", name)
		}
	}
	if site.Certificate() != before {
		t.Error("a refused certificate is in use")
	}
}

func TestCertificatesAreShortLivedAndBackdated(t *testing.T) {
	c := begin(t, "north")
	leaf := c.enrol("mercy", RoleSite).Certificate()
	if !leaf.NotBefore.Equal(epoch.Add(-5*time.Minute)) || !leaf.NotAfter.Equal(epoch.Add(24*time.Hour)) {
		t.Errorf("valid from %v to %v", leaf.NotBefore, leaf.NotAfter)
	}
	if leaf.IsCA || len(leaf.ExtKeyUsage) != 1 || leaf.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
		t.Error("a site's certificate is good for more than a client")
	}
}

func FuzzCertificateRequest(f *testing.F) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	der, err := newCertificateRequest("mercy", key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Add([]byte{0x30, 0x03, 0x02, 0x01, 0x00})
	own := Member{Name: "mercy", Role: RoleResearcher, SigningKey: key.Public().(ed25519.PublicKey)}
	other := own
	other.Name = "luke"
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = checkCertificateRequest(data, own)
		if checkCertificateRequest(data, other) == nil {
			t.Fatal("a request passes in another's name")
		}
	})
}
