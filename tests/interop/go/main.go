// The reference implementation as judge of identities, key files, capability tokens, contexts and envelopes.
//
//	judge vectors FOLDER            makes the go_*.json files there: what it writes, and what it says of texts altered on purpose
//	judge verdicts < CASES          answers each case of a file of that form with what it says, to compare with what is expected
//
// Every verdict is the reference's: nothing here decides, it only asks (verdict.go) and thinks up questions (vectors_*.go).
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "vectors":
		return writeVectors(args[1])
	case len(args) == 1 && args[0] == "verdicts":
		var file File
		if err := json.NewDecoder(os.Stdin).Decode(&file); err != nil {
			return fmt.Errorf("reading cases: %w", err)
		}
		for i := range file.Cases {
			file.Cases[i].decide()
		}
		return write(os.Stdout, file)
	}
	return fmt.Errorf("expected 'vectors FOLDER' or 'verdicts'")
}
