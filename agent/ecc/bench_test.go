package ecc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport-agent/sallyport/agent/ecc"
)

const benchPayload = `<?xml version="1.0" encoding="UTF-8"?><parameters><parameter name="name" value="dir C:\ &amp; echo ok"/>` +
	`<parameter name="skip_sensor" value="true"/><parameter name="agent_correlator" value="7f00"/><parameter name="jdbc_password" value="hunter22"/></parameters>`

func BenchmarkParsePayload(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ecc.ParsePayload(benchPayload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResult(b *testing.B) {
	for name, payload := range map[string]string{"secret": benchPayload, "plain": strings.ReplaceAll(benchPayload, "jdbc_password", "own")} {
		b.Run(name, func(b *testing.B) {
			p, err := ecc.ParsePayload(payload)
			if err != nil {
				b.Fatal(err)
			}
			r := ecc.Result{
				ProbeTime: time.Second, Echo: &ecc.Echo{Message: fullMessage(), Payload: p},
				Items: []ecc.ResultElement{ecc.CommandItem("whoami", strings.Repeat("some line of output\r\n", 10), "", 0)},
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Marshal(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeDecode(b *testing.B) {
	m := fullMessage()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ecc.Decode(ecc.Encode(m)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEffective(b *testing.B) {
	m := fullMessage()
	p, err := ecc.ParsePayload(benchPayload)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ecc.Effective(m, p).Len() == 0 {
			b.Fatal("no parameters")
		}
	}
}

func BenchmarkFromRecord(b *testing.B) {
	record := fullRecord()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ecc.FromRecord(record); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseLarge(b *testing.B) {
	s := "<p><parameter name='x'>" + strings.Repeat("some &lt;text&gt; of a large payload\n", 1<<15) + "</parameter></p>"
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ecc.ParsePayload(s); err != nil {
			b.Fatal(err)
		}
	}
}
