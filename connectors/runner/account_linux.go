package runner

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// credential returns what a child needs to run as an account, nil for the
// runner's own.
func credential(account string) (*syscall.Credential, error) {
	if account == "" {
		return nil, nil //nolint:nilnil // no credential is what is asked for
	}
	u, err := user.Lookup(account)
	if err != nil {
		return nil, err
	}
	if u.Uid == strconv.Itoa(os.Geteuid()) {
		return nil, nil //nolint:nilnil // it is the runner's own
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("the runner is not root and cannot change its account")
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, id := range ids {
		g, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, err
		}
		c.Groups = append(c.Groups, uint32(g))
	}
	return c, nil
}
