package fault

// Kind says what sort of failure an error is. The set is closed.
type Kind uint8

// The kinds, from the most to the least specific blame.
const (
	// Internal is a defect of Sallyport itself, and the kind of every error
	// that carries none.
	Internal Kind = iota
	// Invalid is bad input: configuration, parameters, a malformed message.
	// Trying again cannot help.
	Invalid
	// Denied is a refusal: by the local policy, by credentials or by access
	// rules of the other side. Trying again cannot help until someone acts.
	Denied
	// Unavailable is a passing inability of something outside: a network, a
	// full disk, an overloaded instance. Trying again later can help.
	Unavailable
	// Conflict is a state of the world that does not admit the operation: the
	// object exists already, is locked, was changed by another.
	Conflict
	// Timeout is a bound on time that was reached.
	Timeout
	// Canceled is a deliberate end: by an operator, the instance or a stop.
	Canceled
	// Unknown means that the operation may or may not have had its effect.
	Unknown
)

var kindNames = [...]string{ //nolint:gochecknoglobals // a constant table
	Internal: "internal", Invalid: "invalid", Denied: "denied", Unavailable: "unavailable",
	Conflict: "conflict", Timeout: "timeout", Canceled: "canceled", Unknown: "unknown",
}

// String returns the name of the kind as it is used in logs, reports and JSON.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[Internal]
}

// ParseKind returns the kind with that name, and Internal for any other text.
func ParseKind(name string) Kind {
	for k, n := range kindNames {
		if n == name {
			return Kind(k)
		}
	}
	return Internal
}
