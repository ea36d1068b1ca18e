// The parts of Bento that the benchmark needs, with PostgreSQL's driver: the whole program takes
// half an hour to build. It is compiled inside of Bento's module.
package main

import (
	"context"

	_ "github.com/lib/pq"

	_ "github.com/warpstreamlabs/bento/public/components/io"
	_ "github.com/warpstreamlabs/bento/public/components/kafka"
	_ "github.com/warpstreamlabs/bento/public/components/pure"
	_ "github.com/warpstreamlabs/bento/public/components/sql/base"
	"github.com/warpstreamlabs/bento/public/service"
)

func main() {
	service.RunCLI(context.Background())
}
