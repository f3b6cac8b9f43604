package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

// Instance is what the checks ask; *servicenow.Client is one.
type Instance interface {
	Host() string
	ProxyURL() (string, error)
	CheckDNS(ctx context.Context) (host string, addrs []string, err error)
	CheckConnect(ctx context.Context) (time.Duration, error)
	CheckTLS(ctx context.Context) (servicenow.TLSReport, error)
	CheckClock(ctx context.Context) (time.Duration, error)
	CheckLogin(ctx context.Context) (servicenow.User, error)
	CheckQueue(ctx context.Context, agent string, write bool) servicenow.QueueRights
	Table
}

// Table is the Table API as the checks use it.
type Table interface {
	List(ctx context.Context, table string, q servicenow.Query) (servicenow.Page, error)
	Get(ctx context.Context, table, sysID string, fields ...string) (servicenow.Record, error)
	Insert(ctx context.Context, table string, rec servicenow.Record, fields ...string) (servicenow.Record, error)
	Update(ctx context.Context, table, sysID string, rec servicenow.Record, fields ...string) (servicenow.Record, error)
	Delete(ctx context.Context, table, sysID string) error
}

// Options is what the checks of one instance need to know.
type Options struct {
	Name  string // of the instance in the configuration
	Agent string // the ECC queue agent that is served: "mid.server.edge1"
	Mode  string // "native" or "mid"
	Claim string // "auto", "insert" or "update"
	Basic bool   // the login is by user and password
	// NoWrite leaves out what would write to the instance.
	NoWrite bool
	// Running reports that this agent runs now, so that an Up agent of its name
	// is itself.
	Running bool
	Now     func() time.Time
}

const (
	clockWarn = 30 * time.Second
	clockFail = 5 * time.Minute
	certWarn  = 21 * 24 * time.Hour
)

// InstanceChecks returns the checks of one instance, from the network up.
func InstanceChecks(in Instance, o Options) []Check {
	p := &patient{in: in, o: o}
	list := []Check{
		{Name: "dns", Run: p.dns},
		{Name: "proxy", Needs: []string{"dns"}, Run: p.proxy},
		{Name: "tls", Needs: []string{"proxy"}, Run: p.tls},
		{Name: "clock", Needs: []string{"tls"}, Run: p.clock},
		{Name: "login", Needs: []string{"tls"}, Run: p.login},
		{Name: "user-type", Needs: []string{"login"}, Run: p.userType},
		{Name: "roles", Needs: []string{"login"}, Run: p.roles},
		{Name: "ecc-read", Needs: []string{"login"}, Run: p.read},
		{Name: "ecc-insert", Needs: []string{"login"}, Run: p.insert},
		{Name: "claim", Needs: []string{"ecc-read", "ecc-insert"}, Run: p.claim},
		{Name: "duplicate-name", Needs: []string{"login"}, Run: p.duplicate},
	}
	for i := range list {
		list[i].Subject = o.Name
	}
	return list
}

// patient is one instance under examination. What one check learns, later ones
// use; they run one after the other.
type patient struct {
	in     Instance
	o      Options
	user   servicenow.User
	known  bool // user was read
	rights servicenow.QueueRights
}

func (p *patient) dns(ctx context.Context) Answer {
	host, addrs, err := p.in.CheckDNS(ctx)
	if err != nil {
		return failed(err, "check the name and the DNS servers of this machine")
	}
	return ok("%s is %s", host, strings.Join(addrs[:min(3, len(addrs))], ", "))
}

func (p *patient) proxy(ctx context.Context) Answer {
	proxy, err := p.in.ProxyURL()
	if err != nil {
		return failed(err, "correct [instance.proxy], or HTTPS_PROXY of the environment")
	}
	took, err := p.in.CheckConnect(ctx)
	if err != nil {
		return failed(err, "let this machine reach the instance on port 443, or set [instance.proxy]")
	}
	if proxy == "" {
		return ok("connected directly in %d ms", took.Milliseconds())
	}
	return ok("connected through %s in %d ms", proxy, took.Milliseconds())
}

func (p *patient) tls(ctx context.Context) Answer {
	r, err := p.in.CheckTLS(ctx)
	if err != nil {
		return failed(err, "let TLS 1.2 or newer pass between here and the instance")
	}
	var chain []string
	for _, c := range r.Chain {
		chain = append(chain, c.Subject)
	}
	shown := strings.Join(chain, " < ")
	if r.Trusted != nil {
		a := failed(r.Trusted, "where a proxy inspects TLS, add its authority to tls.ca_files")
		a.Why += "; the server showed " + shown
		return a
	}
	if len(r.Chain) == 0 {
		return ok("%s", r.Version)
	}
	leaf, root := r.Chain[0], r.Chain[len(r.Chain)-1]
	text := fmt.Sprintf("%s, %s, issued by %s, valid until %s", r.Version, leaf.Subject, root.Issuer, leaf.NotAfter.Format(time.DateOnly))
	if left := leaf.NotAfter.Sub(p.o.Now()); left < certWarn {
		return Answer{Warn, text + fmt.Sprintf(", %d days from now", int(left.Hours()/24)), "have the certificate renewed by whoever runs the server or the TLS inspection"}
	}
	return ok("%s", text)
}

func (p *patient) clock(ctx context.Context) Answer {
	skew, err := p.in.CheckClock(ctx)
	if err != nil {
		return failed(err, "compare the clocks by hand")
	}
	text := fmt.Sprintf("this clock and the instance's differ by %s", skew.Abs().Round(time.Second))
	const remedy = "let this machine set its clock by NTP"
	switch {
	case skew.Abs() >= clockFail:
		return Answer{Fail, text, remedy}
	case skew.Abs() >= clockWarn:
		return Answer{Warn, text, remedy}
	default:
		return ok("%s", text)
	}
}

func (p *patient) login(ctx context.Context) Answer {
	u, err := p.in.CheckLogin(ctx)
	switch {
	case err == nil:
		p.user, p.known = u, true
		return ok("logged in as %s", u.Name)
	case errors.Is(err, servicenow.ErrForbidden) || errors.Is(err, servicenow.ErrNotFound):
		a := failed(err, "let the user read its own sys_user record")
		a.Result = Warn // the login itself works
		return a
	default:
		return failed(err, "check user and secret of the instance; a user who may log in interactively can be refused Basic")
	}
}

func (p *patient) userType(context.Context) Answer {
	if !p.known {
		return skip("the user's own record cannot be read")
	}
	u := p.user
	switch {
	case u.LockedOut || !u.Active:
		return Answer{Fail, u.Name + " is locked out or not active", "unlock and activate the user on the instance"}
	case !u.WebServiceOnly && p.o.Basic:
		return Answer{Warn, u.Name + " may log in interactively; instances can refuse such users Basic authentication", "set Web service access only and Internal Integration User on the user"}
	case !u.WebServiceOnly:
		return Answer{Warn, u.Name + " may log in interactively", "set Web service access only and Internal Integration User on the user"}
	case !u.Internal:
		return ok("%s is web service only (not marked as internal integration user)", u.Name)
	default:
		return ok("%s is an internal integration user with web service access only", u.Name)
	}
}

func (p *patient) roles(context.Context) Answer {
	if !p.known {
		return skip("the user's own record cannot be read")
	}
	u := p.user
	switch {
	case u.RolesErr != nil:
		return skip("the roles cannot be read: " + u.RolesErr.Error())
	case slices.Contains(u.Roles, "admin"):
		return Answer{Warn, u.Name + " has the role admin, far more than an agent needs", "give the user mid_server instead of admin"}
	case !slices.Contains(u.Roles, "mid_server"):
		return Answer{Warn, u.Name + " does not have the role mid_server; rights on ecc_queue must come from elsewhere", "give the user the role mid_server, or a role of your own with read and create on ecc_queue"}
	default:
		return ok("%s has mid_server among %d roles", u.Name, len(u.Roles))
	}
}

// Broken is the one check of an instance that no client can be made for.
func Broken(name string, err error) Check {
	return Check{Name: "client", Subject: name, Run: func(context.Context) Answer {
		return failed(err, "run `sallyport config check`")
	}}
}
