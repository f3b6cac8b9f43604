package fromconfig

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/secret"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
	"github.com/sallyport-agent/sallyport/agent/servicenow/revocation"
)

// Client returns the client's configuration for an instance. Files of
// authorities are read now and give fault.Invalid where they cannot be; secrets
// and the client certificate are read whenever they are needed, so that they can
// be renewed without a restart. version is told to the instance.
func Client(c *config.Instance, version string, secrets *secret.Resolver, log *slog.Logger) (servicenow.Config, error) {
	get := func(ref secret.Ref) servicenow.SecretFunc { return secretFunc(secrets, ref) }
	conf := servicenow.Config{
		URL: c.URL, UserAgent: "Sallyport/" + version, Log: log, NoBatch: c.API == "single",
		Proxy: servicenow.Proxy{
			URL: c.Proxy.URL, User: c.Proxy.Username, Auth: proxyLogin(c.Proxy.Auth), NoProxy: c.Proxy.NoProxy,
			Password: get(c.Proxy.Password),
		},
		TLS: servicenow.TLS{Revocation: revocation.Mode(c.TLS.Revocation)},
	}
	for _, file := range c.TLS.CAFiles {
		pem, err := os.ReadFile(file)
		if err != nil {
			return conf, fault.New(fault.Invalid, "read the authority", file, err).WithHint("correct tls.ca_files of instance " + c.Name)
		}
		conf.TLS.ExtraCA = append(append(conf.TLS.ExtraCA, pem...), '\n')
	}
	if c.MTLS.Cert != "" {
		conf.TLS.Certificate = func() (*tls.Certificate, error) { return certificate(c.MTLS, get(c.MTLS.Key)) }
	}
	if c.OAuth.ClientID == "" {
		if c.Username != "" {
			conf.Basic = &servicenow.Basic{Username: c.Username, Password: get(c.Password)}
		}
		return conf, nil
	}
	conf.OAuth = &servicenow.OAuth{ClientID: c.OAuth.ClientID, ClientSecret: get(c.OAuth.ClientSecret)}
	switch c.OAuth.Grant {
	case "password":
		conf.OAuth.Username, conf.OAuth.Password = c.Username, get(c.Password)
	case "refresh_token":
		conf.OAuth.RefreshToken = get(c.OAuth.RefreshToken)
	}
	return conf, nil
}

// secretFunc resolves a reference each time it is needed; nil for none.
func secretFunc(secrets *secret.Resolver, ref secret.Ref) servicenow.SecretFunc {
	if ref.IsZero() {
		return nil
	}
	return func() (string, error) {
		v, err := secrets.Resolve(context.Background(), ref)
		return v.Reveal(), err
	}
}

// proxyLogin turns the configuration's word for no login into the client's.
func proxyLogin(auth string) string {
	if auth == "none" {
		return ""
	}
	return auth
}

// certificate reads the client certificate and its key.
func certificate(c config.MTLS, key servicenow.SecretFunc) (*tls.Certificate, error) {
	invalid := func(err error) error {
		return fault.New(fault.Invalid, "read the client certificate", c.Cert, err).
			WithHint("check that mtls.cert and mtls.key are PEM and belong together")
	}
	cert, err := os.ReadFile(c.Cert)
	if err != nil {
		return nil, invalid(err)
	}
	secret, err := key()
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, []byte(secret))
	if err != nil {
		return nil, invalid(err)
	}
	return &pair, nil
}
