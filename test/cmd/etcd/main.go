// Command etcd is the real etcd server, built from the pinned module
// go.etcd.io/etcd for tests and the demo.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
