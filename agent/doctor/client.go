package doctor

import (
	"log/slog"

	"github.com/sallyport-agent/sallyport/agent/config"
	"github.com/sallyport-agent/sallyport/agent/secret"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
	"github.com/sallyport-agent/sallyport/agent/servicenow/fromconfig"
)

// Client returns a client of an instance as the configuration describes it. It
// tries a read once only, so that a check tells what happened. The caller closes
// it.
func Client(c *config.Instance, version string, secrets *secret.Resolver, log *slog.Logger) (*servicenow.Client, error) {
	conf, err := fromconfig.Client(c, version, secrets, log)
	if err != nil {
		return nil, err
	}
	conf.Retries = -1
	return servicenow.New(conf)
}
