package runner

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The suffixes of a job's files.
const (
	suffixRecord = "job"
	suffixOut    = "out"
	suffixErr    = "err"
	suffixFence  = "fence"
)

// store is the folder of job files. Only the one runner that holds the lock
// writes there, and it serializes what concerns one job.
type store struct {
	dir   string // of the job files
	names *folder
	log   *slog.Logger
	spare chan *recordFile // of forgotten jobs, wiped, to be used again

	buffers buffers
}

func openStore(dir string, log *slog.Logger) (*store, error) {
	s := &store{dir: filepath.Join(dir, "jobs"), log: log, spare: make(chan *recordFile, maxSpare)}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if s.names, err = openFolder(s.dir); err != nil {
		return nil, err
	}
	return s, syncDir(dir)
}

// fileName is the file name of an attempt without its suffix.
func fileName(key string, attempt int) string {
	return key + "@" + strconv.Itoa(attempt)
}

func (s *store) path(key string, attempt int, suffix string) string {
	return filepath.Join(s.dir, fileName(key, attempt)+"."+suffix)
}

func diskError(op, job string, err error) error {
	return fault.New(fault.Unavailable, op+" job", job, err).
		WithHint("Make room on the disk of the runner's state folder, and see that it is writable.")
}

// fence makes sure, durably, that no attempt up to this one can start any more.
func (s *store) fence(job string, attempt int) error {
	path := s.path(fileKey(job), attempt, suffixFence)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return diskError("fence", job, err)
	}
	body, err := json.Marshal(begun{Job: job, Attempt: attempt, Time: time.Now()})
	if err == nil {
		_, err = f.Write(append(body, '\n'))
	}
	if err = errors.Join(err, f.Sync(), f.Close(), s.names.sync()); err != nil {
		return diskError("fence", job, errors.Join(err, os.Remove(path)))
	}
	return nil
}

// remove deletes the files of an attempt and of the lost ones before it.
func (s *store) remove(key string, attempt int) {
	for n := attempt; n > max(0, attempt-maxLostAttempts); n-- {
		s.removeOne(key, n, suffixFence)
	}
}

// removeOne deletes the record and the output of one attempt, and more.
func (s *store) removeOne(key string, attempt int, more ...string) {
	for _, suffix := range append([]string{suffixOut, suffixErr, suffixRecord}, more...) {
		if err := os.Remove(s.path(key, attempt, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("job file stays", "file", key, "err", err)
		}
	}
}

// maxLostAttempts bounds the search for files of attempts before the last.
const maxLostAttempts = 20

// found is one attempt that an earlier runner left behind.
type found struct {
	key     string
	attempt int
	record  record
	changed time.Time
	fence   bool
}

// load lists what earlier runners left.
func (s *store) load() ([]found, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	var list []found
	for _, e := range entries {
		key, attempt, suffix, ok := splitName(e.Name())
		info, err := e.Info()
		if !ok || err != nil || suffix != suffixRecord && suffix != suffixFence {
			continue
		}
		f := found{key: key, attempt: attempt, changed: info.ModTime(), fence: suffix == suffixFence}
		if f.record, err = s.readAny(filepath.Join(s.dir, e.Name()), f.fence); err != nil {
			return nil, err
		}
		if f.record.empty {
			// It was forgotten, or cut off while it was written, so before anything was
			// started.
			s.removeOne(key, attempt)
			continue
		}
		if f.record.begun != nil && !f.fence {
			s.rename(&f)
		}
		list = append(list, f)
	}
	return list, nil
}

// rename gives a record the name that its first line says: a power cut may
// have taken the name of a file that was used again, but not its content.
func (s *store) rename(f *found) {
	key, attempt := fileKey(f.record.begun.Job), f.record.begun.Attempt
	if f.record.begun.Job == "" || attempt < 1 || key == f.key && attempt == f.attempt {
		return
	}
	if err := renameNew(s.path(f.key, f.attempt, suffixRecord), s.path(key, attempt, suffixRecord)); err != nil {
		s.log.Warn("job record keeps another's name", "file", f.key, "job", f.record.begun.Job, "err", err)
	}
	f.key, f.attempt = key, attempt
}

func (s *store) readAny(path string, fence bool) (record, error) {
	if !fence {
		return s.read(path)
	}
	var b begun
	body, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(body, &b) != nil {
		return record{}, err // what counts of a fence is its name
	}
	return record{begun: &b}, nil
}

// sync makes an output that was written durable.
func (s *store) sync(j *job, suffix string, o *Output) error {
	if o.Kept == 0 {
		return nil
	}
	f, err := os.OpenFile(s.path(j.key, j.attempt, suffix), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// whole reports whether the outputs are there that an end speaks of: a power cut
// may have taken them although it spared the end.
func (s *store) whole(j *job, r *Result) bool {
	for suffix, o := range map[string]*Output{suffixOut: &r.Stdout, suffixErr: &r.Stderr} {
		info, err := os.Stat(s.path(j.key, j.attempt, suffix))
		if o.Kept > 0 && (err != nil || info.Size() < o.Kept) {
			return false
		}
	}
	return true
}
