package mintmark_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// may is the whole import graph: a package, and then what it may import of ours. A row may
// only name rows above it, so there can be no cycle.
var may = [][]string{
	{"internal/secret"},
	{"internal/fetch"},
	{"internal/nearest"},
	{"internal/journal"},
	{"bearer"}, // other Go services import it: it drags nothing along
	{"keys", "internal/secret"},
	{"upstream", "internal/secret", "internal/fetch", "bearer"},
	{"accounts", "internal/nearest", "internal/secret", "upstream"},
	{"apikeys", "internal/secret", "bearer"},
	{"issuer", "internal/secret", "bearer", "keys"},
	{"revocations"},
	{"well-known", "issuer", "keys"},
	{"storage", "internal/secret", "keys", "upstream", "accounts", "apikeys", "issuer", "revocations"},
	{"storage/storagetest", "internal/secret", "keys", "upstream", "accounts", "apikeys", "issuer", "revocations", "storage"},
	{"web", "internal/secret", "bearer", "upstream", "accounts", "apikeys", "issuer"},
	{"admin", "internal/nearest", "internal/secret", "bearer", "keys", "upstream", "accounts", "apikeys", "issuer", "revocations"},
	{"server", "internal/secret", "internal/fetch", "bearer", "keys", "upstream", "accounts", "apikeys", "issuer", "revocations", "well-known", "storage", "web", "admin"},
	{"cmd/mintmark", "internal/nearest", "internal/journal", "internal/secret", "keys", "upstream", "storage", "server"},
	{"conformance", "internal/secret", "storage", "storage/storagetest", "server"},
	{"conformance/browser", "conformance", "storage", "storage/storagetest", "server"},
	{"conformance/clients", "conformance", "storage/storagetest"},
	{"conformance/providers", "conformance", "storage/storagetest"},
	{"conformance/oidf", "conformance"},
	{"conformance/load", "conformance", "storage/storagetest"},
	{"conformance/faults", "conformance", "storage", "storage/storagetest", "server"},
	{"examples/go-service", "bearer"},
	{"examples", "conformance"},
}

// testsMay is what test files may import beyond that: the real parts that a story needs.
// A test file in package x_test is not part of x, so it can't make a cycle.
var testsMay = []string{"revocations", "storage", "storage/storagetest", "internal/secret", "keys", "upstream", "accounts", "apikeys", "issuer", "bearer", "server", "web", "admin", "well-known"}

func TestImportGraph(t *testing.T) {
	seen := map[string]bool{}
	allowed := map[string][]string{}
	for _, row := range may {
		for _, imported := range row[1:] {
			if !seen[imported] {
				t.Errorf("%s names %s, which is not above it", row[0], imported)
			}
		}
		seen[row[0]] = true
		allowed[row[0]] = row[1:]
	}
	eachFile(t, func(path, dir string, file *ast.File) {
		list, ok := allowed[dir]
		test := strings.HasSuffix(path, "_test.go")
		if !ok && !test {
			t.Errorf("package %s is not in the table of the import graph", dir)
			return
		}
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			ours, found := strings.CutPrefix(name, "mintmark/")
			if !found || ours == dir {
				continue
			}
			if slices.Contains(list, ours) || test && (slices.Contains(testsMay, ours) || dir == ".") {
				continue
			}
			t.Errorf("%s imports %s, which the table does not allow", path, ours)
		}
	})
}

func TestEveryPackageTellsItsStory(t *testing.T) {
	told := map[string]bool{}
	eachFile(t, func(path, dir string, file *ast.File) {
		if !strings.HasSuffix(path, "_test.go") {
			told[dir] = told[dir] || file.Doc != nil && len(file.Doc.Text()) > 60
		}
	})
	for dir, ok := range told {
		if !ok {
			t.Errorf("package %s has no package comment that says what it is for", dir)
		}
	}
}

func TestNoInitNoChangingGlobals(t *testing.T) {
	eachFile(t, func(path, dir string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "init" && f.Recv == nil {
				t.Errorf("%s has an init function", path)
			}
		}
		globals := map[string]bool{}
		for _, decl := range file.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					globals[name.Name] = true
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			a, ok := n.(*ast.AssignStmt)
			if !ok || a.Tok == token.DEFINE {
				return true
			}
			for _, left := range a.Lhs {
				// An identifier that the parser resolved to a package-level variable of this file.
				if id, ok := left.(*ast.Ident); ok && globals[id.Name] && id.Obj != nil && id.Obj.Kind == ast.Var {
					if _, top := id.Obj.Decl.(*ast.ValueSpec); top && file.Scope.Lookup(id.Name) == id.Obj {
						t.Errorf("%s assigns to the package-level variable %s", path, id.Name)
					}
				}
			}
			return true
		})
	})
}

func TestEveryExportedNameHasAComment(t *testing.T) {
	eachFile(t, func(path, dir string, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") || strings.HasPrefix(dir, "conformance") {
			return
		}
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
					t.Errorf("%s: %s has no comment", path, d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
							t.Errorf("%s: type %s has no comment", path, s.Name.Name)
						}
					case *ast.ValueSpec:
						if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
							t.Errorf("%s: %s has no comment", path, s.Names[0].Name)
						}
					}
				}
			}
		}
	})
}

// exportedReceiver says whether a method belongs to a type that others can name, or there is no receiver.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

func eachFile(t *testing.T, visit func(path, dir string, file *ast.File)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || path != "." && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.ParseComments)
		if err != nil {
			return err
		}
		files++
		visit(path, filepath.ToSlash(filepath.Dir(path)), file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 10 {
		t.Fatalf("only %d files were found: the test looks in the wrong place", files)
	}
}
