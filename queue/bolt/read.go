package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"slices"

	bbolt "go.etcd.io/bbolt"

	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/queue"
)

// readable refuses a read that is canceled or comes after Close.
func (s *Store) readable(ctx context.Context, opName string) error {
	if s.writer.isClosed() {
		return closed(opName)
	}
	if err := context.Cause(ctx); err != nil {
		return fault.New(fault.Canceled, opName, "", err)
	}
	return nil
}

// load reads a job, open or final, by its seq.
func load(tx *bbolt.Tx, seq uint64) (j queue.Job, err error) {
	var r record
	err = loadOpen(tx, seq, &j, &r)
	if !errors.Is(err, errMissing) {
		return j, err
	}
	b := tx.Bucket([]byte(bktDone)).Get(seqKey(seq))
	if b == nil {
		return j, errMissing
	}
	if err := decodeDone(seq, b, &r, &j); err != nil {
		return j, err
	}
	j.Status = r.status
	return j, nil
}

// Get returns a job by id, final ones while they are remembered.
func (s *Store) Get(ctx context.Context, id queue.ID) (j queue.Job, err error) {
	if err := s.readable(ctx, "read job"); err != nil {
		return j, err
	}
	err = s.view("read job", func(tx *bbolt.Tx) error {
		seq, err := findSeq(tx.Bucket([]byte(bktIDs)), id)
		if err != nil {
			return err
		}
		if seq == 0 {
			return notFound("read job", id)
		}
		if j, err = load(tx, seq); err != nil {
			return brokenRecord("read job", string(id), err)
		}
		return nil
	})
	return j, err
}

// Known returns, by sys_id, the last run of those messages of an instance that
// the queue remembers. What is broken is left out.
func (s *Store) Known(ctx context.Context, instance string, sysIDs []string) (map[string]queue.Seen, error) {
	if err := s.readable(ctx, "look up messages"); err != nil {
		return nil, err
	}
	known := map[string]queue.Seen{}
	err := s.view("look up messages", func(tx *bbolt.Tx) error {
		ids := tx.Bucket([]byte(bktIDs))
		for _, sysID := range sysIDs {
			if sysID == "" || len(sysID) > 1024 || bytes.ContainsAny([]byte(sysID), "/#") {
				continue // no id that could have been put
			}
			_, seq, ok := lastRun(ids.Get(baseKey(instance, sysID)))
			if !ok {
				continue
			}
			j, err := load(tx, seq)
			if err != nil {
				continue
			}
			outcome := tx.Bucket([]byte(bktBodies)).Get(bodyKey(seq, queue.Outcome)) != nil
			known[sysID] = queue.Seen{Job: j, Outcome: outcome}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return known, nil
}

// Open returns a body. A job without that body gives queue.ErrNotFound; a body
// that cannot be unsealed gives queue.ErrBroken, at once or where it is read.
func (s *Store) Open(ctx context.Context, id queue.ID, part queue.Part) (io.ReadCloser, error) {
	for again := true; ; again = false {
		value, err := s.bodyValue(ctx, id, part)
		if err != nil {
			return nil, err
		}
		r, err := s.openBody(id, part, value)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, fs.ErrNotExist) && again:
			continue // it may have become final in between, and its body with it
		default:
			return nil, brokenRecord("read body", string(id), err)
		}
	}
}

func (s *Store) bodyValue(ctx context.Context, id queue.ID, part queue.Part) (value []byte, err error) {
	if err := s.readable(ctx, "read body"); err != nil {
		return nil, err
	}
	err = s.view("read body", func(tx *bbolt.Tx) error {
		seq, err := findSeq(tx.Bucket([]byte(bktIDs)), id)
		if err != nil {
			return err
		}
		if seq != 0 {
			value = slices.Clone(tx.Bucket([]byte(bktBodies)).Get(bodyKey(seq, part)))
		}
		if value == nil {
			return notFound("read body", id)
		}
		return nil
	})
	return value, err
}

func (s *Store) openBody(id queue.ID, part queue.Part, value []byte) (io.ReadCloser, error) {
	name, sealed, inFile := splitFile(value)
	if !inFile {
		sealed = value
	}
	head, body, err := s.seal.open(id, part, sealed)
	if err != nil {
		return nil, err
	}
	if !inFile {
		if head != headInline {
			return nil, errDecode
		}
		return io.NopCloser(bytes.NewReader(body)), nil
	}
	var ref fileRef
	if err := json.Unmarshal(body, &ref); err != nil || ref.Name != name || head != headFile {
		return nil, errDecode
	}
	r, err := s.files.open(name)
	if err != nil {
		return nil, err
	}
	return &bodyReader{r: r, id: id}, nil
}

// bodyReader gives what is wrong with a body file the name of its job.
type bodyReader struct {
	r  io.ReadCloser
	id queue.ID
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = brokenRecord("read body", string(b.id), err)
	}
	return n, err
}

func (b *bodyReader) Close() error { return b.r.Close() }
