package driver

import "time"

// presence is when a site was last heard from. It is not a fact: after a
// restart everybody is unheard until they call, which they do within seconds.
type presence struct {
	calls int // that are under way; a site that waits in a call is there
	last  time.Time
}

// Heard notes that a site is calling; the returned function notes that the call
// is over.
func (d *Driver) Heard(site string) (done func()) {
	d.hearing.Lock()
	defer d.hearing.Unlock()
	p := d.heard[site]
	if p == nil {
		p = &presence{}
		d.heard[site] = p
	}
	p.calls++
	p.last = d.Now()
	d.poke()
	return func() {
		d.hearing.Lock()
		defer d.hearing.Unlock()
		p.calls--
		p.last = d.Now()
	}
}

// Calling reports whether a call of a site is under way; one that waits for work
// has one.
func (d *Driver) Calling(site string) bool {
	d.hearing.Lock()
	defer d.hearing.Unlock()
	p := d.heard[site]
	return p != nil && p.calls > 0
}

// present reports whether a site has been heard from within the window.
func (d *Driver) present(site string, now time.Time, window time.Duration) bool {
	d.hearing.Lock()
	defer d.hearing.Unlock()
	p := d.heard[site]
	return p != nil && (p.calls > 0 || now.Sub(p.last) <= window)
}
