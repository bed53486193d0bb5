package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

func TestEnvIsReadBackByAShell(t *testing.T) {
	for _, value := range []string{"plain", "", "two words", "it's", `back\slash`, "$HOME", "`id`", "a\nb", "#no comment", "ümlaut", "=", "~"} {
		var out bytes.Buffer
		p := &printer{form: "env", out: &out}
		if err := p.env([]variable{{"NAME", value}}); err != nil {
			t.Fatal(err)
		}
		got, err := exec.Command("sh", "-c", out.String()+`printf %s "$NAME"`).CombinedOutput()
		if err != nil || string(got) != value {
			t.Errorf("%q was written as %s and read as %q, %v", value, out.String(), got, err)
		}
	}
}

func TestATableObeysNobody(t *testing.T) {
	var out bytes.Buffer
	p := &printer{form: "table", out: &out}
	items := []json.RawMessage{json.RawMessage(`{"id": "usr_1", "name": "\u001b[2J\nroot\t\u202e", "claims": {"a": 1}, "tags": ["x", "y"], "on": true}`)}
	if err := p.list(items, "id", column{"ID", "id"}, column{"NAME", "name"}, column{"TAGS", "tags"}, column{"ON", "on"}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\t\u202e") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%q", out.String())
	}
	if lines := strings.Split(out.String(), "\n"); !strings.HasSuffix(lines[1], "x y   yes") {
		t.Errorf("%q", lines[1])
	}
}

func TestAnObjectKeepsItsOrder(t *testing.T) {
	o, err := parseObject(json.RawMessage(`{"z": 1, "a": {"b": [1, 2]}, "m": null, "s": "t"}`))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range o {
		names = append(names, m.name)
	}
	if got := strings.Join(names, " "); got != "z a m s" {
		t.Errorf("the members are %s", got)
	}
	if got := plain(o.value("a")); got != `{"b": [1, 2]}` {
		t.Errorf("an object inside is %s", got)
	}
	for _, not := range []string{``, `[]`, `"x"`, `{"a"`, `{"a": 1`, `1`} {
		if _, err := parseObject(json.RawMessage(not)); err == nil {
			t.Errorf("%s is an object", not)
		}
	}
}
