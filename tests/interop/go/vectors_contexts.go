package main

import (
	"strings"

	"gitlab.com/nunet/device-management-service/lib/did"
	"gitlab.com/nunet/device-management-service/lib/ucan"
)

// anchors are what a context is told to trust and use.
type anchors struct {
	roots                    []did.DID
	require, provide, revoke ucan.TokenList
}

// saved is the file of p's context with these anchors, as the reference writes it.
func saved(p *person, a anchors) string {
	context := p.fresh()
	if err := context.AddRoots(a.roots, a.require, a.provide, a.revoke); err != nil {
		panic(err)
	}
	var file strings.Builder
	if err := ucan.SaveCapabilityContext(context, &file); err != nil {
		panic(err)
	}
	return file.String()
}

func (v *vectors) context(name string, owner *person, text string) {
	v.add(Case{Name: name, Kind: "context", Key: owner.private(), Text: text})
}

func contextVectors(v *vectors) {
	v.how = "capability contexts as it saves them, then altered; loaded with the owner's key."
	given := alice.grant(ucan.Delegate, bob, did.DID{}, 0, []string{"/nunet"}, "/dms/node")
	wide := alice.grant(ucan.Delegate, bob, did.DID{}, 0, nil, "/dms")
	other := org.grant(ucan.Delegate, bob, did.DID{}, 2, nil, "/dms/deployment")
	required := bob.grant(ucan.Delegate, org, did.DID{}, 0, []string{"/nunet"}, "/public", "/a<b>&c")
	gone := must(bob.context.Revoke(bob.grant(ucan.Delegate, carol, did.DID{}, 0, nil, "/x")))
	v.context("empty", bob, saved(bob, anchors{}))
	v.context("of a secp256k1 key", sally, saved(sally, anchors{roots: []did.DID{alice.did}}))
	v.context("one root", bob, saved(bob, anchors{roots: []did.DID{alice.did}}))
	v.context("root of an unknown method", bob, saved(bob, anchors{roots: []did.DID{{URI: "did:prism:abc"}}}))
	v.context("require", bob, saved(bob, anchors{require: list(required)}))
	v.context("provide", bob, saved(bob, anchors{provide: list(given)}))
	v.context("provide, several of one issuer", bob, saved(bob, anchors{provide: list(given, org2(), wide)}))
	v.context("provide, of several issuers", bob, saved(bob, anchors{provide: list(given, other)}))
	v.context("provide, one within the other", bob, saved(bob, anchors{provide: list(alice.grant(ucan.Delegate, bob, did.DID{}, 0, nil, "/dms/a"), wide)}))
	v.context("revoke", bob, saved(bob, anchors{revoke: list(gone)}))
	all := saved(bob, anchors{roots: []did.DID{alice.did}, require: list(required), provide: list(given), revoke: list(gone)})
	v.context("everything", bob, all)
	chained, holder := chain(4)
	v.context("provide, a chain of four", holder, saved(holder, anchors{provide: list(chained)}))

	v.context("another's key", alice, all)
	v.context("nothing", bob, "")
	v.context("a list", bob, "[]")
	v.context("an empty object", bob, "{}")
	v.context("of nobody", bob, change(all, `{"did":{"uri":"`+bob.did.URI+`"}`, `{"did":{}`))
	v.context("names of the first versions", bob, strings.NewReplacer(`{"did":`, `{"DID":`, `"roots"`, `"Roots"`, `"require"`,
		`"Require"`, `"provide"`, `"Provide"`, `,"revoke":{"tok":[`+text(gone)+`]}`, ``).Replace(all))
	v.context("without a line feed", bob, strings.TrimSuffix(all, "\n"))
	v.context("something after it", bob, all+"{")
	v.context("an unknown member", bob, change(all, `{"did":`, `{"comment":"x","did":`))
	v.context("a member twice", bob, change(all, `,"roots":`, `,"roots":[],"roots":`))
	v.context("null lists", bob, `{"did":{"uri":"`+bob.did.URI+`"},"roots":null,"require":null,"provide":{"tok":null},"revoke":null}`)
	v.context("a root twice", bob, change(all, `"roots":[`, `"roots":[{"uri":"`+alice.did.URI+`"},`))
	v.context("the empty root", bob, change(all, `"roots":[`, `"roots":[{},`))
	v.context("a root that is no DID", bob, change(all, `"roots":[`, `"roots":[{"uri":"alice"},`))
	v.context("a provided token altered", bob, change(all, `"/dms/node"`, `"/dms"`))
	v.context("a required token altered", bob, change(all, `"/public"`, `"/dms"`))
	v.context("a revocation altered", bob, change(all, `["/x"]`, `["/y"]`))
	v.context("a provided token expired", bob, change(all, text(given), text(alice.sign(ucan.DMSToken{Action: ucan.Delegate, Subject: bob.did, Capability: caps("/x"), Expire: startOfTime - hour}))))
	v.context("a provided token expired and altered", bob, change(all, text(given), change(text(alice.sign(ucan.DMSToken{Action: ucan.Delegate, Subject: bob.did, Capability: caps("/x"), Expire: startOfTime - hour})), "/x", "/y")))
	v.context("a provided invocation", bob, change(all, text(given), text(alice.grant(ucan.Invoke, bob, did.DID{}, 0, nil, "/x"))))
	v.context("a provided token for another", bob, change(all, text(given), text(alice.grant(ucan.Delegate, carol, did.DID{}, 0, nil, "/x"))))
	v.context("a provided revocation", bob, change(all, text(given), text(gone)))
	v.context("a delegation among the revocations", bob, change(all, text(gone), text(given)))
	v.context("a provided token revoked", bob, change(all, text(gone), text(must(alice.context.Revoke(given)))))
	v.context("a revocation by another", bob, change(all, text(gone), text(must(mallory.context.Revoke(mallory.grant(ucan.Delegate, bob, did.DID{}, 0, nil, "/x"))))))
	v.context("a null among the tokens", bob, change(all, `"provide":{"tok":[`, `"provide":{"tok":[null,`))
	v.context("an empty object among the tokens", bob, change(all, `"provide":{"tok":[`, `"provide":{"tok":[{},`))
}

func org2() *ucan.Token {
	return alice.grant(ucan.Delegate, bob, did.DID{}, 1, nil, "/dms/cap", "/dms/vm")
}

// decision is whether a node permits a call.
type decision struct {
	v *vectors
	a anchors
}

func (d decision) invoke(name string, by *person, actor *person, tokens string, capability string) {
	d.v.add(Case{Name: name, Kind: "invoke", Key: alice.private(), Context: saved(alice, d.a), Origin: by.did.URI,
		Subject: actor.did.URI, Text: tokens, Capability: capability})
}

func (d decision) broadcast(name string, by *person, actor *person, tokens string, topic, capability string) {
	d.v.add(Case{Name: name, Kind: "broadcast", Key: alice.private(), Context: saved(alice, d.a), Origin: by.did.URI,
		Subject: actor.did.URI, Text: tokens, Topic: topic, Capability: capability})
}

// provided is what `by` sends along with a call of alice's node by its actor.
func provided(by *person, actor *person, provide ucan.TokenList, deadline uint64, capability string) string {
	context := by.fresh()
	if err := context.AddRoots(nil, ucan.TokenList{}, provide, ucan.TokenList{}); err != nil {
		panic(err)
	}
	return string(must(context.Provide(alice.did, actor.id, alice.id, deadline, caps(capability), caps("/dms/actor/replyto/1"))))
}

func published(by *person, actor *person, provide ucan.TokenList, topic, capability string) string {
	context := by.fresh()
	if err := context.AddRoots(nil, ucan.TokenList{}, provide, ucan.TokenList{}); err != nil {
		panic(err)
	}
	return string(must(context.ProvideBroadcast(actor.id, topic, expires-hour, caps(capability))))
}

func shown(tokens ...*ucan.Token) string {
	texts := make([]string, 0, len(tokens))
	for _, token := range tokens {
		texts = append(texts, text(token))
	}
	return `{"tok":[` + strings.Join(texts, ",") + `]}`
}

const peers = "/dms/node/peers/list"

func decisionVectors(v *vectors) {
	v.how = "what alice's node, with `context` and `key`, decides when `origin` sends the tokens of `text` (made by its Provide " +
		"and ProvideBroadcast, then altered) and the actor `subject` asks for `capability`: Consume, then Require."
	rootDecisions(v)
	requireDecisions(v)
	broadcastDecisions(v)
	listDecisions(v)
}

func rootDecisions(v *vectors) {
	noAnchors, root := decision{v, anchors{}}, decision{v, anchors{roots: []did.DID{bob.did}}}
	none, until := ucan.TokenList{}, expires-hour
	call := provided(bob, carol, none, until, peers) // carol is the key of bob's actor
	noAnchors.invoke("a stranger's call", bob, carol, call, peers)
	root.invoke("a root's call", bob, carol, call, peers)
	root.invoke("a root's call by another origin", mallory, carol, call, peers)
	root.invoke("a root's call, stolen", mallory, mallory, call, peers)
	root.invoke("a root's call, the same tokens for a sibling", bob, carol, call, "/dms/node/peers/connect")
	root.invoke("a root's call, the same tokens for the parent", bob, carol, call, "/dms/node/peers")
	root.invoke("a root's call of everything", bob, carol, provided(bob, carol, none, until, "/"), peers)
	root.invoke("a root's call without tokens", bob, carol, "{}", peers)
	root.invoke("the empty capability asked for", bob, carol, call, "")
	noAnchors.invoke("a call by the owner", alice, dave, provided(alice, dave, none, until, peers), peers)
	noAnchors.invoke("tokens of the owner, sent by another", mallory, dave, provided(alice, dave, none, until, peers), peers)
	given := alice.grant(ucan.Delegate, bob, did.DID{}, 0, nil, "/dms/node")
	noAnchors.invoke("a call on the owner's grant", bob, carol, provided(bob, carol, list(given), until, peers), peers)
	noAnchors.invoke("a call beyond the owner's grant", bob, carol, provided(bob, carol, list(given), until, "/dms/cap/list"), "/dms/cap/list")
	noAnchors.invoke("a call on the owner's grant for another node", bob, carol,
		provided(bob, carol, list(alice.grant(ucan.Delegate, bob, dave.did, 0, nil, "/dms/node")), until, peers), peers)
	for depth := uint64(1); depth <= 2; depth++ {
		limited := alice.grant(ucan.Delegate, bob, did.DID{}, depth, nil, "/dms/node")
		name := map[uint64]string{1: "depth one", 2: "depth two"}[depth]
		noAnchors.invoke("a call on a grant of "+name, bob, carol, provided(bob, carol, list(limited), until, peers), peers)
	}
	withdrawn := decision{v, anchors{revoke: list(must(alice.context.Revoke(given)))}}
	withdrawn.invoke("a call on a grant that was revoked", bob, carol, provided(bob, carol, list(given), until, peers), peers)
	root.invoke("an invocation by a root on another node", bob, carol, shown(bob.grant(ucan.Invoke, carol, dave.did, 0, nil, peers)), peers)
	root.invoke("an invocation by a root on any node", bob, carol, shown(bob.grant(ucan.Invoke, carol, did.DID{}, 0, nil, peers)), peers)
	root.invoke("a delegation by a root, used to invoke", bob, carol, shown(bob.grant(ucan.Delegate, carol, alice.did, 0, nil, peers)), peers)
	root.invoke("a broadcast by a root, used to invoke", bob, carol, shown(bob.grant(ucan.Broadcast, carol, did.DID{}, 0, []string{"/nunet"}, peers)), peers)
	root.invoke("a root in the middle of the chain", mallory, carol, shown(must(must(mallory.grant(ucan.Delegate, bob, did.DID{}, 0, nil, "/dms").
		Delegate(bob.provider, dave.did, did.DID{}, nil, expires, 0, caps("/dms/node"))).DelegateInvocation(dave.provider, carol.did, alice.did, expires, caps(peers)))), peers)
	root.invoke("the root's name forged", mallory, mallory, shown(mallory.sign(ucan.DMSToken{Action: ucan.Invoke, Issuer: bob.did, Subject: mallory.did, Capability: caps("/")})), peers)
	noAnchors.invoke("the owner's name forged at the root of a chain", mallory, mallory, shown(mallory.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: mallory.did, Capability: caps("/"),
		Chain: mallory.sign(ucan.DMSToken{Action: ucan.Delegate, Issuer: alice.did, Subject: mallory.did, Capability: caps("/")})})), peers)
	decision{v, anchors{roots: []did.DID{sally.did}}}.invoke("a call by a root with a secp256k1 key", sally, carol, provided(sally, carol, none, until, peers), peers)
	root.invoke("an actor with a secp256k1 key", bob, sally, provided(bob, sally, none, until, peers), peers)
	replier := decision{v, anchors{}} // alice called bob and lets him answer: her own delegation comes back
	may := alice.sign(ucan.DMSToken{Action: ucan.Delegate, Subject: bob.did, Audience: alice.did, Capability: caps("/dms/actor/replyto/1"), Depth: 1})
	answer := must(may.DelegateInvocation(bob.provider, carol.did, alice.did, expires, caps("/dms/actor/replyto/1")))
	replier.invoke("a reply", bob, carol, shown(answer), "/dms/actor/replyto/1")
	replier.invoke("a reply, used for another call", bob, carol, shown(answer), "/dms/actor/replyto/2")
}

func requireDecisions(v *vectors) {
	until := expires - hour
	byOrg := org.grant(ucan.Delegate, bob, did.DID{}, 0, []string{"/nunet"}, "/dms")
	call := provided(bob, carol, list(byOrg), until, peers)
	accepts := func(depth uint64, on did.DID, topics []string, paths ...string) decision {
		return decision{v, anchors{require: list(alice.grant(ucan.Delegate, org, on, depth, topics, paths...))}}
	}
	accepts(0, did.DID{}, nil, "/dms/node").invoke("an organisation's member", bob, carol, call, peers)
	accepts(0, did.DID{}, nil, "/").invoke("an organisation accepted for everything", bob, carol, call, peers)
	accepts(0, did.DID{}, nil, "/dms/cap").invoke("an organisation accepted for other things", bob, carol, call, peers)
	accepts(1, did.DID{}, nil, "/dms").invoke("an organisation accepted at depth one", bob, carol, call, peers)
	longer := must(byOrg.Delegate(bob.provider, dave.did, did.DID{}, nil, expires, 0, caps("/dms")))
	accepts(1, did.DID{}, nil, "/dms").invoke("an organisation accepted at depth one, two links away", dave, carol, provided(dave, carol, list(longer), until, peers), peers)
	accepts(2, did.DID{}, nil, "/dms").invoke("an organisation accepted at depth two, two links away", dave, carol, provided(dave, carol, list(longer), until, peers), peers)
	accepts(0, alice.did, nil, "/dms").invoke("an organisation accepted on this node", bob, carol, call, peers)
	accepts(0, dave.did, nil, "/dms").invoke("an organisation accepted on another node", bob, carol, call, peers)
	accepts(0, did.DID{}, nil, "/dms").invoke("an organisation's own call", org, carol, provided(org, carol, ucan.TokenList{}, until, peers), peers)
	accepts(0, did.DID{}, nil, "/dms").invoke("a call that outlives its acceptance", org, carol,
		shown(org.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: carol.did, Audience: alice.did, Capability: caps(peers), Expire: expires + 1})), peers)
	accepts(0, did.DID{}, nil, "/dms/node").invoke("one capability beyond the acceptance", org, carol,
		shown(org.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: carol.did, Audience: alice.did, Capability: caps(peers, "/dms/cap")})), peers)
	accepts(0, did.DID{}, nil, "/dms").invoke("an invocation with a topic that was not accepted", org, carol,
		shown(org.sign(ucan.DMSToken{Action: ucan.Invoke, Subject: carol.did, Audience: alice.did, Capability: caps(peers), Topic: caps("/nunet")})), peers)
	accepts(0, did.DID{}, nil, "/dms").invoke("a stranger's call where an organisation is accepted", mallory, carol, provided(mallory, carol, ucan.TokenList{}, until, peers), peers)
	accepts(0, did.DID{}, nil, "/dms").invoke("the owner of the acceptance forged", mallory, carol,
		shown(mallory.sign(ucan.DMSToken{Action: ucan.Invoke, Issuer: org.did, Subject: carol.did, Capability: caps(peers)})), peers)
	accepts(0, did.DID{}, []string{"/nunet"}, "/dms").broadcast("an organisation's broadcast", bob, carol, published(bob, carol, list(byOrg), "/nunet/hello", "/dms/hello"), "/nunet/hello", "/dms/hello")
	accepts(0, did.DID{}, nil, "/dms").broadcast("an organisation's broadcast on a topic not accepted", bob, carol, published(bob, carol, list(byOrg), "/nunet/hello", "/dms/hello"), "/nunet/hello", "/dms/hello")
}

func broadcastDecisions(v *vectors) {
	root := decision{v, anchors{roots: []did.DID{bob.did}}}
	hello := published(bob, carol, ucan.TokenList{}, "/nunet/hello", "/broadcast/hello")
	root.broadcast("a root's broadcast", bob, carol, hello, "/nunet/hello", "/broadcast/hello")
	root.broadcast("a root's broadcast, heard on another topic", bob, carol, hello, "/nunet/status", "/broadcast/hello")
	root.broadcast("a root's broadcast, heard on the topic above", bob, carol, hello, "/nunet", "/broadcast/hello")
	root.broadcast("a root's broadcast, heard on a topic below", bob, carol, hello, "/nunet/hello/x", "/broadcast/hello")
	root.broadcast("a root's broadcast of another behaviour", bob, carol, hello, "/nunet/hello", "/broadcast/status")
	root.broadcast("a root's broadcast, stolen", mallory, mallory, hello, "/nunet/hello", "/broadcast/hello")
	decision{v, anchors{}}.broadcast("a stranger's broadcast", bob, carol, hello, "/nunet/hello", "/broadcast/hello")
	root.broadcast("an invocation, used to broadcast", bob, carol, provided(bob, carol, ucan.TokenList{}, expires-hour, "/broadcast/hello"), "/nunet/hello", "/broadcast/hello")
	root.broadcast("a broadcast with an audience", bob, carol, shown(bob.grant(ucan.Broadcast, carol, alice.did, 0, []string{"/nunet"}, "/x")), "/nunet", "/x")
	root.broadcast("a broadcast without a topic", bob, carol, shown(bob.grant(ucan.Broadcast, carol, did.DID{}, 0, nil, "/x")), "/nunet", "/x")
	root.broadcast("a broadcast on every topic", bob, carol, shown(bob.grant(ucan.Broadcast, carol, did.DID{}, 0, []string{"/"}, "/x")), "/nunet", "/x")
	onGrant := alice.grant(ucan.Delegate, bob, did.DID{}, 0, []string{"/nunet"}, "/broadcast")
	decision{v, anchors{}}.broadcast("a broadcast on the owner's grant", bob, carol, published(bob, carol, list(onGrant), "/nunet/hello", "/broadcast/hello"), "/nunet/hello", "/broadcast/hello")
	decision{v, anchors{}}.broadcast("a broadcast beyond the owner's grant", bob, carol, published(bob, carol, list(onGrant), "/other", "/broadcast/hello"), "/other", "/broadcast/hello")
}

// listDecisions are about the text that carries the tokens.
func listDecisions(v *vectors) {
	root := decision{v, anchors{roots: []did.DID{bob.did}}}
	good := text(bob.grant(ucan.Invoke, carol, alice.did, 0, nil, peers))
	ask := func(name, tokens string) { root.invoke("list: "+name, bob, carol, tokens, peers) }
	ask("one token", `{"tok":[`+good+`]}`)
	ask("the same token twice", `{"tok":[`+good+`,`+good+`]}`)
	ask("a null before it", `{"tok":[null,`+good+`]}`)
	ask("a null after it", `{"tok":[`+good+`,null]}`)
	ask("an empty object before it", `{"tok":[{},`+good+`]}`)
	ask("the other kind before it", `{"tok":[{"ucan":{}},`+good+`]}`)
	ask("a forged one before it", `{"tok":[`+change(good, peers, "/")+`,`+good+`]}`)
	ask("a malformed one before it", `{"tok":[{"dms":{"act":1}},`+good+`]}`)
	ask("a text among them", `{"tok":["x",`+good+`]}`)
	ask("in capitals", `{"TOK":[`+good+`]}`)
	ask("twice, the last empty", `{"tok":[`+good+`],"tok":[]}`)
	ask("twice in two cases, the last empty", `{"tok":[`+good+`],"TOK":[]}`)
	ask("an unknown member", `{"x":1,"tok":[`+good+`]}`)
	ask("null", `{"tok":null}`)
	ask("no list", good)
	ask("an array", `[`+good+`]`)
	ask("nothing", ``)
	ask("white space", " { \"tok\" : [ "+good+" ] } ")
	ask("something after it", `{"tok":[`+good+`]}x`)
	ask("of 16384 bytes", padded(good, 16384))
	ask("of 16385 bytes", padded(good, 16385))
	ask("65 tokens", `{"tok":[`+strings.Repeat(`{},`, 64)+good+`]}`)
}

func padded(token string, size int) string {
	list := `{"tok":[` + token + `]}`
	return list + strings.Repeat(" ", size-len(list))
}
