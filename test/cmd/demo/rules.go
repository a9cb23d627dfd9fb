package main

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

const (
	group  = 100
	prefix = "demo-deny: "
)

// rule is an nftables rule, as text and as the kernel takes it. The demo adds rules over
// netlink, so that it does not need nft.
type rule struct {
	text  string
	exprs []expr.Any
}

func rules() []rule {
	accept, drop := &expr.Verdict{Kind: expr.VerdictAccept}, &expr.Verdict{Kind: expr.VerdictDrop}
	return []rule{
		{"ct state established,related accept", append(answers(), accept)},
		{"tcp dport 8080 accept", append(port(unix.IPPROTO_TCP, 8080), accept)},
		{"udp dport 53 accept", append(port(unix.IPPROTO_UDP, 53), accept)},
		{fmt.Sprintf("log prefix %q group %d", prefix, group), []expr.Any{&expr.Log{
			Key:   1<<unix.NFTA_LOG_GROUP | 1<<unix.NFTA_LOG_PREFIX,
			Group: group, Data: []byte(prefix),
		}}},
		{"drop", []expr.Any{drop}},
	}
}

// answers matches packets of connections that were allowed.
func answers() []expr.Any {
	states := expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(states), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// port matches a transport protocol's destination port.
func port(protocol byte, number uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocol}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, number)},
	}
}

// addRules puts the rules into the node's forward chain.
func (d *demo) addRules(node *netlab.Node) error {
	end := d.progress.step("adding rules to node-1 that log what they drop to NFLOG group 100; as nft commands:")
	defer end()
	err := node.Do(func() error {
		conn, err := nftables.New()
		if err != nil {
			return err
		}
		table := conn.AddTable(&nftables.Table{Name: "demo", Family: nftables.TableFamilyINet})
		chain := conn.AddChain(&nftables.Chain{
			Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
		})
		for _, r := range rules() {
			conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: r.exprs})
		}
		return conn.Flush()
	})
	if err != nil {
		return fmt.Errorf("add rules over netlink (the kernel needs nftables with log and ct): %w", err)
	}
	d.progress.print(commands())
	return nil
}

// commands returns the nft commands that add the same rules.
func commands() string {
	var b strings.Builder
	const indent = "            "
	b.WriteString(indent + "nft add table inet demo\n")
	b.WriteString(indent + "nft 'add chain inet demo forward { type filter hook forward priority 0; }'\n")
	for _, r := range rules() {
		fmt.Fprintf(&b, "%snft 'add rule inet demo forward %s'\n", indent, r.text)
	}
	return b.String()
}
