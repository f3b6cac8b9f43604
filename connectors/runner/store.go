package runner

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// The suffixes of a job's files.
const (
	suffixRecord = "job"
	suffixOut    = "out"
	suffixErr    = "err"
	suffixFence  = "fence"
	suffixSpare  = "spare"
)

// store is the folder of job files. Only the one runner that holds the lock
// writes there, and it serializes what concerns one job.
type store struct {
	dir   string // of the job files
	names *folder
	log   *slog.Logger
	spare chan string // record files of forgotten jobs, to be used again
	count atomic.Int64

	buffers buffers
}

// maxSpare bounds the record files that are kept for new jobs. Making a file
// costs some file systems more than all else that a begin does.
const maxSpare = 64

func openStore(dir string, log *slog.Logger) (*store, error) {
	s := &store{dir: filepath.Join(dir, "jobs"), log: log, spare: make(chan string, maxSpare)}
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

// begin makes a record that was not there and makes it durable. When it returns
// an error there is none, or exists is true: the attempt was begun before.
func (s *store) begin(b begun) (f *os.File, exists bool, err error) {
	path := s.path(fileKey(b.Job), b.Attempt, suffixRecord)
	if f = s.reuse(path, b); f == nil {
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, errors.Is(err, fs.ErrExist), diskError("begin", b.Job, err)
		}
		err = appendLine(f, line{Begun: &b}, true)
	}
	if err == nil {
		err = s.names.sync()
	}
	if err != nil {
		err = errors.Join(err, f.Close(), os.Remove(path), s.names.sync())
		return nil, false, diskError("begin", b.Job, err)
	}
	return f, false, nil
}

// reuse makes a record of a spare file: it is complete and synced before it
// gets its name. nil means that a new file must be made.
func (s *store) reuse(path string, b begun) *os.File {
	var from string
	select {
	case from = <-s.spare:
	default:
		return nil
	}
	f, err := os.OpenFile(from, os.O_WRONLY, 0)
	if err != nil {
		return nil
	}
	err = appendLine(f, line{Begun: &b}, false)
	if err == nil {
		var size int64
		if size, err = f.Seek(0, io.SeekCurrent); err == nil {
			err = errors.Join(f.Truncate(size), f.Sync())
		}
	}
	if err == nil {
		err = renameNew(from, path)
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(from)
		return nil // a new file tells the reason, if it lasts
	}
	return f
}

// recycle keeps a record file that nobody needs any more for another job.
func (s *store) recycle(path string) error {
	if !canReuse || len(s.spare) == maxSpare {
		return os.Remove(path)
	}
	to := filepath.Join(s.dir, strconv.FormatInt(s.count.Add(1), 10)+"."+suffixSpare)
	if err := os.Rename(path, to); err != nil {
		return err
	}
	select {
	case s.spare <- to:
		return nil
	default:
		return os.Remove(to)
	}
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

// forget frees the files of an ended job, the record last: without its output
// an end does not count.
func (s *store) forget(j *job) error {
	var errs []error
	j.mu.Lock()
	r := j.result
	j.mu.Unlock()
	for suffix, has := range map[string]bool{suffixOut: r == nil || r.Stdout.Kept > 0, suffixErr: r == nil || r.Stderr.Kept > 0} {
		if has {
			errs = append(errs, os.Remove(s.path(j.key, j.attempt, suffix)))
		}
	}
	errs = append(errs, s.recycle(s.path(j.key, j.attempt, suffixRecord)))
	for _, err := range errs {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return diskError("forget", j.id, err)
		}
	}
	return nil
}

// remove deletes the files of an attempt and of the lost ones before it.
func (s *store) remove(key string, attempt int) {
	for n := attempt; n > max(0, attempt-maxLostAttempts); n-- {
		for _, suffix := range []string{suffixOut, suffixErr, suffixRecord, suffixFence} {
			if err := os.Remove(s.path(key, n, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				s.log.Warn("job file stays", "file", key, "err", err)
			}
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
		if strings.HasSuffix(e.Name(), "."+suffixSpare) {
			_ = os.Remove(filepath.Join(s.dir, e.Name())) // it has no meaning; another start tries again
			continue
		}
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
			// It was cut off while it was written, so before anything was started.
			s.remove(key, attempt)
			continue
		}
		list = append(list, f)
	}
	return list, nil
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
