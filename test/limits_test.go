package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kube-nflog/kube-nflog/test/framework/agent"
	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
	"github.com/kube-nflog/kube-nflog/test/framework/system"
)

// TestLimits checks that the agent knows which rules of the node have a limit, for each tool
// that writes rules, and that it notices a new rule while it runs.
func TestLimits(t *testing.T) {
	const nflog = "-j NFLOG --nflog-group 100 --nflog-prefix"
	const limit = "-m limit --limit 10/minute --limit-burst 10"
	nftRule := func(s *scene, rest string) []string {
		return []string{"nft", "add table inet deny\n" +
			"add chain inet deny forward { type filter hook forward priority 0; }\n" +
			"add rule inet deny forward ip daddr " + s.server.v4.String() + " " + rest}
	}
	table := func(tool string) func(*scene, bool) []string {
		return func(s *scene, limited bool) []string {
			rule := tool + " -A FORWARD -d " + s.server.v4.String()
			if limited {
				rule += " " + limit
			}
			return strings.Fields(rule + " " + nflog + " deny")
		}
	}
	for _, tt := range []struct {
		name string
		tool string
		rule func(s *scene, limited bool) []string
	}{
		{"iptables-nft", "iptables-nft", table("iptables-nft")},
		{"iptables-legacy", "iptables-legacy", table("iptables-legacy")},
		{"nftables", "nft", func(s *scene, limited bool) []string {
			if limited {
				return nftRule(s, `limit rate 10/minute burst 10 packets log prefix "deny" group 100`)
			}
			return nftRule(s, `log prefix "deny" group 100`)
		}},
		{"nftables, a chain with a limit", "nft", func(s *scene, limited bool) []string {
			command := nftRule(s, "jump logging")
			if limited {
				command = nftRule(s, "limit rate 10/minute jump logging")
			}
			command[1] = "add table inet deny\nadd chain inet deny logging\n" + command[1] + "\n" +
				"flush chain inet deny logging\nadd rule inet deny logging log prefix \"deny\" group 100"
			return command
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			system.Need(t, tt.tool)
			s := newScene(t)
			s.run(t, tt.rule(s, false)...)
			a := s.startReady(t, agent.Config{Args: []string{"--output", "json", "--flow-window", "100ms"}})
			port, sent := uint16(8000), 0
			send := func() *agent.Line {
				port++
				p := netlab.Packet{Source: s.client.v4, Destination: s.server.v4, Protocol: netlab.TCP, DestinationPort: port}
				system.Must(t, s.client.Send(p, 1))
				sent++
				s.awaitMetric(t, a, float64(sent), "kube_nflog_drops_total")
				var found *agent.Line
				s.await(t, func() error {
					lines, err := a.Lines()
					if err != nil {
						return err
					}
					for i := range lines {
						if lines[i].Destination.Port == port {
							found = &lines[i]
							return nil
						}
					}
					return fmt.Errorf("no line of port %d", port)
				})
				return found
			}
			if send().PacketsAtLeast {
				t.Error("a rule without a limit is said to have one")
			}
			s.run(t, tt.rule(s, true)...)
			s.await(t, func() error {
				if !send().PacketsAtLeast {
					return fmt.Errorf("%d packets after the rule got its limit, lines do not say so", sent)
				}
				return nil
			})
		})
	}
}
