package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	libp2p "github.com/libp2p/go-libp2p/core/crypto"
	mb "github.com/multiformats/go-multibase"

	"gitlab.com/nunet/device-management-service/lib/crypto"
	"gitlab.com/nunet/device-management-service/lib/crypto/keystore"
)

func keyVectors(v *vectors) {
	v.how = "private keys in libp2p's protobuf, in hex, then altered."
	add := func(name string, data []byte) { v.add(Case{Name: name, Kind: "key", Text: hex.EncodeToString(data)}) }
	for _, p := range people {
		add("key of "+p.name, must(crypto.PrivateKeyToBytes(p.key)))
	}
	good := must(crypto.PrivateKeyToBytes(alice.key))
	secp := must(crypto.PrivateKeyToBytes(sally.key))
	raw := must(alice.key.Raw())
	add("public key repeated, as the first versions wrote it", slices.Concat([]byte{8, 1, 0x12, 96}, raw, raw[32:]))
	add("public key repeated, but another", slices.Concat([]byte{8, 1, 0x12, 96}, raw, make([]byte, 32)))
	add("public key of another", slices.Concat(good[:len(good)-32], must(bob.key.GetPublic().Raw())))
	add("seed alone", slices.Concat([]byte{8, 1, 0x12, 32}, raw[:32]))
	add("raw key", raw)
	add("nothing", nil)
	add("cut", good[:len(good)-1])
	add("a byte after it", append(slices.Clone(good), 0))
	add("an unknown field after it", append(slices.Clone(good), 0x18, 1))
	add("members in the other order", slices.Concat(good[2:], good[:2]))
	add("type twice, the last right", slices.Concat([]byte{8, 2}, good))
	add("type in a longer varint", slices.Concat([]byte{8, 0x81, 0}, good[2:]))
	add("type missing", good[2:])
	add("data missing", good[:2])
	add("type unknown", slices.Concat([]byte{8, 9}, good[2:]))
	add("type of a wallet", slices.Concat([]byte{8, 127}, good[2:]))
	add("secp256k1: zero", slices.Concat(secp[:4], make([]byte, 32)))
	add("secp256k1: the order", slices.Concat(secp[:4], orderOfSecp256k1.Bytes()))
	add("secp256k1: 31 bytes", slices.Concat([]byte{8, 2, 0x12, 31}, secp[4:35]))
	p256, _, err := libp2p.ECDSAKeyPairFromKey(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	if err != nil {
		panic(err)
	}
	add("ECDSA", must(crypto.PrivateKeyToBytes(p256)))
}

const passphrase = "correct horse battery staple"

func keystoreVectors(v *vectors) {
	v.how = "key files: the first two at the cost that its users have, the others at scrypt n=16 by its own test switch; then altered."
	add := func(name, text, passphrase string) {
		v.add(Case{Name: name, Kind: "keystore", Text: text, Passphrase: passphrase})
	}
	file := func(id string, data []byte, passphrase string) string {
		return string(must(must(keystore.NewKey(id, data)).MarshalToJSON(passphrase)))
	}
	private := must(crypto.PrivateKeyToBytes(alice.key))
	add("standard cost", file("dms", private, passphrase), passphrase)
	add("standard cost, secp256k1", file("user", must(crypto.PrivateKeyToBytes(sally.key)), passphrase), passphrase)
	keystore.SetTestScryptParams(16, 8, 1)
	defer keystore.ResetScryptParamsToDefaults()
	good := file("dms", private, passphrase)
	add("small cost", good, passphrase)
	add("another passphrase", good, passphrase+" ")
	add("no passphrase", good, "")
	add("passphrase beyond ASCII", file("dms", private, "пароль 密码"), "пароль 密码")
	add("id escaped", file(`a<b>"&`, private, passphrase), passphrase)
	add("id empty", file("", private, passphrase), passphrase)
	add("not a key inside", file("dms", []byte("hello"), passphrase), passphrase)
	add("nothing inside", file("dms", nil, passphrase), passphrase)
	field := func(name string) string { // the text of a member, from its quote to the next
		at := strings.Index(good, `"`+name+`": "`) + len(name) + 5
		return good[at : at+strings.IndexByte(good[at:], '"')]
	}
	alter := func(name, from, to string) { add(name, change(good, from, to), passphrase) }
	alter("ciphertext altered", field("ciphertext"), flipHex(field("ciphertext")))
	alter("ciphertext odd", field("ciphertext"), field("ciphertext")[1:])
	alter("ciphertext in capitals", field("ciphertext"), strings.ToUpper(field("ciphertext")))
	alter("ciphertext no hex", field("ciphertext"), "zz"+field("ciphertext")[2:])
	alter("mac altered", field("mac"), flipHex(field("mac")))
	alter("mac empty", field("mac"), "")
	alter("salt altered", field("salt"), flipHex(field("salt")))
	alter("iv altered", field("iv"), flipHex(field("iv")))
	alter("version 2", `"version": 3`, `"version": 2`)
	alter("version a text", `"version": 3`, `"version": "3"`)
	alter("cipher of another", "aes-256-ctr", "aes-128-ctr")
	alter("kdf of another", `"scrypt"`, `"pbkdf2"`)
	alter("n altered", `"n": 16`, `"n": 32`)
	alter("n zero", `"n": 16`, `"n": 0`)
	alter("n no power of two", `"n": 16`, `"n": 15`)
	alter("n negative", `"n": 16`, `"n": -16`)
	alter("r zero", `"r": 8`, `"r": 0`)
	alter("p zero", `"p": 1`, `"p": 0`)
	alter("dklen longer", `"dklen": 64`, `"dklen": 65`)
	alter("dklen shorter", `"dklen": 64`, `"dklen": 32`)
	alter("an unknown member", `"version"`, `"comment": "x",
  "version"`)
	alter("members in capitals", `"crypto"`, `"CRYPTO"`)
	alter("a member twice", `"version": 3`, `"version": 3, "version": 3`)
	add("compact", strings.NewReplacer("\n", "", "  ", "").Replace(good), passphrase)
	add("something after it", good+"x", passphrase)
	add("empty", "", passphrase)
}

func didVectors(v *vectors) {
	v.how = "DIDs, the keys in them and the handles of the root actors of those keys; peer ids likewise."
	add := func(name, text string) { v.add(Case{Name: name, Kind: "did", Text: text}) }
	multicodec := func(name string, prefix, raw []byte) {
		add(name, "did:key:"+must(mb.Encode(mb.Base58BTC, slices.Concat(prefix, raw))))
	}
	for _, p := range people {
		add("key of "+p.name, p.did.URI)
		v.add(Case{Name: "peer id of " + p.name, Kind: "peer", Text: p.party().Peer})
	}
	raw := must(alice.key.GetPublic().Raw())
	secp := must(sally.key.GetPublic().Raw())
	multicodec("ed25519 of 31 bytes", []byte{0xed, 1}, raw[:31])
	multicodec("ed25519 of 33 bytes", []byte{0xed, 1}, append(slices.Clone(raw), 0))
	multicodec("ed25519, not a point", []byte{0xed, 1}, append([]byte{2}, make([]byte, 31)...))
	multicodec("ed25519, the neutral element", []byte{0xed, 1}, append([]byte{1}, make([]byte, 31)...))
	multicodec("ed25519, y beyond the prime", []byte{0xed, 1}, append([]byte{0xee}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...))
	multicodec("ed25519 with a longer varint", []byte{0xed, 0x81, 0}, raw)
	multicodec("secp256k1 uncompressed", []byte{0xe7, 1}, uncompressedOf(secp))
	multicodec("secp256k1, not a point", []byte{0xe7, 1}, append([]byte{2}, bytes.Repeat([]byte{0xff}, 32)...))
	multicodec("secp256k1 of 32 bytes", []byte{0xe7, 1}, secp[:32])
	multicodec("a wallet's secp256k1", []byte{0x81, 0xde, 3}, secp)
	multicodec("x25519", []byte{0xec, 1}, raw)
	multicodec("p256", []byte{0x80, 0x24}, secp)
	multicodec("no code", nil, nil)
	add("empty", "")
	add("no identifier", "did:key:")
	add("no method", "did::"+alice.did.Identifier())
	add("no scheme", "key:"+alice.did.Identifier())
	add("another scheme", "xid:key:"+alice.did.Identifier())
	add("scheme in capitals", "DID:key:"+alice.did.Identifier())
	add("method in capitals", "did:KEY:"+alice.did.Identifier())
	add("another method", "did:web:example.org")
	add("prism", "did:prism:abc")
	add("four parts", alice.did.URI+":x")
	add("with a fragment", alice.did.URI+"#"+alice.did.Identifier())
	add("with a space", alice.did.URI+" ")
	add("with a line feed", alice.did.URI+"\n")
	add("a letter outside base58", alice.did.URI[:len(alice.did.URI)-1]+"0")
	add("one letter more", alice.did.URI+"1")
	add("a leading one", "did:key:z1"+alice.did.Identifier()[1:])
	add("base64url", "did:key:"+must(mb.Encode(mb.Base64url, slices.Concat([]byte{0xed, 1}, raw))))
	add("base16", "did:key:"+must(mb.Encode(mb.Base16, slices.Concat([]byte{0xed, 1}, raw))))
	peers := func(name, text string) { v.add(Case{Name: "peer id " + name, Kind: "peer", Text: text}) }
	peers("empty", "")
	peers("of an RSA key, a hash", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N")
	peers("cut", alice.party().Peer[:40])
	peers("that is a DID", alice.did.URI)
}

func flipHex(text string) string {
	if text[0] == '0' {
		return "1" + text[1:]
	}
	return "0" + text[1:]
}
