package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"gitlab.com/nunet/device-management-service/actor"
	"gitlab.com/nunet/device-management-service/lib/ucan"
)

func handle(p *person) actor.Handle { return must(actor.HandleFromDID(p.did.URI)) }

func security(p *person) actor.SecurityContext {
	return must(actor.NewBasicSecurityContext(p.key.GetPublic(), p.key, p.context))
}

// message is an envelope made and signed as an actor makes it.
func message(from, to *person, behaviour string, payload any, options ...actor.MessageOption) actor.Envelope {
	options = append([]actor.MessageOption{actor.WithMessageExpiry(expires - hour)}, options...)
	options = append(options, actor.WithMessageSignature(security(from), []ucan.Capability{ucan.Capability(behaviour)}, nil))
	destination := actor.Handle{}
	if to != nil {
		destination = handle(to)
	}
	return must(actor.Message(handle(from), destination, behaviour, payload, options...))
}

// resigned is the envelope after `edit`, signed again by whoever its key belongs to.
func resigned(p *person, e actor.Envelope, edit func(*actor.Envelope)) actor.Envelope {
	edit(&e)
	e.Signature = nil
	e.Signature = must(p.key.Sign(must(e.SignatureData())))
	return e
}

func envelopeVectors(v *vectors) {
	v.how = "envelopes made by Message and signed by WithMessageSignature, then altered; verified at `now`."
	add := func(name, text string) { v.add(Case{Name: name, Kind: "envelope", Text: text}) }
	made := func(name string, e actor.Envelope) { add(name, string(must(json.Marshal(e)))) }
	call := message(bob, alice, peers, nil, actor.WithMessageReplyTo("/dms/actor/replyto/7"))
	made("call", call)
	made("call with a payload", message(bob, alice, peers, map[string]any{"Host": "a<b>&c", "n": 1.5}))
	made("call of oneself", message(bob, bob, peers, nil))
	made("call by a secp256k1 key", message(sally, alice, peers, nil))
	made("call of a secp256k1 key", message(bob, sally, peers, nil))
	made("broadcast", message(bob, nil, "/broadcast/hello", nil, actor.WithMessageTopic("/nunet/hello")))
	made("reply", must(actor.ReplyTo(call, map[string]bool{"OK": true}, func(e *actor.Envelope) error {
		*e = resigned(alice, *e, func(*actor.Envelope) {})
		return nil
	})))
	edited := func(name string, edit func(*actor.Envelope)) { made(name, resigned(bob, call, edit)) }
	for _, c := range []struct{ name, text string }{
		{"escaped for HTML", "/a<b>&c"}, {"with quote and backslash", `/a"b\c'd`}, {"beyond ASCII", "/ü/日本/😀"},
		{"with line separators", "/a\u2028b\u2029c"}, {"with control characters", "/a\x00\x01\b\f\n\r\t\x1f\x7f"}, {"empty", ""},
	} {
		edited("behaviour "+c.name, func(e *actor.Envelope) { e.Behavior = c.text })
		edited("reply behaviour "+c.name, func(e *actor.Envelope) { e.Options.ReplyTo = c.text })
		edited("topic "+c.name, func(e *actor.Envelope) { e.Options.Topic = c.text })
		edited("inbox "+c.name, func(e *actor.Envelope) { e.To.Address.InboxAddress = c.text })
	}
	edited("payload null", func(e *actor.Envelope) { e.Message = nil })
	edited("payload of all bytes", func(e *actor.Envelope) { e.Message = allBytes() })
	edited("no tokens", func(e *actor.Envelope) { e.Capability = nil })
	edited("largest numbers", func(e *actor.Envelope) { e.Nonce, e.Options.Expire = 1<<64-1, 1<<64-1 })
	edited("nonce zero", func(e *actor.Envelope) { e.Nonce = 0 })
	edited("expired", func(e *actor.Envelope) { e.Options.Expire = startOfTime - hour })
	edited("the sender's DID another's", func(e *actor.Envelope) { e.From.DID = alice.did })
	edited("the sender's DID missing", func(e *actor.Envelope) { e.From.DID = actor.DID{} })
	edited("the sender's key another's", func(e *actor.Envelope) { e.From.ID = alice.id })
	edited("the sender's key missing", func(e *actor.Envelope) { e.From.ID = actor.ID{} })
	edited("the sender's host missing", func(e *actor.Envelope) { e.From.Address.HostID = "" })
	edited("the receiver missing", func(e *actor.Envelope) { e.To = actor.Handle{} })

	good := string(must(json.Marshal(call)))
	alter := func(name, from, to string) { add(name, change(good, from, to)) }
	alter("altered behaviour", peers, "/dms/node/peers/self")
	alter("altered nonce", fmt.Sprintf(`"nonce":%d`, call.Nonce), fmt.Sprintf(`"nonce":%d`, call.Nonce+1))
	alter("altered expiry", fmt.Sprint(call.Options.Expire), fmt.Sprint(call.Options.Expire+1))
	alter("altered payload", `"msg":""`, `"msg":"e30="`)
	alter("altered tokens", `"cap":"`+base64Of(call.Capability)+`"`, `"cap":"e30="`)
	alter("altered receiver", alice.did.URI, carol.did.URI)
	alter("altered host", `"host":"`+alice.party().Peer+`"`, `"host":"`+carol.party().Peer+`"`)
	alter("signature missing", `,"sig":"`+base64Of(call.Signature)+`"`, "")
	alter("signature of zeros", base64Of(call.Signature), base64Of(make([]byte, 64)))
	alter("signature with S beyond the order", base64Of(call.Signature), base64Of(addOrder(call.Signature)))
	alter("white space", `{"to":`, "{ \"to\" :\n")
	alter("an unknown member", `{"to":`, `{"new":[1,{"a":null}],"to":`)
	alter("a member in capitals", `"be"`, `"BE"`)
	alter("a member with a long s", `"msg"`, `"m\u017fg"`)
	alter("a member twice", `"be":`, `"be":"/x","be":`)
	alter("a member twice in two cases, the last right", `"be":`, `"BE":"/x","be":`)
	alter("a member twice in two cases, the last wrong", `"from":`, `"BE":"/x","from":`)
	alter("null payload", `"msg":""`, `"msg":null`)
	alter("no payload", `"msg":"",`, ``)
	alter("payload with a line feed", `"msg":""`, `"msg":"\n"`)
	alter("payload a list", `"msg":""`, `"msg":[]`)
	alter("nonce a fraction", fmt.Sprintf(`"nonce":%d`, call.Nonce), `"nonce":1.5`)
	alter("nonce a text", fmt.Sprintf(`"nonce":%d`, call.Nonce), fmt.Sprintf(`"nonce":"%d"`, call.Nonce))
	alter("key in small letters", bob.id.String(), strings.ToLower(bob.id.String()))
	alter("key cut", bob.id.String(), bob.id.String()[:56])
	alter("key with a line feed", bob.id.String(), bob.id.String()[:8]+`\n`+bob.id.String()[8:])
	alter("key a number", `"`+bob.id.String()+`"`, `1`)
	add("something after it", good+"{}")
	add("empty", "")
	add("null", "null")
	add("a list", "[]")
	add("an empty object", "{}")
}

func allBytes() []byte {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	return all
}
