package firewall

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"
)

// ReadNFT returns the chains of nftables, including those of iptables-nft.
func ReadNFT() (Ruleset, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open nftables: %w", err)
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list the chains of nftables: %w", err)
	}
	known := sets{conn, map[string]tableSets{}}
	var all Ruleset
	for _, c := range chains {
		if c.Type == nftables.ChainTypeNAT {
			continue // nothing is dropped there
		}
		listed, err := conn.GetRules(c.Table, c)
		if err != nil {
			return nil, fmt.Errorf("list the rules of chain %s: %w", c.Name, err)
		}
		all = append(all, newChain(c, listed, iptablesOwner(c.Table, chains), known.of(c.Table)))
	}
	return all, nil
}

// iptablesOwner returns the tool that writes a table of iptables-nft. Such a table has the
// builtin chains. It returns "" for other tables of nft.
func iptablesOwner(t *nftables.Table, chains []*nftables.Chain) string {
	tool := map[nftables.TableFamily]string{nftables.TableFamilyIPv4: "iptables-nft", nftables.TableFamilyIPv6: "ip6tables-nft"}[t.Family]
	builtin := []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
	tables := []string{"filter", "mangle", "raw", "security"}
	if tool == "" || !slices.Contains(tables, t.Name) {
		return ""
	}
	for _, c := range chains {
		if c.Table.Name == t.Name && c.Table.Family == t.Family && c.Hooknum != nil && !slices.Contains(builtin, c.Name) {
			return ""
		}
	}
	return tool
}

func newChain(c *nftables.Chain, listed []*nftables.Rule, owner string, sets tableSets) Chain {
	chain := Chain{Tool: "nft", Table: family(c.Table.Family) + " " + c.Table.Name, Name: c.Name}
	if owner != "" {
		chain.Tool, chain.Table = owner, c.Table.Name
	}
	if c.Policy != nil && *c.Policy == nftables.ChainPolicyDrop {
		chain.Policy = "drop"
	}
	for i, r := range listed {
		w := words{family: c.Table.Family, iptables: owner != "", sets: sets.anonymous, maps: sets.maps}
		chain.Rules = append(chain.Rules, newRules(r, i+1, w)...)
	}
	return chain
}

func family(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyINet:
		return "inet"
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	case nftables.TableFamilyARP:
		return "arp"
	case nftables.TableFamilyBridge:
		return "bridge"
	case nftables.TableFamilyNetdev:
		return "netdev"
	}
	return fmt.Sprintf("family%d", f)
}

// newRules splits a rule's expressions into matches and actions. A rule with a verdict map
// becomes several rules.
func newRules(listed *nftables.Rule, number int, w words) []Rule {
	r := Rule{Number: number, Handle: listed.Handle}
	r.Comment, _ = userdata.GetString(listed.UserData, userdata.TypeComment)
	var matches []expr.Any
	for _, e := range listed.Exprs {
		if verdicts, ok := isVerdictMap(e); ok {
			return w.expand(&r, matches, verdicts)
		}
		if !r.does(e) {
			matches = append(matches, e)
		}
	}
	r.Conditions, r.Match = w.conditions(matches)
	return []Rule{r}
}

// does adds an action to the rule. It returns false for other expressions, which are
// matches.
func (r *Rule) does(e expr.Any) bool {
	switch e := e.(type) {
	case *expr.Log:
		if e.Key&(1<<unix.NFTA_LOG_GROUP) != 0 {
			r.Log = &Log{Group: e.Group, Threshold: e.QThreshold, Size: e.Snaplen}
		}
	case *expr.Verdict:
		r.Drops = e.Kind == expr.VerdictDrop
		if e.Kind == expr.VerdictJump || e.Kind == expr.VerdictGoto {
			r.Jump = e.Chain
		}
	case *expr.Reject:
		r.Drops = true
	case *expr.Target:
		r.target(e)
	case *expr.Limit:
		r.Limit = fmt.Sprintf("%d/%s", e.Rate, unit(e.Unit))
	case *expr.Counter:
	case *expr.Match:
		switch e.Name {
		case "comment":
			if text, ok := e.Info.(*xt.Comment); ok {
				r.Comment = string(*text)
			}
		case "limit":
			r.Limit = "a rate"
		default:
			return false
		}
	default:
		return false
	}
	return true
}

// target adds a target of iptables to the rule.
func (r *Rule) target(t *expr.Target) {
	info, ok := t.Info.(*xt.Unknown)
	switch {
	case t.Name == "DROP", t.Name == "REJECT":
		r.Drops = true
	case t.Name == "NFLOG" && ok:
		r.Log = nflogInfo(*info)
	}
}

func unit(u expr.LimitTime) string {
	switch u {
	case expr.LimitTimeSecond:
		return "second"
	case expr.LimitTimeMinute:
		return "minute"
	case expr.LimitTimeHour:
		return "hour"
	case expr.LimitTimeDay:
		return "day"
	}
	return "week"
}
