package main

import (
	"bytes"
	"math/big"
	"slices"
	"strings"

	libp2p "github.com/libp2p/go-libp2p/core/crypto"

	"gitlab.com/nunet/device-management-service/lib/did"
	"gitlab.com/nunet/device-management-service/lib/ucan"
)

func number(hex string) *big.Int {
	n, ok := new(big.Int).SetString(hex, 16)
	if !ok {
		panic(hex)
	}
	return n
}

var (
	orderOfEd25519   = number("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed")
	orderOfSecp256k1 = number("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
)

// addOrder is the same Ed25519 signature with S + L for S: the equation holds, RFC 8032 refuses it.
func addOrder(sig []byte) []byte {
	s := slices.Clone(sig[32:])
	slices.Reverse(s)
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), orderOfEd25519).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(slices.Clone(sig[:32]), sum...)
}

// otherHalf is the same ECDSA signature with N - S for S, in DER.
func otherHalf(der []byte) []byte {
	r := der[4 : 4+int(der[3])]
	s := der[4+len(r)+2:]
	other := new(big.Int).Sub(orderOfSecp256k1, new(big.Int).SetBytes(s)).Bytes()
	if other[0]&0x80 != 0 {
		other = append([]byte{0}, other...)
	}
	body := slices.Concat([]byte{2, byte(len(r))}, r, []byte{2, byte(len(other))}, other)
	return append([]byte{0x30, byte(len(body))}, body...)
}

// paddingBits sets a bit that the padding of base64 leaves unused.
func paddingBits(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	at := strings.Index(text, "=") - 1
	if at < 0 {
		panic("no padding in " + text)
	}
	return text[:at] + string(alphabet[strings.IndexByte(alphabet, text[at])|1]) + text[at+1:]
}

// smallOrder is a token of the key that is the neutral element, whose signature (R neutral, S 0) fits every text.
func smallOrder() *ucan.Token {
	neutral := append([]byte{1}, make([]byte, 31)...)
	issuer := did.FromPublicKey(must(libp2p.UnmarshalEd25519PublicKey(neutral)))
	return &ucan.Token{DMS: &ucan.DMSToken{
		Action: ucan.Invoke, Issuer: issuer, Subject: bob.did, Capability: caps("/x"), Nonce: bytes.Repeat([]byte{7}, 12),
		Expire: expires, Signature: append(slices.Clone(neutral), make([]byte, 32)...),
	}}
}

// uncompressedOf is the long form of a secp256k1 key: 04, x, y.
func uncompressedOf(compressed []byte) []byte {
	p := number("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f")
	x := new(big.Int).SetBytes(compressed[1:])
	square := new(big.Int).Exp(x, big.NewInt(3), p)
	square.Add(square, big.NewInt(7)).Mod(square, p)
	y := new(big.Int).ModSqrt(square, p)
	if y.Bit(0) != uint(compressed[0]&1) {
		y.Sub(p, y)
	}
	return slices.Concat([]byte{4}, compressed[1:], y.FillBytes(make([]byte, 32)))
}
