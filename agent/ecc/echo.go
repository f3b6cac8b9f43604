package ecc

// Echo is what a result repeats of its output: every field of the record and
// every parameter of the payload. Sensors read correlator, agent, source and
// their own values from it, and skip_sensor among it keeps the Discovery sensor
// away (KB0727028). Of secret parameters only the name is repeated; where their
// value stands in another parameter, and where one holds a password, a mask takes
// its place. Name and source, which readers compare, are masked for values of
// secret parameters only.
type Echo struct {
	Message Message // the output
	Payload Payload
	// Secrets are names of parameters that are secret beside those that
	// [Secret] knows.
	Secrets []string
	// MaxValue cuts longer values to so many bytes, with a mark, for a result
	// that must be small; 0 repeats every value whole.
	MaxValue int
}

// parameters writes the <parameters> element: first the parameters that the
// result adds, then the record's fields, in which the payload's values take the
// place of the record's, then the payload's parameters in their order. The
// parameter whose value stands in a field already is not repeated.
func (e *emitter) parameters(added []Attribute, echo *Echo) {
	e.raw("<parameters>")
	for _, a := range added {
		e.parameter(a.Name, a.Value)
	}
	if echo != nil {
		e.echo(echo)
	}
	e.raw("</parameters>")
}

func (e *emitter) echo(echo *Echo) {
	last := [len(echoed)]int{}
	for i, p := range echo.Payload.Parameters {
		if at := echoIndex(p.Name); at >= 0 && !fixed(p.Name) {
			last[at] = i + 1
		}
	}
	replacer := masker(SecretValues(echo.Payload, echo.Secrets...))
	show := func(name, value string) {
		if replacer != nil {
			value = replacer.Replace(value)
		}
		if echo.MaxValue > 0 && len(value) > echo.MaxValue {
			value = value[:wholeRunes(value, echo.MaxValue)] + "… (cut)"
		}
		e.parameter(name, value)
	}
	for at, column := range echoed {
		if last[at] > 0 {
			if p := echo.Payload.Parameters[last[at]-1]; !hidden(p, echo.Secrets) {
				show(column, p.Value)
			} else {
				e.parameter(column, "")
			}
			continue
		}
		value := echo.Message.echo(column)
		if fixed(column) {
			e.parameter(column, value)
		} else {
			show(column, value)
		}
	}
	for i, p := range echo.Payload.Parameters {
		at := echoIndex(p.Name)
		switch {
		case at >= 0 && last[at] == i+1: // it stands above
		case hidden(p, echo.Secrets):
			e.parameter(p.Name, "")
		case at >= 0:
			show(p.Name, p.Value)
		default:
			show(p.Name, maskInline(p.Value, nil))
		}
	}
}
