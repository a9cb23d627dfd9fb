package main

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

const (
	group  = 100
	prefix = "bench-deny: "
	// payload is what each UDP packet carries, in bytes.
	payload = 64
)

// lab is a node between a client that sends and a server. The node drops the packets
// before they reach the server.
type lab struct {
	node      *netlab.Node
	generator *generator
	table     *nftables.Table
	chain     *nftables.Chain
}

func newLab() (*lab, error) {
	l, err := netlab.NewLab()
	if err != nil {
		return nil, err
	}
	node, err := l.NewNode("node", netip.MustParseAddr("10.1.0.1"))
	if err != nil {
		return nil, err
	}
	from, to := netip.MustParseAddr("10.64.0.0"), netip.MustParseAddr("10.0.0.7")
	client, err := node.Attach("client", netip.MustParseAddr("10.0.0.5"))
	if err != nil {
		return nil, err
	}
	if _, err := node.Attach("server", to); err != nil {
		return nil, err
	}
	g, err := newGenerator(client, netlab.Packet{
		Source: from, Destination: to, Protocol: netlab.UDP,
		SourcePort: 40000, DestinationPort: 8080, PayloadLength: payload,
	})
	if err != nil {
		return nil, err
	}
	lab := &lab{node: node, generator: g}
	return lab, lab.addRule()
}

// addRule adds, as nft would write it:
//
//	table inet bench {
//		chain forward {
//			type filter hook forward priority filter
//			counter log prefix "bench-deny: " group 100 drop
//		}
//	}
//
// The rule sets neither snaplen nor queue-threshold: each reader sets its own.
func (l *lab) addRule() error {
	return l.node.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return fmt.Errorf("add the rule: %w", err)
		}
		l.table = conn.AddTable(&nftables.Table{Name: "bench", Family: nftables.TableFamilyINet})
		l.chain = conn.AddChain(&nftables.Chain{
			Name: "forward", Table: l.table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
		})
		conn.AddRule(&nftables.Rule{Table: l.table, Chain: l.chain, Exprs: []expr.Any{
			&expr.Counter{},
			&expr.Log{Key: 1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX, Group: group, Data: []byte(prefix)},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
		if err := conn.Flush(); err != nil {
			return fmt.Errorf("add the rule: %w", err)
		}
		return nil
	})
}

// offered returns how many packets the rule has logged so far.
func (l *lab) offered() (packets uint64, err error) {
	err = l.node.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		rules, err := conn.GetRules(l.table, l.chain)
		if err != nil {
			return err
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if counter, ok := e.(*expr.Counter); ok {
					packets = counter.Packets
					return nil
				}
			}
		}
		return errors.New("the rule has no counter")
	})
	if err != nil {
		return 0, fmt.Errorf("read the rule's counter: %w", err)
	}
	return packets, nil
}
