package ecc

// Limits of the ECC queue, with their sources.
const (
	// MaxPayload is the largest payload, in characters, that a MID Server sends:
	// the default of mid.eccq.max_payload_size (MID Server properties, product
	// documentation; KB0855595). Readers are used to nothing larger.
	MaxPayload = 20_000_000
	// MaxDiscoveryPayload is the same for the results of Discovery: the default
	// of mid.discovery.max_payload_size, in characters.
	MaxDiscoveryPayload = 5_000_000
	// MaxInline is the largest payload, in bytes, that goes into the column
	// itself. The column holds about 16 MB; the rest is left for what encloses it.
	MaxInline = 15_000_000
	// MaxName is the documented length of the column name, in characters (ECC
	// queue, product documentation). Longer values travel in the payload.
	MaxName = 120
	// SOAPAttachment is the payload size, in bytes, above which an instance's
	// SOAP interface moves the payload into an attachment: the default of
	// glide.soapprocessor.large_field_patch_max (KB0690210).
	SOAPAttachment = 512 << 10
)

// Characters returns the size of s in characters as an instance counts them:
// UTF-16 code units, so that a character outside the basic plane counts twice.
func Characters(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}
