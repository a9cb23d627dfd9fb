//go:build linux

package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/kube-nflog/kube-nflog/emit"
	"github.com/kube-nflog/kube-nflog/emit/jsonline"
	"github.com/kube-nflog/kube-nflog/internal/flowstream"
	"github.com/kube-nflog/kube-nflog/nflog"
)

// followWrite bounds each write to a follower: one that stopped reading goes.
const followWrite = 10 * time.Second

// stream answers requests for flowstream.Path: the flows of this agent as JSON
// lines, as they come, until the client goes or the server ends.
type stream struct {
	followers *followers
	nodeName  string
}

func (s *stream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.followers.serving.Add(1)
	defer s.followers.serving.Done()
	names, done, err := followLinks()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer done()
	one := s.followers.add()
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	s.followers.remove(one, newFollowing(w, one, s.nodeName, names).run(r.Context()))
}

func newFollowing(w http.ResponseWriter, one *follower, nodeName string, names func(uint32) string) *following {
	connection := http.NewResponseController(w)
	out := bufio.NewWriter(&timedWriter{w, connection})
	return &following{follower: one, out: out, connection: connection, lines: jsonline.NewEncoder(out, nodeName, names)}
}

// timedWriter gives each write its own deadline. One deadline for all of them
// would end a follower at the first flow after a quiet time.
type timedWriter struct {
	http.ResponseWriter

	connection *http.ResponseController
}

func (w *timedWriter) Write(b []byte) (int, error) {
	if err := renew(w.connection); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

func renew(connection *http.ResponseController) error {
	if err := connection.SetWriteDeadline(time.Now().Add(followWrite)); err != nil {
		return fmt.Errorf("bound a write to a follower: %w", err)
	}
	return nil
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
	lines      *jsonline.Encoder
}

// run writes flows until ctx ends or another takes the place, which are no
// errors, or a write fails.
func (f *following) run(ctx context.Context) error {
	if err := f.flush(); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-f.displaced:
			return f.end(fmt.Sprintf("a newer follower took the place of this one: %d may follow an agent at once", maxFollowers))
		case one := <-f.flows:
			if err := f.write(&one); err != nil {
				return err
			}
		}
	}
}

// write writes a flow and those that wait behind it, as many as can wait at
// once, so that the client gets them however many keep coming.
func (f *following) write(one *emit.DroppedFlow) error {
	for n := 1; ; n++ {
		if err := f.lines.Encode(one); err != nil {
			return err
		}
		if n == followerRoom || len(f.flows) == 0 {
			break
		}
		*one = <-f.flows
	}
	if missed := f.missed.Swap(0); missed > 0 {
		if err := json.NewEncoder(f.out).Encode(flowstream.Missed{Flows: missed}); err != nil {
			return fmt.Errorf("tell a follower what it missed: %w", err)
		}
	}
	return f.flush()
}

// end tells a follower why it ends.
func (f *following) end(why string) error {
	if err := json.NewEncoder(f.out).Encode(flowstream.Ended{Why: why}); err != nil {
		return fmt.Errorf("tell a follower why it ends: %w", err)
	}
	return f.flush()
}

func (f *following) flush() error {
	if err := f.out.Flush(); err != nil {
		return fmt.Errorf("write to a follower: %w", err)
	}
	if err := renew(f.connection); err != nil {
		return err
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
