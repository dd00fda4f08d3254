package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"gitlab.com/nunet/device-management-service/lib/did"
	"gitlab.com/nunet/device-management-service/lib/ucan"
)

func text(token *ucan.Token) string { return string(must(json.Marshal(token))) }

func (v *vectors) token(name string, token *ucan.Token) { v.tokenText(name, text(token)) }

func (v *vectors) tokenText(name, text string) { v.add(Case{Name: name, Kind: "token", Text: text}) }

func tokenVectors(v *vectors) {
	v.how = "tokens as its API issues them, then texts altered and claims signed that it would not issue; verified at `now` with nothing revoked."
	soundTokens(v)
	unsoundClaims(v)
	alteredClaims(v)
	alteredSpelling(v)
	alteredSignatures(v)
}

// chain is a delegation of `links` links, the first by alice.
func chain(links int) (*ucan.Token, *person) {
	path := []*person{alice, bob, carol, dave, erin, org}
	token := alice.grant(ucan.Delegate, bob, did.DID{}, 0, []string{"/nunet"}, "/dms/node", "/dms/cap")
	for i := 1; i < links; i++ {
		token = must(token.Delegate(path[i].provider, path[i+1].did, did.DID{}, caps("/nunet"), expires-uint64(i)*hour, 0,
			caps("/dms/node")))
	}
	return token, path[links]
}

func soundTokens(v *vectors) {
	for links := 1; links <= 5; links++ {
		token, holder := chain(links)
		v.token(fmt.Sprintf("delegation of %d links", links), token)
		deadline := token.Expire()
		v.token(fmt.Sprintf("invocation on %d delegations", links),
			must(token.DelegateInvocation(holder.provider, mallory.did, alice.did, deadline, caps("/dms/node/peers/list"))))
		v.token(fmt.Sprintf("broadcast on %d delegations", links),
			must(token.DelegateBroadcast(holder.provider, mallory.did, "/nunet/hello", deadline, caps("/dms/node"))))
		issuer := []*person{alice, bob, carol, dave, erin}[links-1]
		v.token(fmt.Sprintf("revocation of link %d", links), must(issuer.context.Revoke(token)))
	}
	v.token("invocation of everything", alice.grant(ucan.Invoke, alice, alice.did, 0, nil, "/"))
	v.token("no topics", alice.grant(ucan.Delegate, bob, did.DID{}, 0, []string{}, "/x"))
	v.token("depth one", alice.grant(ucan.Delegate, bob, did.DID{}, 1, nil, "/x"))
	v.token("an audience", alice.grant(ucan.Delegate, bob, carol.did, 0, nil, "/x"))
	v.token("several topics and capabilities",
		alice.grant(ucan.Broadcast, bob, did.DID{}, 0, []string{"/nunet/a", "/nunet/b"}, "/a", "/b", "/c/d"))
	v.token("no capabilities", alice.grant(ucan.Delegate, bob, did.DID{}, 0, nil))
	v.token("capabilities null", must(alice.context.Grant(ucan.Delegate, bob.did, did.DID{}, nil, expires, 0, nil)).Tokens[0])
	v.token("signed by a secp256k1 key", sally.grant(ucan.Delegate, bob, did.DID{}, 0, nil, "/x"))
	v.token("a secp256k1 key in the chain", must(alice.grant(ucan.Delegate, sally, did.DID{}, 0, nil, "/x").
		DelegateInvocation(sally.provider, bob.did, alice.did, expires, caps("/x/y"))))
	v.token("subject of an unknown method",
		must(alice.context.Grant(ucan.Delegate, did.DID{URI: "did:prism:abc"}, did.DID{}, nil, expires, 0, caps("/x"))).Tokens[0])
	for _, c := range []struct{ name, path string }{
		{"escaped for HTML", "/a<b>&c"}, {"with quote and backslash", `/a"b\c'd`}, {"with a space", "/a b"},
		{"beyond ASCII", "/ü/日本/😀"}, {"with line separators", "/a\u2028b\u2029c"},
		{"with control characters", "/a\x00\x01\b\f\n\r\t\x1f\x7f"}, {"without a slash", "dms"}, {"with a trailing slash", "/dms/"},
		{"empty", ""}, {"with slashes doubled", "//dms//node"}, {"of 256 bytes", "/" + strings.Repeat("x", 255)},
		{"of 257 bytes", "/" + strings.Repeat("x", 256)},
	} {
		v.token("capability "+c.name, alice.grant(ucan.Delegate, bob, did.DID{}, 0, nil, c.path))
		v.token("topic "+c.name, alice.grant(ucan.Broadcast, bob, did.DID{}, 0, []string{c.path}, "/x"))
	}
	for _, c := range []struct {
		name     string
		deadline uint64
	}{{"a second ago", startOfTime - uint64(1e9)}, {"never", 1<<64 - 1}, {"at the beginning", 1}} {
		v.token("expires "+c.name, must(alice.context.Grant(ucan.Invoke, bob.did, alice.did, nil, c.deadline, 0, caps("/x"))).Tokens[0])
	}
	v.token("64 capabilities", alice.grant(ucan.Delegate, bob, did.DID{}, 0, nil, strings.Fields(strings.Repeat("/x ", 64))...))
	v.token("65 capabilities", alice.grant(ucan.Delegate, bob, did.DID{}, 0, nil, strings.Fields(strings.Repeat("/x ", 65))...))
	v.token("65 topics", alice.grant(ucan.Delegate, bob, did.DID{}, 0, strings.Fields(strings.Repeat("/x ", 65)), "/x"))
	self := alice.grant(ucan.Delegate, alice, did.DID{}, 0, nil, "/x")
	for links := 2; links <= 17; links++ {
		self = must(self.Delegate(alice.provider, alice.did, did.DID{}, nil, expires, 0, caps("/x")))
		if links >= 16 {
			v.token(fmt.Sprintf("delegation of %d links", links), self)
		}
	}
}

// unsoundClaims are signed by those whom they name, and claim what they must not.
func unsoundClaims(v *vectors) {
	given := alice.grant(ucan.Delegate, bob, did.DID{}, 0, []string{"/nunet"}, "/dms/node")
	once := alice.grant(ucan.Delegate, bob, did.DID{}, 1, nil, "/x")
	narrow := alice.grant(ucan.Delegate, bob, carol.did, 0, nil, "/x")
	invoke := func(parent *ucan.Token, paths ...string) ucan.DMSToken {
		return ucan.DMSToken{Action: ucan.Invoke, Subject: bob.did, Audience: alice.did, Capability: caps(paths...), Chain: parent}
	}
	with := func(claims ucan.DMSToken, edit func(*ucan.DMSToken)) ucan.DMSToken { edit(&claims); return claims }
	v.token("widened: the parent's sibling", bob.sign(invoke(given, "/dms/cap")))
	v.token("widened: the parent's parent", bob.sign(invoke(given, "/dms")))
	v.token("widened: everything", bob.sign(invoke(given, "/")))
	v.token("widened: same beginning", bob.sign(invoke(given, "/dms/nodes")))
	v.token("widened: one of two", bob.sign(invoke(given, "/dms/node", "/dms/cap")))
	v.token("widened: the empty capability", bob.sign(invoke(given, "")))
	v.token("capability repeated", bob.sign(invoke(given, "/dms/node", "/dms/node")))
	v.token("climbing path", bob.sign(invoke(given, "/dms/node/../cap")))
	v.token("letter case of the path", bob.sign(invoke(given, "/DMS/node")))
	v.token("topic widened", bob.sign(with(invoke(given, "/dms/node"), func(t *ucan.DMSToken) { t.Topic = caps("/other") })))
	v.token("topic where the parent has none", bob.sign(with(invoke(once, "/x"), func(t *ucan.DMSToken) { t.Topic = caps("/nunet") })))
	v.token("topic widened, no capabilities", bob.sign(with(invoke(given), func(t *ucan.DMSToken) { t.Topic = caps("/other") })))
	v.token("audience dropped", bob.sign(with(invoke(narrow, "/x"), func(t *ucan.DMSToken) { t.Audience = did.DID{} })))
	v.token("audience exchanged", bob.sign(invoke(narrow, "/x")))
	v.token("audience exchanged, no capabilities", bob.sign(invoke(narrow)))
	v.token("audience kept", bob.sign(with(invoke(narrow, "/x"), func(t *ucan.DMSToken) { t.Audience = carol.did })))
	v.token("outlives its parent", bob.sign(with(invoke(given, "/dms/node"), func(t *ucan.DMSToken) { t.Expire = expires + 1 })))
	v.token("outlives its parent, no capabilities", bob.sign(with(invoke(given), func(t *ucan.DMSToken) { t.Expire = expires + 1 })))
	v.token("parent has expired", bob.sign(with(invoke(alice.sign(ucan.DMSToken{Action: ucan.Delegate, Subject: bob.did,
		Capability: caps("/x"), Expire: startOfTime - hour}), "/x"), func(t *ucan.DMSToken) { t.Expire = startOfTime - hour })))
	v.token("issuer is not the parent's subject", mallory.sign(invoke(given, "/dms/node")))
	v.token("issuer is not the parent's subject, no capabilities", mallory.sign(invoke(given)))
	v.token("parent is an invocation", bob.sign(invoke(alice.grant(ucan.Invoke, bob, alice.did, 0, nil, "/x"), "/x")))
	v.token("parent is a broadcast", bob.sign(invoke(alice.grant(ucan.Broadcast, bob, did.DID{}, 0, []string{"/t"}, "/x"), "/x")))
	v.token("parent is a revocation", bob.sign(invoke(must(alice.context.Revoke(given)), "/dms/node")))
	v.token("parent is of the other kind", bob.sign(invoke(&ucan.Token{UCAN: &ucan.BYOToken{}}, "/x")))
	v.token("parent is nothing", bob.sign(invoke(&ucan.Token{}, "/x")))
	mid := bob.sign(ucan.DMSToken{Action: ucan.Delegate, Subject: carol.did, Capability: caps("/x"), Chain: once})
	v.token("depth one, one link after", mid)
	v.token("depth one, two links after", carol.sign(invoke(mid, "/x")))
	v.token("depth raised by the delegate", carol.sign(invoke(bob.sign(ucan.DMSToken{Action: ucan.Delegate, Subject: carol.did,
		Capability: caps("/x"), Chain: once, Depth: 100}), "/x")))
	v.token("depth of the token itself", bob.sign(with(invoke(given, "/dms/node"), func(t *ucan.DMSToken) { t.Depth = 1 })))
	v.token("largest depth", alice.sign(ucan.DMSToken{Action: ucan.Delegate, Subject: bob.did, Capability: caps("/x"), Depth: 1<<64 - 1}))
	v.token("unknown action", alice.sign(ucan.DMSToken{Action: "own", Subject: bob.did, Capability: caps("/x")}))
	v.token("no action", alice.sign(ucan.DMSToken{Subject: bob.did, Capability: caps("/x")}))
	v.token("action in capitals", alice.sign(ucan.DMSToken{Action: "INVOKE", Subject: bob.did, Capability: caps("/x")}))
	v.token("no subject", alice.sign(ucan.DMSToken{Action: ucan.Invoke, Capability: caps("/x")}))
	v.token("nonce empty", alice.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: bob.did, Capability: caps("/x"), Nonce: []byte{}}))
	v.token("nonce of 11 bytes", alice.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: bob.did, Capability: caps("/x"), Nonce: []byte("elevenbytes")}))
	v.token("nonce of 13 bytes", alice.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: bob.did, Capability: caps("/x"), Nonce: []byte("thirteenbytes")}))
	v.token("signed in another's name", mallory.sign(ucan.DMSToken{Action: ucan.Invoke, Issuer: alice.did, Subject: mallory.did, Capability: caps("/")}))
	v.token("issuer of an unknown method", alice.sign(ucan.DMSToken{Action: ucan.Invoke, Issuer: did.DID{URI: "did:web:example.org"}, Subject: bob.did, Capability: caps("/x")}))
	v.token("issuer has a fragment", alice.sign(ucan.DMSToken{Action: ucan.Invoke, Issuer: did.DID{URI: alice.did.URI + "#" + alice.did.Identifier()}, Subject: bob.did, Capability: caps("/x")}))
	v.token("subject is no DID", alice.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: did.DID{URI: "bob"}, Capability: caps("/x")}))
	v.token("audience is no DID", alice.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: bob.did, Audience: did.DID{URI: "a:b"}, Capability: caps("/x")}))
	v.token("revocation with a chain", bob.sign(ucan.DMSToken{Action: ucan.Revoke, Subject: carol.did, Capability: caps("/x"), Chain: given}))
	v.token("revocation that has expired", alice.sign(ucan.DMSToken{Action: ucan.Revoke, Subject: bob.did, Capability: caps("/x"), Expire: startOfTime - hour}))
	v.token("revocation in another's name", mallory.sign(ucan.DMSToken{Action: ucan.Revoke, Issuer: alice.did, Subject: bob.did, Capability: caps("/x")}))
}

// specimen is the token whose text is altered: an invocation by bob on a delegation of alice's.
func specimen() (string, *ucan.Token, *ucan.Token) {
	given := alice.grant(ucan.Delegate, bob, did.DID{}, 0, []string{"/nunet"}, "/dms/node")
	token := must(given.DelegateInvocation(bob.provider, carol.did, alice.did, expires, caps("/dms/node/vm")))
	return text(token), given, token
}

func alteredClaims(v *vectors) {
	good, given, token := specimen()
	v.tokenText("specimen", good)
	own := strings.SplitAfter(good, `"chain":`)[0] // the members before the chain are the token's own
	alter := func(name, from, to string) { v.tokenText("altered "+name, change(own, from, to)+good[len(own):]) }
	alter("action", `"invoke"`, `"delegate"`)
	alter("issuer", bob.did.URI, mallory.did.URI)
	alter("subject", carol.did.URI, mallory.did.URI)
	alter("audience", alice.did.URI, mallory.did.URI)
	alter("audience to nobody", `{"uri":"`+alice.did.URI+`"}`, `{}`)
	alter("capability", "/dms/node/vm", "/dms/node")
	alter("capabilities, one more", `["/dms/node/vm"]`, `["/dms/node/vm","/dms/node/peers"]`)
	alter("topic", `,"cap":`, `,"topic":["/nunet"],"cap":`)
	alter("expiry earlier", fmt.Sprint(expires), fmt.Sprint(expires-1))
	alter("depth", `,"chain":`, `,"depth":5,"chain":`)
	alter("nonce", base64Of(token.Nonce()), base64Of([]byte("another one!")))
	alter("chain dropped", `,"chain":`, `,"was":`)
	v.tokenText("altered parent's capability", change(good, `["/dms/node"]`, `["/"]`))
	v.tokenText("altered parent's topic", change(good, `"topic":["/nunet"],`, ``))
	v.tokenText("altered parent for an equal one",
		change(good, text(given), text(alice.grant(ucan.Delegate, bob, did.DID{}, 0, []string{"/nunet"}, "/dms/node"))))
	v.tokenText("altered: the kind emptied", `{"dms":{}}`)
	v.tokenText("altered: no kind", `{}`)
	v.tokenText("altered: the other kind", `{"ucan":{}}`)
	v.tokenText("altered: both kinds", change(good, `{"dms":`, `{"ucan":{},"dms":`))
	v.tokenText("altered: both kinds in the chain", change(good, `"chain":{"dms":`, `"chain":{"ucan":{},"dms":`))
	v.token("both kinds in the chain, and signed", bob.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: carol.did,
		Capability: caps("/dms/node"), Chain: &ucan.Token{DMS: given.DMS, UCAN: &ucan.BYOToken{}}}))
}

func alteredSpelling(v *vectors) {
	good, _, token := specimen()
	spell := func(name, from, to string) { v.tokenText("spelt with "+name, change(good, from, to)) }
	spell("white space", `{"act":"invoke",`, " {\t\"act\" :\n\"invoke\" ,\r")
	spell("an unknown member", `{"act":`, `{"new":{"a":[1,null]},"act":`)
	spell("a member of a token to come in the wrapper", `{"dms":`, `{"v":1,"dms":`)
	spell("members in another order", `{"act":"invoke",`, `{"depth":0,"act":"invoke",`)
	spell("a member in capitals", `"act"`, `"ACT"`)
	spell("the wrapper in capitals", `"dms"`, `"DMS"`)
	spell("a member with a long s", `"iss"`, `"i\u017fs"`)
	spell("a member's escaped name", `"act"`, `"\u0061ct"`)
	spell("a value escaped", `/dms/node/vm`, `\/dms\u002fnode\/vm`)
	spell("a member twice, the same", `{"act":"invoke",`, `{"act":"invoke","act":"invoke",`)
	spell("a member twice, the last right", `{"act":"invoke",`, `{"act":"delegate","act":"invoke",`)
	spell("a member twice, the last wrong", `"cap":["/dms/node/vm"],`, `"cap":["/dms/node/vm"],"cap":["/"],`)
	spell("a member twice in two cases, the last right", `"cap":["/dms/node/vm"],`, `"CAP":["/"],"cap":["/dms/node/vm"],`)
	spell("a member twice in two cases, the last wrong", `"cap":["/dms/node/vm"],`, `"cap":["/dms/node/vm"],"CAP":["/"],`)
	spell("a member twice, once with a long s", `"sub":`, `"\u017fub":{"uri":"`+mallory.did.URI+`"},"sub":`)
	spell("a member twice, the last with a long s", `"aud":`, `"\u017fub":{"uri":"`+mallory.did.URI+`"},"aud":`)
	spell("the chain twice in two cases", `,"chain":`, `,"CHAIN":{"dms":{}},"chain":`)
	spell("the wrapper twice in two cases", `{"dms":`, `{"DMS":{"act":"delegate"},"dms":`)
	spell("a null topic", `,"cap":`, `,"topic":null,"cap":`)
	spell("an empty topic", `,"cap":`, `,"topic":[],"cap":`)
	spell("a null depth", `,"nonce":`, `,"depth":null,"nonce":`)
	spell("a depth of minus zero", `,"nonce":`, `,"depth":-0,"nonce":`)
	spell("a null audience", `"aud":{"uri":"`+alice.did.URI+`"}`, `"aud":null`)
	spell("a null nonce", `"nonce":"`+base64Of(token.Nonce())+`"`, `"nonce":null`)
	spell("null capabilities", `["/dms/node/vm"]`, `null`)
	spell("a null among the capabilities", `["/dms/node/vm"]`, `["/dms/node/vm",null]`)
	spell("a number for a capability", `"/dms/node/vm"`, `1`)
	spell("a text for the capabilities", `["/dms/node/vm"]`, `"/dms/node/vm"`)
	spell("a text for the issuer", `{"uri":"`+bob.did.URI+`"}`, `"`+bob.did.URI+`"`)
	spell("an unknown member in the issuer", `{"uri":"`+bob.did.URI, `{"x":1,"uri":"`+bob.did.URI)
	for _, number := range []string{"4102444800000000000.0", "41024448e11", "-1", "-0", "18446744073709551616", `"4102444800000000000"`, "04102444800000000000", "+4102444800000000000", "null", "true"} {
		spell("expiry "+number, fmt.Sprint(expires), number)
	}
	spell("an action that is a number", `"act":"invoke"`, `"act":1`)
	spell("a nonce in base64url", base64Of(token.Nonce()), "__-_"+base64Of(token.Nonce())[4:])
	spell("a nonce in a list", `"nonce":"`+base64Of(token.Nonce())+`"`, `"nonce":[1,2,3,4,5,6,7,8,9,10,11,12]`)
	v.tokenText("spelt with something after it", good+" {}")
	v.tokenText("spelt with a comma after it", good+",")
	v.tokenText("spelt with white space after it", good+" \n")
	v.tokenText("spelt with a byte order mark", "\ufeff"+good)
	v.tokenText("spelt with a comment", change(good, `{"dms"`, `/*x*/{"dms"`))
	v.tokenText("spelt with a trailing comma", changeLast(good, "}}", ",}}"))
	v.tokenText("spelt in single quotes", change(good, `"dms"`, `'dms'`))
	v.tokenText("spelt with a control character", change(good, "/dms/node/vm", "/dms/node/vm\x01"))
	v.tokenText("spelt with half a surrogate pair", change(good, "/dms/node/vm", `/dms/node/vm\ud800`))
	v.add(Case{Name: "spelt with invalid UTF-8", Kind: "token", Bytes: []byte(change(good, "/dms/node/vm", "/dms/node/vm\xff"))})
	v.add(Case{Name: "spelt with invalid UTF-8 in an unknown member", Kind: "token", Bytes: []byte(change(good, `{"act"`, "{\"x\":\"\xff\",\"act\""))})
	v.tokenText("spelt with nothing", "")
	v.tokenText("spelt null", "null")
	v.tokenText("spelt as a list", "["+good+"]")
	v.tokenText("spelt half", good[:len(good)/2])
	v.tokenText("spelt with deep nesting in an unknown member",
		change(good, `{"act"`, `{"x":`+strings.Repeat("[", 200)+strings.Repeat("]", 200)+`,"act"`))
}

func alteredSignatures(v *vectors) {
	good, given, token := specimen()
	sig := token.DMS.Signature
	set := func(name string, to string) { v.tokenText("signature "+name, changeLast(good, base64Of(sig), to)) }
	flip := func(of []byte, at int) []byte {
		of = append([]byte(nil), of...)
		of[at] ^= 1
		return of
	}
	set("with its first bit off", base64Of(flip(sig, 0)))
	set("with a bit of S off", base64Of(flip(sig, 40)))
	set("with its last bit off", base64Of(flip(sig, 63)))
	set("of the parent", base64Of(given.DMS.Signature))
	set("empty", "")
	set("too short", base64Of(sig[:63]))
	set("too long", base64Of(append(append([]byte(nil), sig...), 0)))
	set("of zeros", base64Of(make([]byte, 64)))
	set("with S beyond the order", base64Of(addOrder(sig)))
	set("without padding", strings.TrimRight(base64Of(sig), "="))
	set("in base64url", strings.NewReplacer("+", "-", "/", "_").Replace(base64Of(sig)))
	set("with a line feed in it", base64Of(sig)[:20]+`\n`+base64Of(sig)[20:])
	set("with a space in it", base64Of(sig)[:20]+` `+base64Of(sig)[20:])
	set("with other padding bits", paddingBits(base64Of(sig)))
	v.tokenText("signature missing", changeLast(good, `,"sig":"`+base64Of(sig)+`"`, ""))
	v.tokenText("signature null", changeLast(good, `"`+base64Of(sig)+`"`, "null"))
	v.tokenText("signature of the parent altered", change(good, base64Of(given.DMS.Signature), base64Of(flip(given.DMS.Signature, 3))))
	der := sally.grant(ucan.Invoke, bob, did.DID{}, 0, nil, "/x")
	set = func(name string, to string) {
		v.tokenText("secp256k1 signature "+name, change(text(der), base64Of(der.DMS.Signature), to))
	}
	set("with a byte after it", base64Of(append(append([]byte(nil), der.DMS.Signature...), 0)))
	set("with its last bit off", base64Of(flip(der.DMS.Signature, len(der.DMS.Signature)-1)))
	set("cut", base64Of(der.DMS.Signature[:len(der.DMS.Signature)-1]))
	set("with S from the other half", base64Of(otherHalf(der.DMS.Signature)))
	set("in a long form of its length", base64Of(append([]byte{0x30, 0x81}, der.DMS.Signature[1:]...)))
	v.token("signature by a key of small order", smallOrder())
}
