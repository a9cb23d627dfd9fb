//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/kube-nflog/kube-nflog/cmd/kube-nflog/internal/watch"
	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// flowsPath is where an agent's flows are followed.
const flowsPath = "/flows"

// followWrite bounds one write to a follower: one that stopped reading goes.
const followWrite = 10 * time.Second

// stream answers requests for flowsPath: the flows of this agent as JSON
// lines, as they come, until the client goes or the server ends.
type stream struct {
	followers *followers
	nodeName  string
}

func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.followers.serving.Add(1)
	defer s.followers.serving.Done()
	one, err := s.followers.add()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.followers.remove(one)
	names, done, err := followLinks()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer done()
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	out := bufio.NewWriter(w)
	f := &following{follower: one, out: out, connection: http.NewResponseController(w), lines: emit.NewJSONWriter(out, s.nodeName, names)}
	f.run(r.Context())
}

// followLinks knows the interfaces' names until done is called.
func followLinks() (name func(uint32) string, done func(), err error) {
	links, err := nflog.OpenLinks()
	if err != nil {
		return nil, nil, fmt.Errorf("read the interfaces' names: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = links.Run() // names are then those it had
	}()
	return links.Name, func() {
		_ = links.Close() // fails only if it is closed
		<-ended
	}, nil
}

// following is one answer under way.
type following struct {
	*follower

	out        *bufio.Writer
	connection *http.ResponseController
	lines      *emit.JSONWriter
}

// run writes flows until ctx ends or the client has gone.
func (f *following) run(ctx context.Context) {
	if f.flush() != nil {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case one := <-f.flows:
			if f.write(one) != nil {
				return
			}
		}
	}
}

// write writes a flow and those that wait behind it.
func (f *following) write(one resolved) error {
	for range followerRoom {
		if err := f.lines.Write(one.Flow, one.source, one.destination); err != nil {
			return err
		}
		if len(f.flows) == 0 {
			break
		}
		one = <-f.flows
	}
	if missed := f.missed.Swap(0); missed > 0 {
		if err := json.NewEncoder(f.out).Encode(watch.Missed{Flows: missed}); err != nil {
			return fmt.Errorf("tell a follower what it missed: %w", err)
		}
	}
	return f.flush()
}

func (f *following) flush() error {
	if err := f.connection.SetWriteDeadline(time.Now().Add(followWrite)); err != nil {
		return fmt.Errorf("bound a write to a follower: %w", err)
	}
	if err := f.out.Flush(); err != nil {
		return fmt.Errorf("write to a follower: %w", err)
	}
	return f.connection.Flush()
}

// isLocal says whether a request comes from this host, and is meant for it: a
// browser that a strange name has led here says that name.
func isLocal(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
