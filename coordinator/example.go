package coordinator

import _ "embed"

// ExampleConfig is the complete, commented configuration file of the server.
//
//go:embed coordinator.example.yaml
var ExampleConfig string
