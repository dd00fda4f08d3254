package main

// The commands.

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const commandTimeout = 5 * time.Minute

type request struct {
	ctx     context.Context
	node    host.Host
	subject string
	numbers []uint64
	text    string
}

func (r request) number(index int, fallback uint64) uint64 {
	if index < len(r.numbers) {
		return r.numbers[index]
	}
	return fallback
}

// open starts a stream that ends with the request.
func (r request) open(name protocol.ID) (network.Stream, error) {
	id, err := peer.Decode(r.subject)
	if err != nil {
		return nil, err
	}
	stream, err := r.node.NewStream(network.WithNoDial(r.ctx, "connected already"), id, name)
	if err != nil {
		return nil, err
	}
	deadline, _ := r.ctx.Deadline()
	return stream, stream.SetDeadline(deadline)
}

var commands = map[string]func(request) (string, error){
	"dial":       dial,
	"disconnect": disconnect,
	"identify":   identify,
	"ping":       func(r request) (string, error) { return pings(r, "ping", 1) },
	"pings":      func(r request) (string, error) { return pings(r, "pings", r.number(0, 1)) },
	"echo":       echo,
	"upload":     upload,
	"download":   download,
	"streams":    streams,
	"half-close": halfClose,
	"reset":      reset,
	"reset-by":   resetBy,
	"unknown":    unknown,
	"perf":       perf,
	"handshakes": handshakes,
}

func dial(r request) (string, error) {
	info, err := peer.AddrInfoFromString(r.subject)
	if err != nil {
		return "", err
	}
	return "dial " + info.ID.String(), r.node.Connect(r.ctx, *info)
}

func disconnect(r request) (string, error) {
	id, err := peer.Decode(r.subject)
	if err != nil {
		return "", err
	}
	return "disconnect " + r.subject, r.node.Network().ClosePeer(id)
}

func identify(r request) (string, error) {
	id, err := peer.Decode(r.subject)
	if err != nil {
		return "", err
	}
	agent, err := r.node.Peerstore().Get(id, "AgentVersion")
	if err != nil {
		return "", err
	}
	protocols, err := r.node.Peerstore().GetProtocols(id)
	return fmt.Sprintf("identify %v %s", agent, strings.Join(protocol.ConvertToStrings(protocols), " ")), err
}

func pings(r request, verb string, count uint64) (string, error) {
	stream, err := r.open(pingProtocol)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	sent, got := make([]byte, 32), make([]byte, 32)
	times := make([]int64, 0, count)
	for range count {
		if _, err := rand.Read(sent); err != nil {
			return "", err
		}
		start := time.Now()
		if _, err := stream.Write(sent); err != nil {
			return "", err
		}
		if _, err := io.ReadFull(stream, got); err != nil {
			return "", err
		}
		times = append(times, time.Since(start).Nanoseconds())
		if !bytes.Equal(sent, got) {
			return "", errors.New("the ping response differs")
		}
	}
	slices.Sort(times)
	return fmt.Sprintf("%s %d %d", verb, times[len(times)/2], times[len(times)*99/100]), nil
}

func echo(r request) (string, error) {
	name := echoProtocol
	if r.text != "" {
		name = protocol.ID(r.text)
	}
	size := r.number(0, 0)
	stream, err := r.open(name)
	if err != nil {
		return "", err
	}
	defer stream.Reset()
	start := time.Now()
	sent, got := sha256.New(), sha256.New()
	sending := make(chan error, 1)
	go func() {
		err := sendNumbered(stream, size, sent)
		if err == nil {
			err = stream.CloseWrite()
		}
		sending <- err
	}()
	_, err = copyAll(got, stream)
	if err := errors.Join(err, <-sending); err != nil {
		return "", err
	}
	if !bytes.Equal(sent.Sum(nil), got.Sum(nil)) {
		return "", errors.New("the echo differs")
	}
	return fmt.Sprintf("echo %d %d", size, time.Since(start).Nanoseconds()), nil
}

// transfer is the dialer's side of the sum protocol.
func transfer(r request, up, down uint64) (time.Duration, error) {
	stream, err := r.open(sumProtocol)
	if err != nil {
		return 0, err
	}
	defer stream.Reset()
	start := time.Now()
	if _, err := stream.Write(binary.BigEndian.AppendUint64(nil, down)); err != nil {
		return 0, err
	}
	sent, got := sha256.New(), sha256.New()
	if err := sendNumbered(stream, up, sent); err != nil {
		return 0, err
	}
	if err := stream.CloseWrite(); err != nil {
		return 0, err
	}
	if err := equalSum(stream, sent); err != nil {
		return 0, err
	}
	if _, err := copyAll(got, io.LimitReader(stream, int64(down))); err != nil {
		return 0, err
	}
	if err := equalSum(stream, got); err != nil {
		return 0, err
	}
	if rest, err := copyAll(io.Discard, stream); err != nil || rest != 0 {
		return 0, fmt.Errorf("%d bytes too many: %w", rest, err)
	}
	return time.Since(start), nil
}

func upload(r request) (string, error) {
	took, err := transfer(r, r.number(0, 0), 0)
	return fmt.Sprintf("upload %d %d", r.number(0, 0), took.Nanoseconds()), err
}

func download(r request) (string, error) {
	took, err := transfer(r, 0, r.number(0, 0))
	return fmt.Sprintf("download %d %d", r.number(0, 0), took.Nanoseconds()), err
}

// streams opens all streams at once, but waits for every burst-th before opening the next.
func streams(r request) (string, error) {
	start := time.Now()
	count, burst := r.number(0, 1), r.number(1, 1)
	open := make([]network.Stream, 0, count)
	back := make([]bytes.Buffer, count)
	for i := range count {
		stream, err := r.open(echoProtocol)
		if err != nil {
			return "", fmt.Errorf("stream %d: %w", i, err)
		}
		defer stream.Reset()
		sent := fmt.Sprintf("stream %d", i)
		if _, err := io.WriteString(stream, sent); err != nil {
			return "", fmt.Errorf("stream %d: %w", i, err)
		}
		if (i+1)%burst == 0 {
			if _, err := io.CopyN(&back[i], stream, int64(len(sent))); err != nil {
				return "", fmt.Errorf("stream %d: %w", i, err)
			}
		}
		open = append(open, stream)
	}
	for i, stream := range open {
		if err := stream.CloseWrite(); err != nil {
			return "", fmt.Errorf("stream %d: %w", i, err)
		}
		_, err := back[i].ReadFrom(stream)
		if got := back[i].String(); err != nil || got != fmt.Sprintf("stream %d", i) {
			return "", fmt.Errorf("stream %d: '%s' came back: %w", i, got, err)
		}
	}
	return fmt.Sprintf("streams %d %d", len(open), time.Since(start).Nanoseconds()), nil
}

func halfClose(r request) (string, error) {
	stream, err := r.open(lateProtocol)
	if err != nil {
		return "", err
	}
	defer stream.Reset()
	// go-libp2p proposes a protocol with the first write; here the listener sends first.
	if _, err := stream.Write(nil); err != nil {
		return "", err
	}
	early, err := io.ReadAll(stream)
	if err != nil || string(early) != "early" {
		return "", fmt.Errorf("'%s' came before the end: %w", early, err)
	}
	if err := sendNumbered(stream, r.number(0, 0), nil); err != nil {
		return "", err
	}
	return fmt.Sprintf("half-close %d", r.number(0, 0)), stream.Close()
}

func reset(r request) (string, error) {
	stream, err := r.open(echoProtocol)
	if err != nil {
		return "", err
	}
	defer stream.Reset()
	if _, err := stream.Write([]byte{1}); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(stream, make([]byte, 1)); err != nil {
		return "", err
	}
	return "reset", nil
}

func resetBy(r request) (string, error) {
	stream, err := r.open(resetProtocol)
	if err != nil {
		return "", err
	}
	defer stream.Reset()
	if _, err := stream.Write([]byte{1}); err != nil {
		return "", err
	}
	got, err := io.ReadAll(stream)
	if !errors.Is(err, network.ErrReset) {
		return "", fmt.Errorf("%d bytes and no reset: %w", len(got), err)
	}
	return "reset-by", nil
}

func unknown(r request) (string, error) {
	stream, err := r.open("/interop/unknown/0.0.1")
	if err != nil {
		return "unknown " + strings.ReplaceAll(err.Error(), "\n", " "), nil
	}
	stream.Reset()
	return "", errors.New("an unknown protocol was agreed")
}

func perf(r request) (string, error) {
	up, down := r.number(0, 0), r.number(1, 0)
	stream, err := r.open(perfProtocol)
	if err != nil {
		return "", err
	}
	defer stream.Reset()
	start := time.Now()
	if _, err := stream.Write(binary.BigEndian.AppendUint64(nil, down)); err != nil {
		return "", err
	}
	if err := sendNumbered(stream, up, nil); err != nil {
		return "", err
	}
	if err := stream.CloseWrite(); err != nil {
		return "", err
	}
	got, err := copyAll(io.Discard, stream)
	if err != nil || uint64(got) != down {
		return "", fmt.Errorf("%d bytes came, not %d: %w", got, down, err)
	}
	return fmt.Sprintf("perf %d %d %d", up, down, time.Since(start).Nanoseconds()), nil
}

// handshakes times connecting, not disconnecting.
func handshakes(r request) (string, error) {
	info, err := peer.AddrInfoFromString(r.subject)
	if err != nil {
		return "", err
	}
	r.node.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
	var spent time.Duration
	for range r.number(0, 1) {
		start := time.Now()
		connection, err := r.node.Network().DialPeer(r.ctx, info.ID)
		if err != nil {
			return "", err
		}
		spent += time.Since(start)
		if err := connection.Close(); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("handshakes %d %d", r.number(0, 1), spent.Nanoseconds()), nil
}
