package runner

import (
	"errors"
	"io/fs"
	"os"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// maxSpare bounds the record files that are kept for new jobs. To make a file
// and its name durable costs more than all else that a begin does; to replace
// what a file holds changes no metadata, and so costs one flush of the disk.
const maxSpare = 64

// begin makes a record that was not there and makes it durable. When it returns
// an error there is none, or exists is true: the attempt was begun before.
func (s *store) begin(b begun) (r *recordFile, exists bool, err error) {
	path := s.path(fileKey(b.Job), b.Attempt, suffixRecord)
	first, err := encodeLine(line{Begun: &b})
	if err != nil {
		return nil, false, fault.New(fault.Internal, "begin job", b.Job, err)
	}
	if r = s.reuse(path, first); r != nil {
		return r, false, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, errors.Is(err, fs.ErrExist), diskError("begin", b.Job, err)
	}
	r = &recordFile{f: f, path: path}
	if err := errors.Join(r.write(first), s.names.sync()); err != nil {
		err = errors.Join(err, f.Close(), os.Remove(path), s.names.sync())
		return nil, false, diskError("begin", b.Job, err)
	}
	return r, false, nil
}

// reuse makes a record of a spare file. Its new name is taken exclusively but
// need not be durable: what a file holds counts before its name, and some name
// it always has. nil means that a new file must be made.
func (s *store) reuse(path string, first []byte) *recordFile {
	if len(first) > blockSize {
		return nil
	}
	var r *recordFile
	select {
	case r = <-s.spare:
	default:
		return nil
	}
	if renameNew(r.path, path) != nil {
		s.discard(r)
		return nil // a new file tells the reason, if it lasts
	}
	r.path = path
	if r.write(first) != nil {
		s.discard(r)
		return nil
	}
	return r
}

func (s *store) discard(r *recordFile) {
	if err := errors.Join(r.close(), os.Remove(r.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("job file stays", "file", r.path, "err", err)
	}
}

// forget frees the files of an ended job, the record last: without its output
// an end does not count.
func (s *store) forget(j *job) error {
	var errs []error
	j.mu.Lock()
	r := j.result
	j.mu.Unlock()
	if r == nil || r.Stdout.Kept > 0 {
		errs = append(errs, os.Remove(s.path(j.key, j.attempt, suffixOut)))
	}
	if r == nil || r.Stderr.Kept > 0 {
		errs = append(errs, os.Remove(s.path(j.key, j.attempt, suffixErr)))
	}
	errs = append(errs, s.recycle(j))
	for _, err := range errs {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return diskError("forget", j.id, err)
		}
	}
	return nil
}

// recycle empties the record of a job and keeps its file for another. The file
// keeps its name until then.
func (s *store) recycle(j *job) error {
	path := s.path(j.key, j.attempt, suffixRecord)
	r := j.takeRecord()
	if !canReuse || len(s.spare) == maxSpare {
		if r != nil {
			_ = r.close() // it is not needed any more
		}
		return os.Remove(path)
	}
	if r == nil {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		r = &recordFile{f: f, path: path}
	}
	if ok, err := r.wipe(); !ok {
		return errors.Join(err, r.close(), os.Remove(path))
	}
	select {
	case s.spare <- r:
		return nil
	default:
		return errors.Join(r.close(), os.Remove(path))
	}
}
