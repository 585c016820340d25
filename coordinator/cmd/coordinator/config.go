package main

import (
	"errors"
	"net"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/consilium-fl/consilium/internal/settings"
)

// config is what the file says.
type config struct {
	dir            string
	listen         string
	webListen      string // empty: no pages
	certificateTTL time.Duration
	logLevel       zapcore.Level
}

func defaults() config {
	return config{dir: "state", listen: "0.0.0.0:7443", certificateTTL: 24 * time.Hour, logLevel: zapcore.InfoLevel}
}

// off is what the file says of something that is not served.
const off = "off"

// keys of the file.
func (c *config) keys() settings.Keys {
	return settings.Keys{
		"dir": settings.Text(&c.dir),
		"listen": {Read: func(text string) error {
			if _, _, err := net.SplitHostPort(text); err != nil {
				return errors.New("it is not host:port")
			}
			c.listen = text
			return nil
		}},
		"web_listen": {Read: func(text string) error {
			c.webListen = text
			if _, _, err := net.SplitHostPort(text); err != nil && text != off {
				return errors.New("it is neither host:port nor " + off)
			}
			if text == off {
				c.webListen = ""
			}
			return nil
		}},
		"certificate_ttl": {Read: func(text string) error {
			ttl, err := time.ParseDuration(text)
			if err != nil || ttl < 10*time.Minute {
				return errors.New("it is not a duration of at least 10m, such as 24h")
			}
			c.certificateTTL = ttl
			return nil
		}},
		"log_level": settings.LogLevel(&c.logLevel),
	}
}

// readConfig reads a configuration file. What it leaves out has the default of
// the example. A relative dir starts at the file's folder.
func readConfig(path string) (config, error) {
	c := defaults()
	err := settings.ReadFile(path, "coordinator", c.keys())
	settings.Relative(path, &c.dir)
	return c, err
}
