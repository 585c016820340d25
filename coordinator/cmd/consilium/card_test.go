package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/consilium-fl/consilium/compute/card"
)

// A card is written in every form, from the release as from its study, with
// what people state in a file.
func TestReleaseCard(t *testing.T) {
	w := newWorld(t)
	w.enroll(map[string]string{"rosa": "researcher", "ines": "auditor"})
	ctx, stop := context.WithCancel(context.Background())
	var working sync.WaitGroup
	for _, h := range w.join("Aare", "Birs", "Ergolz") {
		working.Go(func() { h.work(ctx) })
	}
	t.Cleanup(func() { stop(); working.Wait() })
	id := decode[struct{ Study string }](t, w.as("rosa", "study", "propose", w.write("dose.yaml", doseStudy), "--json")).Study[:8]
	out := filepath.Join(w.dir, "card.md")
	w.refused("rosa", []string{"release"}, "release", "card", id, "--out", out)
	w.as("rosa", "study", "start", id, "--wait-approvals", "all")
	w.as("ines", "study", "watch", id)
	releases := decode[struct {
		Releases []struct{ Release string }
	}](t, w.as("rosa", "release", "list", "--json"))
	release := releases.Releases[0].Release

	about := w.write("about.yaml", "developer: |\n  Clinic of the <North>\n\n  - ward 3\nkeywords: [dose]\nelements: {sex: [sex]}\n")
	for who, args := range map[string][]string{
		"rosa": {"release", "card", id, "--about", about, "--out", out},
		"ines": {"release", "card", release[:8], "--about", about, "--out", out},
	} {
		w.as(who, args...)
		content, err := os.ReadFile(out)
		must(t, err)
		for _, words := range []string{"# Model card: Dose by age and genotype", release, "Clinic of the &lt;North&gt;", "- ward 3", "| sex: female |", "What was not examined", " published rounds, each over 3 hospitals", "Not stated by the developer: "} {
			if !strings.Contains(string(content), words) {
				t.Errorf("the card that %s wrote does not say %q:\n%s", who, words, content)
			}
		}
	}

	document := filepath.Join(w.dir, "card.xml")
	w.as("rosa", "release", "card", id, "--format", "chai-xml", "--out", document)
	content, err := os.ReadFile(document)
	must(t, err)
	if err := xml.Unmarshal(content, new(struct{ XMLName xml.Name })); err != nil || !bytes.Contains(content, []byte("<ModelDeveloper>Not stated by the developer.</ModelDeveloper>")) {
		t.Errorf("the XML is not a card: %v\n%s", err, content)
	}
	for format, begins := range map[string]string{"html": "<!DOCTYPE html>", "pdf": "%PDF-"} {
		file := filepath.Join(w.dir, "card."+format)
		w.as("rosa", "release", "card", id, "--format", format, "--out", file)
		content, err := os.ReadFile(file)
		must(t, err)
		if !bytes.HasPrefix(content, []byte(begins)) {
			t.Errorf("card.%s begins with %.20q", format, content)
		}
	}
	profile := filepath.Join(w.dir, "profile.json")
	w.as("rosa", "release", "card", id, "--format", "hti1-json", "--out", profile)
	content, err = os.ReadFile(profile)
	must(t, err)
	if p := decode[card.Profile](t, string(content)); len(p.Attributes) != 31 || p.Release != release {
		t.Errorf("the profile is %s", content)
	}

	w.refused("rosa", []string{`the study has no column "sexx"`, `"sex"`}, "release", "card", id, "--out", out, "--about", w.write("sexx.yaml", "elements: {sex: [sexx]}"))
}

// What people state is read as strictly as a study, and the template is a file
// that states nothing.
func TestAboutIsReadStrictly(t *testing.T) {
	w := &world{t: t, dir: t.TempDir()}
	for name, want := range map[string]string{
		"developper: x":                    `line 1: unknown key "developper"; the nearest is "developer"`,
		"goals: {usefullness: x}":          `the nearest is "goals.usefulness"`,
		"developer: a\ndeveloper: b":       `line 2: key "developer" is given twice`,
		"developer: [a]":                   "takes one value",
		"keywords: a":                      "takes a list",
		"intended_use: x\n---\nusers: y\n": "more than one document",
	} {
		w.refused("", []string{want, "--about-template"}, "release", "card", "00ff00ff", "--out", filepath.Join(w.dir, "card.md"), "--about", w.write("about.yaml", name))
	}
	template := w.run("release", "card", "--about-template")
	about, err := readAbout(w.write("template.yaml", template))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range about.Fields() {
		if f.Text != nil && *f.Text != "" {
			t.Errorf("the template states %s", f.Key)
		}
	}
	if len(about.Keywords)+len(about.Elements) > 0 {
		t.Errorf("the template states %v, %v", about.Keywords, about.Elements)
	}
}
