package runner

import (
	"context"
	"net"
	"time"
)

// touch lets housekeeping look whether the runner is idle.
func (s *server) touch() {
	select {
	case s.idle <- struct{}{}:
	default:
	}
}

// housekeeping reaps orphans, sweeps what nobody needs any more and ends the
// runner when it was idle for long enough.
func (s *server) housekeeping(ctx context.Context) {
	sweep := time.NewTicker(min(sweepEvery, s.opts.Keep))
	defer sweep.Stop()
	orphans, forget := s.host.orphans()
	defer forget()
	quiet := time.NewTimer(s.quietTime())
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-orphans:
			s.host.reapOrphans()
		case <-sweep.C:
			s.sweep(time.Now().Add(-s.opts.Keep))
		case <-s.idle:
			quiet.Reset(s.quietTime())
		case <-quiet.C:
			if s.stopIfIdle() {
				s.log.Info("runner idle", "for", s.opts.IdleExit)
				return
			}
			quiet.Reset(s.quietTime())
		}
	}
}

func (s *server) quietTime() time.Duration {
	if s.opts.IdleExit > 0 {
		return s.opts.IdleExit
	}
	return time.Hour
}

// stopIfIdle ends a forked runner that has no job and no client.
func (s *server) stopIfIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.IdleExit == 0 || s.running > 0 || len(s.conns) > 0 {
		return false
	}
	s.stopping = true
	s.shutdown()
	return true
}

// stopOnRequest ends a forked runner that has no job, as its agent asks when it
// ends itself.
func (s *server) stopOnRequest() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opts.IdleExit == 0 || s.running > 0 {
		return false
	}
	s.stopping = true
	s.shutdown()
	return true
}

// stop ends the listener, lets the jobs end (their context has ended) and then
// the connections, so that those who wait get their answers.
func (s *server) stop(listener net.Listener) {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	_ = listener.Close()
	for _, j := range s.all() {
		<-j.done
	}
	t := time.NewTimer(time.Second)
	defer t.Stop()
	ended := make(chan struct{})
	go func() {
		s.work.Wait()
		close(ended)
	}()
	s.mu.Lock()
	for c := range s.conns {
		// Requests under way are still answered; nobody can send another.
		_ = c.SetReadDeadline(time.Now())
	}
	s.mu.Unlock()
	select {
	case <-ended:
	case <-t.C:
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	<-ended
}

func (s *server) all() []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*job, 0, len(s.jobs))
	for _, j := range s.jobs {
		list = append(list, j)
	}
	return list
}

// keepUnclaimed is how long the end of a job waits for somebody to ask for it:
// as long as an agent remembers what it delivered.
const keepUnclaimed = 90 * 24 * time.Hour

// sweep removes the marks of jobs that were forgotten, and fences that were
// made, before a time, and what nobody asked for in all of keepUnclaimed.
func (s *server) sweep(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, j := range s.jobs {
		j.mu.Lock()
		old := j.state == Forgotten && j.changed.Before(before) ||
			j.state != Running && j.changed.Before(before.Add(-keepUnclaimed))
		j.mu.Unlock()
		if old {
			delete(s.jobs, key)
			s.store.remove(key, j.attempt)
		}
	}
	for key, at := range s.fencedAt {
		if at.Before(before) && s.jobs[key] == nil {
			s.store.remove(key, s.fences[key])
			delete(s.fences, key)
			delete(s.fencedAt, key)
		}
	}
}
