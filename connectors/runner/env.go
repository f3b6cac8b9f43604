package runner

import (
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// NonceVariable is the environment variable by which the runner knows the
// processes of a job again.
const NonceVariable = "SALLYPORT_JOB_NONCE"

// DefaultPath is the PATH of every job whose Env does not set another: what the
// runner's own environment says does not count.
func DefaultPath() string {
	if runtime.GOOS != "windows" {
		return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	}
	root := os.Getenv("SystemRoot")
	if root == "" {
		root = `C:\Windows`
	}
	return strings.Join([]string{
		filepath.Join(root, "system32"), root,
		filepath.Join(root, "System32", "Wbem"),
		filepath.Join(root, "System32", "WindowsPowerShell", "v1.0"),
	}, string(os.PathListSeparator))
}

// Inherited returns the names of the variables that a child takes over from the
// runner's environment, where they are set. PATH is not among them.
func Inherited() []string {
	if runtime.GOOS == "windows" {
		return []string{
			"SystemRoot", "SystemDrive", "windir", "ComSpec", "TEMP", "TMP", "USERPROFILE", "USERNAME",
			"USERDOMAIN", "HOMEDRIVE", "HOMEPATH", "APPDATA", "LOCALAPPDATA", "ALLUSERSPROFILE", "ProgramData",
			"ProgramFiles", "ProgramFiles(x86)", "CommonProgramFiles", "COMPUTERNAME",
			"NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "OS", "PSModulePath",
		}
	}
	return []string{"HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TZ", "TMPDIR"}
}

// environ makes a child's whole environment, sorted. On Windows names are the
// same in any case.
func environ(set []string, nonce string) []string {
	env := map[string]string{}
	put := func(name, value string) {
		key := name
		if runtime.GOOS == "windows" {
			key = strings.ToUpper(name)
		}
		env[key] = name + "=" + value
	}
	put("PATH", DefaultPath())
	for _, name := range Inherited() {
		if value, ok := os.LookupEnv(name); ok {
			put(name, value)
		}
	}
	for _, e := range set {
		name, value, _ := strings.Cut(e, "=")
		put(name, value)
	}
	put(NonceVariable, nonce)
	return slices.Sorted(maps.Values(env))
}

// lookPath finds the program of a spec: absolute, below the working directory,
// or in an absolute folder of the job's own PATH. The current directory is
// never searched.
func lookPath(spec *Spec, env []string) (string, error) {
	name := spec.Program
	switch {
	case filepath.IsAbs(name):
		return executable(name)
	case strings.ContainsRune(name, '/') || runtime.GOOS == "windows" && strings.ContainsAny(name, `\:`):
		if !filepath.IsLocal(name) {
			return "", os.ErrNotExist // a way out of the folder, or "C:x"
		}
		return executable(filepath.Join(spec.Dir, name))
	}
	var path string
	for _, e := range env {
		if n, v, _ := strings.Cut(e, "="); strings.EqualFold(n, "PATH") {
			path = v
		}
	}
	err := os.ErrNotExist
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		full, e := executable(filepath.Join(dir, name))
		if e == nil {
			return full, nil
		}
		if os.IsPermission(e) {
			err = e
		}
	}
	return "", err
}
