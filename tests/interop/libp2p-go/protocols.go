package main

// The protocols that a peer serves, and the bytes they carry.

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"io"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	echoProtocol  = protocol.ID("/interop/echo/0.0.1")
	bareEcho      = protocol.ID("interop/echo/0.0.1") // without a slash, as NuNet names its protocols
	sumProtocol   = protocol.ID("/interop/sum/0.0.1")
	lateProtocol  = protocol.ID("/interop/late/0.0.1")
	resetProtocol = protocol.ID("/interop/reset/0.0.1")
	perfProtocol  = protocol.ID("/perf/1.0.0")
	pingProtocol  = protocol.ID("/ipfs/ping/1.0.0")

	blockSize = 64 * 1024
)

// newBlock is what all transfers repeat; the first eight bytes of each are its number.
func newBlock() []byte {
	block := make([]byte, blockSize)
	for i := range block {
		block[i] = byte(i*7 + i/251)
	}
	return block
}

// sendNumbered writes size bytes, and adds them to sum if that is not nil.
func sendNumbered(to io.Writer, size uint64, sum hash.Hash) error {
	block := newBlock()
	for number := uint64(0); size > 0; number++ {
		binary.BigEndian.PutUint64(block, number)
		piece := block[:min(size, blockSize)]
		if sum != nil {
			sum.Write(piece)
		}
		if _, err := to.Write(piece); err != nil {
			return err
		}
		size -= uint64(len(piece))
	}
	return nil
}

func copyAll(to io.Writer, from io.Reader) (int64, error) {
	// Without the shortcuts of io.Copy: every peer reads into a block of the same size.
	return io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, blockSize))
}

func answerEcho(stream network.Stream) {
	if _, err := copyAll(stream, stream); err != nil {
		if errors.Is(err, network.ErrReset) {
			say("event reset %s", stream.Conn().RemotePeer())
		}
		stream.Reset()
		return
	}
	stream.Close()
}

func answerSum(stream network.Stream) error {
	var want [8]byte
	if _, err := io.ReadFull(stream, want[:]); err != nil {
		return err
	}
	sum := sha256.New()
	if _, err := copyAll(sum, stream); err != nil {
		return err
	}
	if _, err := stream.Write(sum.Sum(nil)); err != nil {
		return err
	}
	sum.Reset()
	if err := sendNumbered(stream, binary.BigEndian.Uint64(want[:]), sum); err != nil {
		return err
	}
	_, err := stream.Write(sum.Sum(nil))
	return err
}

func answerLate(stream network.Stream) error {
	if _, err := stream.Write([]byte("early")); err != nil {
		return err
	}
	if err := stream.CloseWrite(); err != nil {
		return err
	}
	size, err := copyAll(io.Discard, stream)
	if err != nil {
		return err
	}
	say("event late %s %d", stream.Conn().RemotePeer(), size)
	return nil
}

func answerPerf(stream network.Stream) error {
	var want [8]byte
	if _, err := io.ReadFull(stream, want[:]); err != nil {
		return err
	}
	if _, err := copyAll(io.Discard, stream); err != nil {
		return err
	}
	return sendNumbered(stream, binary.BigEndian.Uint64(want[:]), nil)
}

func serve(node host.Host) {
	answer := func(name protocol.ID, work func(network.Stream) error) {
		node.SetStreamHandler(name, func(stream network.Stream) {
			if work(stream) != nil {
				stream.Reset()
			} else {
				stream.Close()
			}
		})
	}
	node.SetStreamHandler(echoProtocol, answerEcho)
	node.SetStreamHandler(bareEcho, answerEcho)
	answer(sumProtocol, answerSum)
	answer(lateProtocol, answerLate)
	answer(perfProtocol, answerPerf)
	node.SetStreamHandler(resetProtocol, func(stream network.Stream) {
		_, _ = io.ReadFull(stream, make([]byte, 1))
		stream.Reset()
	})
}

// equalSum reads a checksum and compares.
func equalSum(from io.Reader, sum hash.Hash) error {
	got := make([]byte, sha256.Size)
	if _, err := io.ReadFull(from, got); err != nil {
		return err
	}
	if !bytes.Equal(got, sum.Sum(nil)) {
		return errors.New("the checksums differ")
	}
	return nil
}
