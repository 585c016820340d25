package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// How often and how long the demonstration looks for what must come soon.
const (
	glance   = 200 * time.Millisecond
	patience = 60 * time.Second
)

func (d *demo) governance() string            { return filepath.Join(d.out, "consortium", "governance") }
func (d *demo) identity(person string) string { return filepath.Join(d.out, "people", person) }

// as runs a command of the consilium program as one of its people and reads the
// JSON that it prints; answer may be nil.
func (d *demo) as(ctx context.Context, person string, answer any, args ...string) error {
	if person != "" {
		args = append(args, "--identity", d.identity(person))
	}
	return d.ask(ctx, answer, "consilium", args...)
}

// at runs a command of a hospital's site agent and reads the JSON that it prints.
func (d *demo) at(ctx context.Context, h *hospital, answer any, args ...string) error {
	return d.ask(ctx, answer, "site-agent", append(args, "--config", h.config())...)
}

func (d *demo) ask(ctx context.Context, answer any, program string, args ...string) error {
	printed, err := d.Do(ctx, program, append(args, "--json")...)
	if err != nil || answer == nil {
		return err
	}
	if err := json.Unmarshal(printed, answer); err != nil {
		return fmt.Errorf("what %s %s printed cannot be read: %w", program, args[0], err)
	}
	return nil
}

// until tries something until it is so.
func (d *demo) until(ctx context.Context, what string, so func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if ok, err := so(); err != nil || ok {
			return err
		}
		if err := d.Fallen(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		case <-time.After(glance):
		}
	}
}

// found makes the governance key and starts the coordinator.
func (d *demo) found(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	d.address = address
	var founded struct {
		Governance string `json:"governance"`
	}
	if err := d.as(ctx, "", &founded, "init", "--consortium", "demonstration", "--coordinator", d.address, "--dir", filepath.Join(d.out, "consortium")); err != nil {
		return err
	}
	d.say("consilium init: governance key %.16s…, kept apart from the coordinator", founded.Governance)

	server := filepath.Join(d.out, "coordinator")
	if err := os.MkdirAll(filepath.Join(server, "state"), 0o700); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(d.out, "consortium", "coordinator"), filepath.Join(server, "state", "identity")); err != nil {
		return err
	}
	config := filepath.Join(server, "coordinator.yaml")
	if err := os.WriteFile(config, []byte("dir: state\nlisten: "+d.address+"\n"), 0o644); err != nil {
		return err
	}
	process, err := d.Serve("coordinator", "coordinator", "serve", "--config", config)
	if err != nil {
		return err
	}
	if err := d.listening(ctx); err != nil {
		return err
	}
	d.say("coordinator serve: process %d on %s, TLS 1.3 with client certificates", process.cmd.Process.Pid, d.address)
	return nil
}

// listening waits until the coordinator accepts connections.
func (d *demo) listening(ctx context.Context) error {
	return d.until(ctx, "the coordinator", func() (bool, error) {
		conn, err := net.DialTimeout("tcp", d.address, time.Second)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// enrol invites everyone, lets them make their keys, and admits them.
func (d *demo) enrol(ctx context.Context) error {
	var waiting []*server
	invite := func(role, name string) (string, error) {
		var invitation struct {
			Token string `json:"token"`
		}
		return invitation.Token, d.as(ctx, "", &invitation, "invite", "--governance", d.governance(), "--role", role, "--name", name)
	}
	for _, person := range []string{"researcher", "auditor"} {
		token, err := invite(person, person)
		if err != nil {
			return err
		}
		process, err := d.Serve("enrolment of "+person, "consilium", "enroll", token, "--dir", d.identity(person))
		if err != nil {
			return err
		}
		waiting = append(waiting, process)
	}
	for i, h := range d.hospitals {
		token, err := invite("site", h.name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(h.config(), []byte(d.policy(i)), 0o644); err != nil {
			return err
		}
		process, err := d.Serve("enrolment of "+h.name, "site-agent", "enroll", token, "--config", h.config())
		if err != nil {
			return err
		}
		waiting = append(waiting, process)
	}
	d.say("consilium invite, site-agent enroll: %d newcomers make their keys and ask to be admitted", len(waiting))
	if err := d.as(ctx, "", nil, "admit", "--governance", d.governance(), "--all", "--wait", strconv.Itoa(len(waiting))); err != nil {
		return err
	}
	for _, process := range waiting {
		if err := d.Ended(ctx, process); err != nil {
			return err
		}
	}
	d.say("consilium admit: roster 2 lists %d hospitals, a researcher and an auditor", len(d.hospitals))
	return nil
}

// policy is a hospital's configuration. In the first one people decide about
// releases; in the others a rule does.
func (d *demo) policy(i int) string {
	decide := "automatic"
	if i == 0 {
		decide = "manual"
	}
	return "dir: state\nrecords: patients.csv\nstudies:\n  approve: manual\nreleases:\n  decide: " + decide + "\n"
}

// examine runs every hospital's doctor.
func (d *demo) examine(ctx context.Context) error {
	checks := 0
	for _, h := range d.hospitals {
		var found []struct{}
		if err := d.at(ctx, h, &found, "doctor"); err != nil {
			return err
		}
		checks += len(found)
	}
	d.say("site-agent doctor: %d checks at %d hospitals, all in order", checks, len(d.hospitals))
	return nil
}

// open starts the agents.
func (d *demo) open(context.Context) error {
	first, last := 0, 0
	for _, h := range d.hospitals {
		process, err := d.Serve("hospital "+h.name, "site-agent", "run", "--config", h.config())
		if err != nil {
			return err
		}
		last = process.cmd.Process.Pid
		if first == 0 {
			first = last
		}
	}
	d.say("site-agent run: %d processes, %d to %d, each with its own keys and its own patients", len(d.hospitals), first, last)
	return nil
}
