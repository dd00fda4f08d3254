// A go-libp2p peer that executes the commands of ../README.md, one per line from its standard input.
//
// Usage: peer SEED MULTIADDR SECURITY
package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

func say(format string, values ...any) {
	line := strings.ReplaceAll(fmt.Sprintf(format, values...), "\n", " ")
	fmt.Println(line)
}

func newHost(seed byte, listen, security string) (host.Host, error) {
	entropy := make([]byte, ed25519.SeedSize)
	for i := range entropy {
		entropy[i] = seed
	}
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(entropy))
	if err != nil {
		return nil, err
	}
	secure := libp2p.Security(noise.ID, noise.New)
	if security == "/tls/1.0.0" {
		secure = libp2p.Security(libp2ptls.ID, libp2ptls.New)
	}
	return libp2p.New(
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(listen),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		secure,
		libp2p.ConnectionManager(connmgr.NullConnMgr{}), // the default one would trim thousands of connections
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.UserAgent("go-libp2p"),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
	)
}

// printEvents prints connects, disconnects and identifications.
func printEvents(node host.Host) error {
	node.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { say("event connected %s", c.RemotePeer()) },
		DisconnectedF: func(_ network.Network, c network.Conn) { say("event disconnected %s", c.RemotePeer()) },
	})
	identified, err := node.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	go func() {
		for got := range identified.Out() {
			done := got.(event.EvtPeerIdentificationCompleted)
			say("event identified %s %s", done.Peer, done.AgentVersion)
		}
	}()
	return nil
}

func execute(node host.Host, words []string) (string, error) {
	if words[0] == "peers" {
		names := []string{"peers"}
		for _, id := range node.Network().Peers() {
			names = append(names, id.String())
		}
		return strings.Join(names, " "), nil
	}
	command, known := commands[words[0]]
	if !known || len(words) < 2 {
		return "", fmt.Errorf("unknown command: %s", strings.Join(words, " "))
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	numbers := make([]uint64, 0, 2)
	var text string
	for _, word := range words[2:] {
		if number, err := strconv.ParseUint(word, 10, 64); err == nil {
			numbers = append(numbers, number)
		} else {
			text = word
		}
	}
	return command(request{ctx: ctx, node: node, subject: words[1], numbers: numbers, text: text})
}

func run() error {
	if len(os.Args) != 4 {
		return fmt.Errorf("usage: %s SEED MULTIADDR SECURITY", os.Args[0])
	}
	seed, err := strconv.ParseUint(os.Args[1], 10, 8)
	if err != nil {
		return err
	}
	node, err := newHost(byte(seed), os.Args[2], os.Args[3])
	if err != nil {
		return err
	}
	serve(node)
	addresses, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: node.ID(), Addrs: node.Network().ListenAddresses()})
	if err != nil {
		return err
	}
	say("ok listen %s", addresses[0])
	if err := printEvents(node); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() && lines.Text() != "quit" {
		answer, err := execute(node, strings.Fields(lines.Text()))
		if err != nil {
			say("error %v", err)
		} else {
			say("ok %s", answer)
		}
	}
	if err := node.Close(); err != nil {
		return err
	}
	say("ok quit")
	return nil
}

func main() {
	if err := run(); err != nil {
		say("error %v", err)
		os.Exit(1)
	}
}
