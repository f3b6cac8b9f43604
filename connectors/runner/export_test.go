package runner

// SetHook lets a test act at named points of a job's life.
func SetHook(o *Options, f func(point string)) { o.hook = f }

// FileKey and ParseRecord are tested by their properties.
var (
	FileKey     = fileKey
	ParseRecord = func(b []byte) (begun, ended bool) {
		r := parseRecord(b)
		return r.begun != nil, r.end != nil
	}
)
