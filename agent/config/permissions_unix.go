//go:build unix

package config

import (
	"io/fs"
	"os"
	"path/filepath"
)

// CheckPermissions returns a problem for each file and folder of the
// configuration at path that any user can write: who can write it decides what
// runs. What does not exist is passed over.
func CheckPermissions(path string) Problems {
	var problems Problems
	dir := filepath.Dir(path)
	places := []string{dir, filepath.Join(dir, "conf.d")}
	files, err := filesOf(path)
	if err == nil {
		places = append(places, files...)
	}
	for _, p := range places {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm()&0o002 == 0 {
			continue
		}
		if info.IsDir() && info.Mode()&fs.ModeSticky != 0 {
			continue // others can add files there, but not replace these
		}
		problems = append(problems, Problem{
			File: p, Message: "every user can write it", Hint: "run: chmod o-w " + p,
		})
	}
	return problems
}
