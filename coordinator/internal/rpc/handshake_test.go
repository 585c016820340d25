package rpc_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/consilium-fl/consilium/coordinator"
	"github.com/consilium-fl/consilium/coordinator/internal/rehearsal"
	"github.com/consilium-fl/consilium/crypto/identity"
	consiliumv1 "github.com/consilium-fl/consilium/proto/consilium/v1"
)

func TestARemovedMemberThatKnocksIsRecorded(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	c := rehearsal.New(t)
	c.Start(coordinator.Options{Logger: zap.New(core)})
	c.Enrol(identity.RoleAuditor, "Ada")
	c.Remove("Ada")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn := c.Dial(shows(c.Node("Ada"), c.Clock))
	if _, err := consiliumv1.NewLedgerServiceClient(conn).Checkpoint(ctx, &consiliumv1.CheckpointRequest{}); err == nil {
		t.Fatal("a removed member was answered")
	}
	// The coordinator may write its line after the member heard.
	for ctx.Err() == nil && logs.FilterMessage("connection refused").Len() == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if logs.FilterMessage("connection refused").Len() == 0 {
		t.Errorf("nothing was recorded: %v", logs.All())
	}
}
