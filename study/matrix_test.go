package study

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.yaml.in/yaml/v3"
)

// The canaries stand in the records as values that nothing else prints: as
// cells, as numbers, and as the numbers' bits.
var canaries = []string{"83.137", "211.731", "0x1.4c8", "0x1.a776", "NOTE-CANARY", "4054C8C4", "[8]float64"}

func private(t *testing.T) (*Matrix, *Builder) {
	t.Helper()
	src := strings.NewReplacer("[0, 10]", "[0, 1000]", "[0, 1]", "[0, 1000]").Replace(minimal)
	b, err := mustParse(t, src).NewBuilder([]string{"x", "y", "note"})
	if err != nil {
		t.Fatal(err)
	}
	b.Add([]string{"83.137", "211.731", "NOTE-CANARY"})
	b.Add([]string{"NOTE-CANARY", "211.731", "NOTE-CANARY"})
	if m := b.Matrix(); m.Rows() != 1 || m.Row(0)[1] != 83.137 || m.Outcome(0) != 211.731 {
		t.Fatal("the canaries are not in the matrix")
	}
	return b.Matrix(), b
}

// TestNoPrintableForm: whatever prints, logs or encodes a matrix or a builder,
// alone or inside something else, no number of a record comes out.
func TestNoPrintableForm(t *testing.T) {
	m, b := private(t)
	type carrier struct {
		Name    string
		Matrix  *Matrix
		Builder *Builder
		hidden  *Matrix
		value   Matrix
		builder Builder
	}
	inside := carrier{"inside", m, b, m, *m, *b}
	values := map[string]any{
		"matrix": m, "matrix value": *m, "builder": b, "builder value": *b,
		"struct": inside, "pointer to struct": &inside,
		"slice": []*Matrix{m}, "values": []Matrix{*m}, "map": map[string]*Matrix{"m": m}, "any": []any{m, *m, b, *b},
	}
	for name, v := range values {
		var out bytes.Buffer
		for _, verb := range "vdsqxXeEfFgGbcoOtUpTw" {
			for _, flags := range []string{"", "+", "#", " ", "0", "-", "+#", "12", ".3"} {
				fmt.Fprintf(&out, "%"+flags+string(verb)+"\n", v)
			}
		}
		fmt.Fprintln(&out, v)
		log.New(&out, "", 0).Print(v)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("seen", "value", v, slog.Group("group", "value", v))
		}
		logTo(&out, v)
		encoded, _ := json.Marshal(v)
		out.Write(encoded)
		encoded, _ = xml.Marshal(v)
		out.Write(encoded)
		encoded, _ = yaml.Marshal(v)
		out.Write(encoded)
		_ = gob.NewEncoder(&out).Encode(v)
		for _, canary := range canaries {
			if strings.Contains(out.String(), canary) {
				t.Errorf("%s: %s came out", name, canary)
			}
		}
	}
}

// logTo logs a value with zap in every way that takes any value.
func logTo(out *bytes.Buffer, v any) {
	sink := zapcore.AddSync(out)
	for _, encoder := range []zapcore.Encoder{
		zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
		zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
	} {
		logger := zap.New(zapcore.NewCore(encoder, sink, zapcore.DebugLevel))
		logger.Info("seen", zap.Any("any", v), zap.Reflect("reflect", v))
		logger.With(zap.Any("with", v)).Warn("seen")
		logger.Sugar().Infow("seen", "sugar", v)
		logger.Sugar().Infof("%v %+v %#v", v, v, v)
		logger.Sugar().Info(v)
	}
}

func TestRedactionIsVisible(t *testing.T) {
	m, b := private(t)
	for _, v := range []any{m, *m, b, *b} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%q"} {
			if got := fmt.Sprintf(format, v); got != redaction {
				t.Errorf(format+" of a %T is %s", v, v, got)
			}
		}
		if encoded, err := json.Marshal(v); err == nil {
			t.Errorf("JSON of a %T is %s", v, encoded)
		}
	}
	for _, s := range []fmt.Stringer{m, b} {
		if s.String() != redaction {
			t.Errorf("%T prints %s", s, s.String())
		}
	}
	if terms := m.Terms(); len(terms) != 2 || terms[1].Name != "x" {
		t.Errorf("the terms of a matrix are public and are %v", terms)
	}
	if m.GoString() != redaction || b.GoString() != redaction {
		t.Error("GoString is not the redaction")
	}
	if _, err := m.MarshalText(); err == nil {
		t.Error("a matrix has a text encoding")
	}
}

// A skip count never shows a cell, whatever stands in the cells.
func TestSkipsHoldNoCells(t *testing.T) {
	_, b := private(t)
	if out := fmt.Sprintf("%v %+v", b.Skipped(), b.SkippedByColumn()); strings.Contains(out, "CANARY") {
		t.Errorf("skips: %s", out)
	}
}
