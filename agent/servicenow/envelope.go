package servicenow

// envelope is an answer of a REST API of an instance:
// {"result": ...} or {"error":{"message":...,"detail":...},"status":"failure"}.
// A canceled long query has both, under status 200.
type envelope struct {
	records []Record
	failed  bool // a top-level error, or status "failure"
	message string
	detail  string
}

// parseEnvelope reads an answer. maxRecords bounds the rows that are kept; more
// are an error, because nobody asked for them.
func parseEnvelope(body []byte, maxRecords int) (envelope, error) {
	var e envelope
	s := newScanner(body)
	err := s.object(func(key string) error {
		switch key {
		case "result":
			return s.result(&e, maxRecords)
		case "error":
			return s.failure(&e)
		case "status":
			t, err := s.scalar()
			e.failed = e.failed || t == "failure"
			return err
		default:
			return s.skip()
		}
	})
	if err == nil {
		err = s.end()
	}
	return e, err
}

func (s *scanner) result(e *envelope, maxRecords int) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	switch c {
	case '[':
		return s.array(func() error {
			if len(e.records) >= maxRecords {
				return errJSONSize
			}
			r, err := s.record()
			e.records = append(e.records, r)
			return err
		})
	case '{':
		r, err := s.record()
		e.records = append(e.records, r)
		return err
	default:
		return s.skip()
	}
}

// record reads one row and flattens its references.
func (s *scanner) record() (Record, error) {
	r := make(Record, 16)
	err := s.object(func(key string) error {
		v, err := s.value()
		r[key] = v
		return err
	})
	return r, err
}

// value reads a column: a scalar, or a reference {"link":..,"value":..}, of which
// value is taken, or display_value where there is no value.
func (s *scanner) value() (string, error) {
	c, err := s.peek()
	if err != nil {
		return "", err
	}
	switch c {
	case '{':
		var value, display string
		has := false
		err := s.object(func(key string) error {
			var err error
			switch key {
			case "value":
				has = true
				value, err = s.scalar()
			case "display_value":
				display, err = s.scalar()
			default:
				err = s.skip()
			}
			return err
		})
		if !has {
			value = display
		}
		return value, err
	default:
		return s.scalar()
	}
}

// scalar reads a value as text; an object or an array is dropped and gives "".
func (s *scanner) scalar() (string, error) {
	c, err := s.peek()
	if err != nil {
		return "", err
	}
	if c == '{' || c == '[' {
		return "", s.skip()
	}
	return s.text()
}

// failure reads the value of "error": the documented object, or the text that the
// OAuth endpoint and some gateways put there.
func (s *scanner) failure(e *envelope) error {
	c, err := s.peek()
	if err != nil {
		return err
	}
	if c == 'n' {
		return s.skip() // null is no error
	}
	e.failed = true
	if c != '{' {
		e.message, err = s.scalar()
		return err
	}
	return s.object(func(key string) error {
		var err error
		switch key {
		case "message":
			e.message, err = s.scalar()
		case "detail":
			e.detail, err = s.scalar()
		default:
			err = s.skip()
		}
		return err
	})
}
