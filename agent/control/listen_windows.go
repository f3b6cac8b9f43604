package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/Microsoft/go-winio"
	"golang.org/x/sys/windows"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// Path returns where the local API of the agent with this state folder is: a
// pipe whose name holds a hash of the folder's path.
func Path(stateDir string) string {
	if abs, err := filepath.Abs(stateDir); err == nil {
		stateDir = abs
	}
	sum := sha256.Sum256([]byte(strings.ToLower(filepath.Clean(stateDir))))
	return `\\.\pipe\sallyport-` + hex.EncodeToString(sum[:8])
}

// listen creates the pipe. The name must be free: a pipe that someone else made
// first is refused by the system.
func listen(_ context.Context, path, group string, _ *slog.Logger) (net.Listener, error) {
	sddl, err := descriptor(group)
	if err != nil {
		return nil, err
	}
	l, err := winio.ListenPipe(path, &winio.PipeConfig{SecurityDescriptor: sddl, InputBufferSize: 64 << 10, OutputBufferSize: 64 << 10})
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) || errors.Is(err, windows.ERROR_PIPE_BUSY) {
		return nil, fault.New(fault.Conflict, "listen on", path, fmt.Errorf("the pipe is taken: %w", err)).
			WithHint("stop the other agent first, or give this one a state_dir of its own")
	}
	return l, err
}

// descriptor lets SYSTEM, Administrators and the agent's own account do all, the
// group read and write, and refuses logins from the network.
func descriptor(group string) (string, error) {
	own, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return "", err
	}
	sddl := "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;GA;;;" + own.User.Sid.String() + ")"
	if group == "" {
		return sddl, nil
	}
	sid, _, _, err := windows.LookupSID("", group)
	if err != nil {
		return "", fault.New(fault.Invalid, "look up group", group, err).
			WithHint("create the group, or change the control group of the configuration")
	}
	return fmt.Sprintf("%s(A;;0x%x;;;%s)", sddl, clientRights, sid), nil
}

// clientRights is what a caller needs: to read and to write, but not, as the
// generic right to write would have it, to create another instance of the pipe
// and answer in the agent's place (source: "Named Pipe Security and Access
// Rights" of the Windows documentation).
const clientRights = windows.FILE_GENERIC_READ | windows.FILE_WRITE_DATA | windows.FILE_WRITE_ATTRIBUTES | windows.FILE_WRITE_EA

func dial(ctx context.Context, path string) (net.Conn, error) {
	// The agent may learn who calls, but not act for him.
	return winio.DialPipeAccessImpLevel(ctx, path, clientRights, winio.PipeImpLevelIdentification)
}

// identify looks at the token behind a connection.
func identify(conn net.Conn) (peer, error) {
	pipe, ok := conn.(interface{ Fd() uintptr })
	if !ok {
		return peer{}, errors.New("not a named pipe")
	}
	token, err := clientToken(windows.Handle(pipe.Fd()))
	if err != nil {
		return peer{}, err
	}
	defer token.Close() //nolint:errcheck // nothing is lost with it
	tu, err := token.GetTokenUser()
	if err != nil {
		return peer{}, err
	}
	p := peer{account: tu.User.Sid.String()}
	if name, domain, _, err := tu.User.Sid.LookupAccount(""); err == nil {
		p.account = domain + `\` + name
	}
	p.admin, err = mayChange(token, tu.User.Sid)
	return p, err
}

// mayChange reports whether the token is SYSTEM's, the agent's own account's, or
// has the Administrators group enabled, as only an elevated one has.
func mayChange(token windows.Token, sid *windows.SID) (bool, error) {
	own, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return false, err
	}
	if sid.Equals(own.User.Sid) || sid.IsWellKnown(windows.WinLocalSystemSid) {
		return true, nil
	}
	admins, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return false, err
	}
	return token.IsMember(admins)
}

// clientToken returns the token of the process at the other end. Impersonation
// belongs to a thread; one that cannot be taken back must not be used again.
func clientToken(pipe windows.Handle) (windows.Token, error) {
	type answer struct {
		token windows.Token
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		runtime.LockOSThread()
		token, clean, err := impersonated(pipe)
		if clean {
			runtime.UnlockOSThread() // otherwise the thread ends with this goroutine
		}
		done <- answer{token, err}
	}()
	a := <-done
	return a.token, a.err
}

func impersonated(pipe windows.Handle) (token windows.Token, clean bool, err error) {
	proc := windows.NewLazySystemDLL("advapi32.dll").NewProc("ImpersonateNamedPipeClient")
	if err := proc.Find(); err != nil {
		return 0, true, err
	}
	if ok, _, err := proc.Call(uintptr(pipe)); ok == 0 {
		return 0, true, fmt.Errorf("impersonate: %w", err)
	}
	err = windows.OpenThreadToken(windows.CurrentThread(), windows.TOKEN_QUERY, true, &token)
	if reverted := windows.RevertToSelf(); reverted != nil {
		return token, false, errors.Join(err, reverted)
	}
	return token, true, err
}
