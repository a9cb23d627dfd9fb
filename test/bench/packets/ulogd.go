package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/kube-nflog/kube-nflog/test/framework/netlab"
)

// ulogdOutput is one of ulogd2's ways to write packets.
type ulogdOutput struct {
	name, plugin, stack string
	header              uint64 // bytes that it writes once, at the start
}

// The stacks are the ones of ulogd2's example configuration.
func ulogdOutputs() []ulogdOutput {
	return []ulogdOutput{
		{name: logemu, plugin: "LOGEMU", stack: "BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT"},
		{name: jsonLines, plugin: "JSON", stack: "BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR"},
		{name: pcap, plugin: "PCAP", stack: "BASE", header: 24},
	}
}

// ulogdReaders returns a reader for each output whose plugin is installed. The error
// names the outputs that are not.
func ulogdReaders() ([]reader, error) {
	binary, err := exec.LookPath("ulogd")
	if err != nil {
		if binary, err = exec.LookPath("/usr/sbin/ulogd"); err != nil {
			return nil, fmt.Errorf("ulogd2 is not measured: %w", err)
		}
	}
	var found []reader
	var missing []error
	for _, output := range ulogdOutputs() {
		if !output.installed() {
			missing = append(missing, fmt.Errorf("%s is not measured: its plugin is not installed", output.name))
			continue
		}
		command, err := output.configure(binary, os.DevNull)
		if err != nil {
			return nil, err
		}
		found = append(found, reader{name: output.name, command: command, rest: restOfSocket, received: output.received(binary)})
	}
	return found, errors.Join(missing...)
}

// received returns a function that counts the packets that a process has received: all
// packets if nothing was dropped, otherwise one for each record that it has written.
func (u ulogdOutput) received(binary string) func(context.Context, *lab, *process, uint64, uint64) (uint64, error) {
	var size float64 // of a record; measured when it is first needed
	return func(ctx context.Context, l *lab, p *process, offered, drops uint64) (uint64, error) {
		if drops == 0 {
			return offered, nil
		}
		written, err := p.written()
		if err != nil {
			return 0, err
		}
		if _, err := p.stop(); err != nil {
			return 0, err
		}
		if size == 0 {
			if size, err = u.recordSize(ctx, l, binary); err != nil {
				return 0, err
			}
		}
		// A datagram has at least one packet.
		return min(offered-drops, uint64(float64(written-u.header)/size)), nil
	}
}

// sample is the number of packets for measuring the size of a record.
const sample = 2000

// recordSize runs ulogd2 on a sample of packets and returns how many bytes it writes for
// each.
func (u ulogdOutput) recordSize(ctx context.Context, l *lab, binary string) (float64, error) {
	file := filepath.Join(netlab.Scratch, u.name+".records")
	command, err := u.configure(binary, file)
	if err != nil {
		return 0, err
	}
	r := reader{name: u.name, command: command, rest: restOfSocket}
	_, err = l.with(ctx, r, nil, func(p *process, _ uint32) error {
		if _, err := l.generator.send(traffic{Rate: warmUpRate, Flows: 1, Packets: sample}); err != nil {
			return err
		}
		_, err := p.awaitRest(ctx, restOfSocket)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure the records of %s: %w", u.name, err)
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return float64(info.Size()-int64(u.header)) / sample, os.Remove(file)
}

// configure writes a configuration that lets ulogd2 write to a file, and returns the
// command to run. Its output is buffered, and its socket has the settings of the other
// readers, except for the size of a datagram, which ulogd2 leaves to the kernel. It logs
// only fatal errors, because other log lines would be counted as records.
func (u ulogdOutput) configure(binary, file string) ([]string, error) {
	name := u.name + ".conf"
	if file != os.DevNull {
		name = u.name + ".records.conf"
	}
	path := filepath.Join(netlab.Scratch, name)
	var b strings.Builder
	b.WriteString("[global]\nlogfile=\"stdout\"\nloglevel=8\n")
	for _, plugin := range u.plugins() {
		fmt.Fprintf(&b, "plugin=%q\n", plugin)
	}
	fmt.Fprintf(&b, "stack=log1:NFLOG,base1:%s,out1:%s\n", u.stack, u.plugin)
	fmt.Fprintf(&b, "[log1]\ngroup=%d\nnetlink_socket_buffer_size=%d\nnetlink_socket_buffer_maxsize=%[2]d\n", group, 16<<20)
	b.WriteString("netlink_qthreshold=500\nnetlink_qtimeout=10\nbufsize=262144\n")
	fmt.Fprintf(&b, "[out1]\nfile=%q\nsync=0\n", file)
	return []string{binary, "-c", path}, os.WriteFile(path, []byte(b.String()), 0o600)
}

// plugins returns the paths of the plugins in the stack.
func (u ulogdOutput) plugins() []string {
	paths := []string{pluginPath("inppkt_NFLOG"), pluginPath("raw2packet_BASE")}
	for _, element := range strings.Split(u.stack, ",")[1:] {
		_, filter, _ := strings.Cut(element, ":")
		paths = append(paths, pluginPath("filter_"+filter))
	}
	return append(paths, pluginPath("output_"+u.plugin))
}

func (u ulogdOutput) installed() bool {
	for _, path := range u.plugins() {
		if path == "" {
			return false
		}
	}
	return true
}

// pluginPath finds a plugin in the directories that distributions use. It returns "" if
// there is none.
func pluginPath(name string) string {
	for _, dir := range []string{"/usr/lib/*/ulogd", "/usr/lib/ulogd", "/usr/lib64/ulogd"} {
		// Glob fails only for a malformed pattern, and this one is well formed.
		if found, _ := filepath.Glob(filepath.Join(dir, "ulogd_"+name+".so")); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}
