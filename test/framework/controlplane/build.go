package controlplane

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// kubernetesVersion is the version that the API server and kubectl report. It must be the
// version of k8s.io/kubernetes in this module's go.mod.
const kubernetesVersion = "v1.36.3"

// Binaries are the paths of the control plane's programs.
type Binaries struct {
	Etcd, APIServer, Kubectl string
}

// BuildConfig says what Build compiles and where to.
type BuildConfig struct {
	ModuleDir string // the directory of the test module
	Dir       string // where the binaries go, made if missing
	// Progress, if not nil, is called with the path of each compiled package. There are
	// about 1,600 the first time.
	Progress func(pkg string)
}

// Build compiles etcd, kube-apiserver and kubectl into cfg.Dir. This takes minutes the
// first time, and about a second if nothing changed.
func Build(ctx context.Context, cfg BuildConfig) (Binaries, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return Binaries{}, fmt.Errorf("build directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Binaries{}, fmt.Errorf("build directory: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, ".lock"))
	if err != nil {
		return Binaries{}, fmt.Errorf("build directory: %w", err)
	}
	defer unlock()
	if err := compile(ctx, cfg, dir); err != nil {
		return Binaries{}, fmt.Errorf("build the control plane: %w", err)
	}
	return Locate(dir)
}

// Locate returns the paths of the binaries that Build puts into dir. It does not check
// that they exist.
func Locate(dir string) (Binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, fmt.Errorf("build directory: %w", err)
	}
	return Binaries{
		Etcd:      filepath.Join(dir, "etcd"),
		APIServer: filepath.Join(dir, "kube-apiserver"),
		Kubectl:   filepath.Join(dir, "kubectl"),
	}, nil
}

func compile(ctx context.Context, cfg BuildConfig, dir string) error {
	// A VCS stamp would link everything again for each commit.
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-buildvcs=false", "-ldflags", versionFlags(), "-o", dir+"/",
		"./cmd/etcd", "./cmd/kube-apiserver", "./cmd/kubectl")
	cmd.Dir = cfg.ModuleDir
	// Static binaries run in any mount namespace and need no C compiler.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	// Lines that are no package paths are error messages. They are kept for the error.
	var printed []string
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		printed = append(printed, lines.Text())
		if cfg.Progress != nil {
			cfg.Progress(lines.Text())
		}
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(printed[max(0, len(printed)-40):], "\n"))
	}
	return nil
}

// lock waits until no other process builds here. Two builds at the same time would each
// compile everything.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	// Closing the only descriptor releases the lock. Nothing was written, so nothing is lost.
	return func() { _ = f.Close() }, nil
}

// versionFlags returns the linker flags that stamp the Kubernetes version. Without them
// an API server reports v0.0.0 and disables features.
func versionFlags() string {
	const pkg = "k8s.io/component-base/version."
	major, minor, _ := strings.Cut(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	return fmt.Sprintf("-s -w -X %[1]sgitVersion=%[2]s -X %[1]sgitMajor=%[3]s -X %[1]sgitMinor=%[4]s",
		pkg, kubernetesVersion, major, minor)
}
