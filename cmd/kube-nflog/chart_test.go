//go:build linux

package main

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/kube-nflog/kube-nflog/policy/dialect"
)

// TestChartFlags compares the schema of the Helm chart's value "flags" with the flags of
// run. The difference shows what to put into the schema.
func TestChartFlags(t *testing.T) {
	var schema struct {
		Properties struct {
			Flags struct {
				AdditionalProperties bool
				Properties           map[string]map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(readDoc(t, "deploy/helm/kube-nflog/values.schema.json")), &schema); err != nil {
		t.Fatal(err)
	}
	if schema.Properties.Flags.AdditionalProperties {
		t.Error("a mistyped flag is no error")
	}
	want := map[string]map[string]any{}
	var o options
	flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
	o.define(flags)
	flags.VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "listen", "node-name", "kubeconfig", "kube-api-server": // set by the chart, or not needed in a cluster
		default:
			want[f.Name] = schemaOf(t, f)
		}
	})
	if diff := cmp.Diff(want, schema.Properties.Flags.Properties); diff != "" {
		t.Errorf("values.schema.json, -want +got:\n%s", diff)
	}
}

// schemaOf returns the JSON schema of a flag's value.
func schemaOf(t *testing.T, f *pflag.Flag) map[string]any {
	t.Helper()
	s := map[string]any{"description": f.Usage}
	list := func(item map[string]any) { s["type"], s["items"] = "array", item }
	switch f.Value.Type() {
	case "string":
		s["type"], s["default"] = "string", f.DefValue
		if values := map[string][]string{
			"dialect": dialect.Names(), "pod-identifier": podIdentifiers(), "pod-scope": {scopeCluster, scopeNode},
			"output": {outputNone, outputJSON}, "log-format": {"text", "json"}, "log-level": {"debug", "info", "warn", "error"},
		}[f.Name]; values != nil {
			s["enum"] = anySlice(values)
		}
	case "duration":
		s["type"], s["default"] = "string", f.DefValue
		s["pattern"] = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
		if f.Name == "flow-window" { // approximate bounds, so that helm refuses 10ms and 1h; run checks the exact ones
			s["pattern"] = `^([1-9][0-9]{2,4}ms|0?\.[1-9][0-9]*s|([1-9]|[1-5][0-9]|60)(\.[0-9]+)?s|1m(0s)?)$`
		}
	case "bool":
		s["type"], s["default"] = "boolean", f.DefValue == "true"
	case "int":
		s["type"], s["default"] = "integer", number(t, f)
	case "float64":
		// helm's --set makes a string of a number that is not an integer.
		s["type"], s["default"] = []any{"number", "string"}, number(t, f)
		s["pattern"] = `^[0-9]*\.?[0-9]+$`
	case "uintSlice":
		list(map[string]any{"type": "integer", "minimum": 0.0})
	case "stringArray", "stringSlice":
		list(map[string]any{"type": "string"})
	default:
		t.Fatalf("--%s: what is %s in JSON?", f.Name, f.Value.Type())
	}
	return s
}

func anySlice(values []string) (all []any) {
	for _, v := range values {
		all = append(all, v)
	}
	return all
}

func number(t *testing.T, f *pflag.Flag) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(f.DefValue, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
