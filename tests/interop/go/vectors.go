package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"time"

	libp2p "github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"gitlab.com/nunet/device-management-service/lib/crypto"
	"gitlab.com/nunet/device-management-service/lib/did"
	"gitlab.com/nunet/device-management-service/lib/ucan"
)

const (
	// The tokens of the vectors outlive their readers; the clock of the reference cannot be set.
	expires = uint64(4102444800000000000) // 2100-01-01
	hour    = uint64(time.Hour)
)

var startOfTime = uint64(time.Now().UnixNano())

// person has a key made from a fixed seed, and a capability context.
type person struct {
	name     string
	key      crypto.PrivKey
	did      did.DID
	id       crypto.ID
	provider did.Provider
	trust    did.TrustContext
	context  ucan.CapabilityContext
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func newPerson(name string, key crypto.PrivKey) *person {
	p := &person{name: name, key: key, provider: must(did.ProviderFromPrivateKey(key)), trust: did.NewTrustContext()}
	p.did = p.provider.DID()
	p.id = must(crypto.IDFromPublicKey(key.GetPublic()))
	p.trust.AddProvider(p.provider)
	p.context = p.fresh()
	return p
}

// fresh is an empty context of the same person.
func (p *person) fresh() ucan.CapabilityContext {
	return must(ucan.NewCapabilityContext(p.trust, p.did, nil, ucan.TokenList{}, ucan.TokenList{}, ucan.TokenList{}))
}

func (p *person) private() string { return hex.EncodeToString(must(crypto.PrivateKeyToBytes(p.key))) }

func (p *person) party() Party {
	return Party{
		Name: p.name, Private: p.private(), DID: p.did.URI,
		Public: hex.EncodeToString(must(crypto.PublicKeyToBytes(p.key.GetPublic()))),
		Peer:   must(peer.IDFromPublicKey(p.key.GetPublic())).String(),
	}
}

func ed25519Person(name string, seed byte) *person {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	return newPerson(name, must(libp2p.UnmarshalEd25519PrivateKey(key)))
}

func secp256k1Person(name string, seed byte) *person {
	return newPerson(name, must(libp2p.UnmarshalSecp256k1PrivateKey(bytes.Repeat([]byte{seed}, 32))))
}

var (
	alice   = ed25519Person("alice", 1) // owns a node
	bob     = ed25519Person("bob", 2)
	carol   = ed25519Person("carol", 3)
	dave    = ed25519Person("dave", 4)
	erin    = ed25519Person("erin", 5)
	org     = ed25519Person("org", 6)
	mallory = ed25519Person("mallory", 9)
	sally   = secp256k1Person("sally", 11)
	people  = []*person{alice, bob, carol, dave, erin, org, mallory, sally}
)

func caps(paths ...string) []ucan.Capability {
	result := make([]ucan.Capability, 0, len(paths))
	for _, path := range paths {
		result = append(result, ucan.Capability(path))
	}
	return result
}

func list(tokens ...*ucan.Token) ucan.TokenList { return ucan.TokenList{Tokens: tokens} }

// grant is a token rooted in p.
func (p *person) grant(action ucan.Action, to *person, on did.DID, depth uint64, topics []string, paths ...string) *ucan.Token {
	return must(p.context.Grant(action, to.did, on, topics, expires, depth, caps(paths...))).Tokens[0]
}

// sign makes a token of claims that the reference would not make itself.
func (p *person) sign(claims ucan.DMSToken) *ucan.Token {
	claims.Signature = nil
	if claims.Issuer.Empty() {
		claims.Issuer = p.did
	}
	if claims.Nonce == nil {
		claims.Nonce = []byte("by no client")
	}
	if claims.Expire == 0 {
		claims.Expire = expires
	}
	claims.Signature = must(p.provider.Sign(must(claims.SignatureData())))
	return &ucan.Token{DMS: &claims}
}

type vectors struct {
	how   string
	cases []Case
}

// add evaluates a case and keeps it.
func (v *vectors) add(c Case) {
	c.evaluate()
	v.cases = append(v.cases, c)
}

const how = "Made by tests/interop/go (go_reference vectors) with NuNet's own Go code, gitlab.com/nunet/device-management-service: "

func writeVectors(folder string) error {
	files := map[string]func(*vectors){
		"ucan/go_tokens.json":      tokenVectors,
		"ucan/go_contexts.json":    contextVectors,
		"ucan/go_decisions.json":   decisionVectors,
		"crypto/go_keys.json":      keyVectors,
		"crypto/go_keystores.json": keystoreVectors,
		"did/go_dids.json":         didVectors,
		"actor/go_envelopes.json":  envelopeVectors,
	}
	for name, fill := range files {
		v := &vectors{}
		fill(v)
		file := File{How: how + v.how, Now: startOfTime, Cases: v.cases}
		for _, p := range people {
			file.Parties = append(file.Parties, p.party())
		}
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := write(out, file); err != nil {
			return err
		}
		if err := out.Close(); err != nil {
			return err
		}
	}
	return nil
}

// change replaces the first `from`, which must be there: a mutation that changes nothing would prove nothing.
func change(text, from, to string) string {
	if !strings.Contains(text, from) {
		panic("nothing to change: " + from)
	}
	return strings.Replace(text, from, to, 1)
}

// changeLast replaces the last `from`: of a chained token that is the token's own member.
func changeLast(text, from, to string) string {
	at := strings.LastIndex(text, from)
	if at < 0 {
		panic("nothing to change: " + from)
	}
	return text[:at] + to + text[at+len(from):]
}
