package ecc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/sallyport-agent/sallyport/agent/fault"
)

// encodeVersion is the first byte of an encoded message. What follows are pairs
// of column and value, each a length (unsigned varint) and that many bytes.
// Columns that a later version adds need no new number.
const encodeVersion = 1

// Encode returns the durable form of a message. Every byte of every text is
// kept, valid UTF-8 or not; times keep their seconds.
func Encode(m Message) []byte {
	b := make([]byte, 1, 512+len(m.Payload)+len(m.Name))
	b[0] = encodeVersion
	for _, column := range [...]string{
		"sys_id", "agent", "topic", "name", "source", "queue", "state", "sequence", "payload", "response_to",
		"agent_correlator", "from_host", "from_sys_id", "error_string", "processed", "signature",
		"sys_created_by", "sys_updated_by", "sys_domain", "sys_domain_path",
	} {
		b = appendPair(b, column, *m.text(column))
	}
	b = appendPair(b, "priority", strconv.Itoa(m.Priority))
	b = appendPair(b, "sys_mod_count", strconv.FormatInt(m.ModCount, 10))
	b = appendPair(b, "sys_created_on", formatTime(m.Created))
	b = appendPair(b, "sys_updated_on", formatTime(m.Updated))
	for _, column := range slices.Sorted(maps.Keys(m.Extra)) {
		b = appendText(appendText(b, column), m.Extra[column])
	}
	return b
}

func appendPair(b []byte, column, value string) []byte {
	if value == "" {
		return b
	}
	return appendText(appendText(b, column), value)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Decode returns the message that was encoded. Bytes that Encode did not write
// give a [fault.Internal].
func Decode(data []byte) (Message, error) {
	if len(data) == 0 || data[0] != encodeVersion {
		return Message{}, undecodable(errors.New("it is empty or of a later version"))
	}
	m := Message{Priority: PriorityStandard}
	rest := string(data[1:]) // one copy, of which all texts are parts
	for rest != "" {
		column, after, ok := cutText(rest)
		if !ok {
			return m, undecodable(errors.New("it is cut short"))
		}
		value, after, ok := cutText(after)
		if !ok {
			return m, undecodable(fmt.Errorf("it is cut short at %.40q", column))
		}
		if err := m.set(column, value); err != nil {
			return m, undecodable(fmt.Errorf("column %s: %w", column, err))
		}
		rest = after
	}
	return m, nil
}

func undecodable(cause error) error {
	return fault.New(fault.Internal, "decode ECC message", "", cause).
		WithHint("read the record on the instance; what its job did must be checked by hand")
}

// cutText cuts one length-prefixed text off the front of s.
func cutText(s string) (text, rest string, ok bool) {
	size, shift := uint64(0), 0
	for i := 0; i < len(s) && i < binary.MaxVarintLen64; i++ {
		size |= uint64(s[i]&0x7F) << shift
		shift += 7
		if s[i] >= 0x80 {
			continue
		}
		if s = s[i+1:]; size > uint64(len(s)) {
			return "", "", false
		}
		return s[:size], s[size:], true
	}
	return "", "", false
}
