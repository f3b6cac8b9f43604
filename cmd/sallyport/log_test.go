package main

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport-agent/sallyport/agent/config"
)

func TestTheLogGoesWhereTheConfigurationSays(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	h, closeLog := logHandler(config.Log{Level: "warn", Format: "text"}, &stderr)
	log := slog.New(h)
	log.Info("quiet")
	log.Warn("loud")
	if err := closeLog(); err != nil {
		t.Error(err)
	}
	if text := stderr.String(); strings.Contains(text, "quiet") || !strings.Contains(text, "msg=loud") {
		t.Errorf("%q", text)
	}

	file := filepath.Join(t.TempDir(), "agent.log")
	h, closeLog = logHandler(config.Log{Level: "debug", Format: "json", File: file}, &stderr)
	slog.New(h).Debug("told")
	if err := closeLog(); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var line struct{ Msg string }
	if err := json.Unmarshal(data, &line); err != nil || line.Msg != "told" {
		t.Errorf("%q: %v", data, err)
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o007 != 0 {
		t.Errorf("others may read it: %v", info.Mode())
	}
}
