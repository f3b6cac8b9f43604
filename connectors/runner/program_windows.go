package runner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// executable finds a program file: as it is named, or with one of the endings
// of programs and batch files.
func executable(path string) (string, error) {
	endings := []string{"", ".exe", ".com", ".bat", ".cmd"}
	if filepath.Ext(path) == "" {
		endings = endings[1:]
	}
	for _, e := range endings {
		if info, err := os.Stat(path + e); err == nil && !info.IsDir() {
			return path + e, nil
		}
	}
	return "", &fs.PathError{Op: "find", Path: path, Err: fs.ErrNotExist}
}

var (
	errBatchArgument = errors.New("a batch file takes only arguments of letters, digits and _./:@=,+-\\ because cmd.exe reads all others anew (CVE-2024-24576)")
	errNotProgram    = errors.New("only .exe, .com, .bat and .cmd files can be started without a shell")
)

// program returns the file to execute and the command line for it. Arguments
// are quoted one by one, as programs take them apart again; a shell's text goes
// to cmd.exe as it is: with /s it removes exactly the outer quotes.
func program(spec *Spec, env []string) (path, line string, err error) {
	shell := filepath.Join(systemRoot(), "System32", "cmd.exe")
	if spec.Shell != "" {
		return shell, windows.EscapeArg(shell) + ` /d /s /c "` + spec.Shell + `"`, nil
	}
	if path, err = lookPath(spec, env); err != nil {
		return "", "", err
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".exe", ".com":
		return path, windows.ComposeCommandLine(append([]string{path}, spec.Args...)), nil
	case ".bat", ".cmd":
		line, err := batchLine(path, spec.Args)
		return shell, windows.EscapeArg(shell) + ` /d /e:on /v:off /s /c "` + line + `"`, err
	default:
		return "", "", &startError{Refused, errNotProgram}
	}
}

func systemRoot() string {
	if root := os.Getenv("SystemRoot"); filepath.IsAbs(root) {
		return root
	}
	return `C:\Windows`
}

// batchLine refuses what it cannot quote for cmd.exe beyond doubt.
func batchLine(path string, args []string) (string, error) {
	if strings.ContainsAny(path, "\"%\r\n") {
		return "", &startError{Refused, errBatchArgument}
	}
	var b strings.Builder
	b.WriteString(`"` + path + `"`)
	for _, a := range args {
		for _, r := range a {
			if !plainInBatch(r) {
				return "", &startError{Refused, errBatchArgument}
			}
		}
		if strings.HasSuffix(a, `\`) {
			a += `\` // it must not take the quote's meaning
		}
		b.WriteString(` "` + a + `"`)
	}
	return b.String(), nil
}

func plainInBatch(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`_./:@=,+-\ `, r)
}
