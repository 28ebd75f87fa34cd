// Loads a compose file as `docker compose config` does, by the same loader: variables, references between services, networks, volumes and
// secrets, and every field. Exit code 1 and what is wrong, or nothing. packaging/lint builds it with --fetch.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions(os.Args[1:], cli.WithOsEnv, cli.WithProfiles([]string{"*"}))
	if err == nil {
		_, err = options.LoadProject(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
