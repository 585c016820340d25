package siteagent

import _ "embed"

// Example is a complete configuration file with every default.
//
//go:embed site-agent.example.yaml
var Example []byte
