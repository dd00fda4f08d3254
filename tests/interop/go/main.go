// Runs the reference implementation on identities, key files, capability tokens, contexts and envelopes.
//
//	go_reference vectors FOLDER      writes the go_*.json files: what the reference writes, and its results for altered texts
//	go_reference evaluate < CASES    fills in the reference's result of each case of such a file
//
// Every result is the reference's: evaluate.go calls it, vectors_*.go make the inputs.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "go_reference:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "vectors":
		return writeVectors(args[1])
	case len(args) == 1 && args[0] == "evaluate":
		var file File
		if err := json.NewDecoder(os.Stdin).Decode(&file); err != nil {
			return fmt.Errorf("reading cases: %w", err)
		}
		for i := range file.Cases {
			file.Cases[i].evaluate()
		}
		return write(os.Stdout, file)
	}
	return fmt.Errorf("expected 'vectors FOLDER' or 'evaluate'")
}
