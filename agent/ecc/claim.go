package ecc

import (
	"errors"
	"strconv"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// TopicProcessing is the topic of the input by which an agent tells the
// instance that it took outputs (KB0727132).
const TopicProcessing = "queue.processing"

// Claim is the state of one output as an agent tells it.
type Claim struct{ SysID, State string }

// ProcessingClaim returns the payload that tells the instance that these
// outputs are in a state (KB0727132):
//
//	<queue.processing output_message_count="1"><sys_id state="processing">…</sys_id></queue.processing>
func ProcessingClaim(sysIDs []string, state string) string {
	b := make([]byte, 0, 80+len(sysIDs)*(len(state)+64))
	b = append(b, "<queue.processing output_message_count=\""...)
	b = strconv.AppendInt(b, int64(len(sysIDs)), 10)
	b = append(b, "\">"...)
	for _, id := range sysIDs {
		b = append(b, "<sys_id state=\""...)
		b = appendEscaped(b, state, true)
		b = append(b, "\">"...)
		b = appendEscaped(b, id, false)
		b = append(b, "</sys_id>"...)
	}
	return string(append(b, "</queue.processing>"...))
}

// ParseProcessingClaim reads such a payload. Anything else, a count that does
// not fit, and what is no sys_id give a [fault.Invalid].
func ParseProcessingClaim(payload string) ([]Claim, error) {
	claims, err := parseClaim(payload)
	if err != nil {
		return nil, fault.New(fault.Invalid, "read the claim", "", err)
	}
	return claims, nil
}

func parseClaim(payload string) ([]Claim, error) {
	c, err := newScanner(payload, false)
	if err != nil {
		return nil, err
	}
	root, err := c.next()
	if err != nil {
		return nil, err
	}
	if root.name != TopicProcessing {
		return nil, c.fail(root.begin, "the root is <%.80s>, not <%s>", root.name, TopicProcessing)
	}
	count := attributeOf(root, "output_message_count")
	var claims []Claim
	for {
		t, err := c.next()
		switch {
		case err != nil:
			return nil, err
		case t.kind == tokenEnd:
			if count != "" && count != strconv.Itoa(len(claims)) {
				return nil, errors.New("it holds another number of sys_ids than it says")
			}
			return claims, nil
		case t.kind != tokenOpen:
			continue
		case t.name != "sys_id":
			return nil, c.fail(t.begin, "<%.80s> in a claim", t.name)
		}
		state := attributeOf(t, "state")
		in, err := c.content()
		if err != nil {
			return nil, err
		}
		id := strings.Trim(in.text, " \t\r\n")
		if in.elements || !ValidSysID(id) || state == "" {
			return nil, c.fail(t.begin, "a claim without a sys_id or without a state")
		}
		claims = append(claims, Claim{SysID: id, State: state})
	}
}

func attributeOf(t token, name string) string {
	for _, a := range t.attributes {
		if a.name == name {
			return unescapeAttribute(a.value)
		}
	}
	return ""
}
