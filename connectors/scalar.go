package connectors

import (
	"encoding/json"
	"strconv"
)

// scalar formats the values that decoding JSON or TOML can give.
func scalar(v any) string {
	switch n := v.(type) {
	case json.Number:
		return n.String()
	case float64:
		return strconv.FormatFloat(n, 'f', -1, 64)
	case int64:
		return strconv.FormatInt(n, 10)
	case int:
		return strconv.Itoa(n)
	default:
		return ""
	}
}
