package admin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mintmark/admin"
)

var update = flag.Bool("update", false, "write what the API says about itself to testdata/openapi.json")

// TestOpenAPIHasNotChanged keeps the compatibility of the API: whoever changes it sees it in
// the diff of testdata/openapi.json, which `go test ./admin -update` writes.
func TestOpenAPIHasNotChanged(t *testing.T) {
	op := onSQLite(t)
	a := op.ask("GET", "/openapi.json", nil, "Authorization", "")
	var got bytes.Buffer
	must(t, json.Indent(&got, []byte(a.text), "", "  "))
	got.WriteByte('\n')
	file := filepath.Join("testdata", "openapi.json")
	if *update {
		must(t, os.WriteFile(file, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the API describes itself otherwise than testdata/openapi.json: if that is meant, run go test ./admin -update")
	}
}

func TestOpenAPI(t *testing.T) {
	op := onSQLite(t)
	a := op.ask("GET", "/openapi.json", nil, "Authorization", "") // no key is needed
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" || a.body["openapi"] != "3.1.0" {
		t.Fatalf("%d %s %v", a.status, a.header.Get("Content-Type"), a.body["openapi"])
	}
	paths := a.body["paths"].(map[string]any)
	listed := 0
	ids := map[any]bool{}
	for _, route := range admin.Routes() {
		path, _ := paths[route.Path].(map[string]any)
		described, ok := path[strings.ToLower(route.Method)].(map[string]any)
		if !ok {
			t.Errorf("%s %s is not described", route.Method, route.Path)
			continue
		}
		listed++
		name := route.Method + " " + route.Path
		if ids[described["operationId"]] || described["summary"] == "" {
			t.Errorf("%s has no id of its own, or no summary", name)
		}
		ids[described["operationId"]] = true
		security, _ := json.Marshal(described["security"])
		if want := `"` + route.Scope + `"`; route.Scope != "" && !strings.Contains(string(security), want) {
			t.Errorf("%s does not say which scope it needs: %s", name, security)
		}
		responses := described["responses"].(map[string]any)
		if _, ok := responses["default"].(map[string]any)["content"].(map[string]any)["application/problem+json"]; !ok || len(responses) != 2 {
			t.Errorf("%s does not say how it refuses: %v", name, responses)
		}
		var declared []string
		parameters, _ := described["parameters"].([]any)
		for _, p := range parameters {
			if p := p.(map[string]any); p["in"] == "path" {
				declared = append(declared, "{"+p["name"].(string)+"}")
			}
		}
		if strings.Count(route.Path, "{") != len(declared) || len(declared) == 1 && !strings.Contains(route.Path, declared[0]) {
			t.Errorf("%s does not declare the parameters of its path: %v", name, declared)
		}
	}
	total := 0
	for _, path := range paths {
		total += len(path.(map[string]any))
	}
	if total != listed {
		t.Errorf("%d operations are described, %d are in the table", total, listed)
	}
	schemas := a.body["components"].(map[string]any)["schemas"].(map[string]any)
	eachRef(a.body, func(ref string) {
		if name, ok := strings.CutPrefix(ref, "#/components/schemas/"); !ok || schemas[name] == nil {
			t.Errorf("the reference %s leads nowhere", ref)
		}
	})
	for name, schema := range schemas {
		text, _ := json.Marshal(schema)
		shown := !strings.HasPrefix(name, "New") && name != "RegisteredClient" && name != "AddedSecret" && name != "ProviderChange"
		for _, secret := range []string{`"password"`, `"password_hash"`, `"client_secret"`} {
			if shown && strings.Contains(string(text), secret+":") {
				t.Errorf("%s shows %s", name, secret)
			}
		}
	}
}

func eachRef(v any, visit func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if ref, ok := value.(string); ok && name == "$ref" {
				visit(ref)
			}
			eachRef(value, visit)
		}
	case []any:
		for _, value := range v {
			eachRef(value, visit)
		}
	}
}
