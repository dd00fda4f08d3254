package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"gitlab.com/nunet/device-management-service/actor"
	"gitlab.com/nunet/device-management-service/lib/crypto"
	"gitlab.com/nunet/device-management-service/lib/crypto/keystore"
	"gitlab.com/nunet/device-management-service/lib/did"
	"gitlab.com/nunet/device-management-service/lib/ucan"
)

const (
	accepted = "accepted"
	refused  = "refused"
)

// File is a file of vectors.
type File struct {
	How     string  `json:"how"`
	Now     uint64  `json:"now"` // time of evaluation, nanoseconds since 1970
	Parties []Party `json:"parties,omitempty"`
	Cases   []Case  `json:"cases"`
}

// Case is one input and the result of the reference. Which members are used depends on the kind.
type Case struct {
	Name       string `json:"name"`
	Kind       string `json:"kind"` // token, context, invoke, broadcast, keystore, key, did, peer, envelope
	Text       string `json:"text,omitempty"`
	Bytes      []byte `json:"bytes,omitempty"`      // instead of Text where that is no UTF-8
	Key        string `json:"key,omitempty"`        // context, invoke, broadcast: the owner's private key, hex
	Passphrase string `json:"passphrase,omitempty"` // keystore
	Context    string `json:"context,omitempty"`    // invoke, broadcast: the node's context before
	Origin     string `json:"origin,omitempty"`     // invoke, broadcast: the sender's DID
	Subject    string `json:"subject,omitempty"`    // invoke, broadcast: the sender's key as a DID
	Capability string `json:"capability,omitempty"` // invoke, broadcast: the required capability
	Topic      string `json:"topic,omitempty"`      // broadcast

	Verdict   string `json:"verdict"`
	Error     string `json:"error,omitempty"`     // the reference's error
	Canonical string `json:"canonical,omitempty"` // how the reference writes what it has read; left out where that is Text, accepted
	DID       string `json:"did,omitempty"`       // of the key
}

// Party is an owner of a key.
type Party struct {
	Name    string `json:"name"`
	Private string `json:"private"` // libp2p's protobuf, hex
	Public  string `json:"public"`
	DID     string `json:"did"`
	Peer    string `json:"peer"`
}

func (c *Case) input() []byte {
	if c.Bytes != nil {
		return c.Bytes
	}
	return []byte(c.Text)
}

// evaluate runs the reference. Some inputs make it panic (a null in a list of tokens): that counts as a refusal.
func (c *Case) evaluate() {
	c.Canonical, c.DID = "", ""
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
		}()
		return c.dispatch()
	}()
	c.Verdict, c.Error = accepted, ""
	if err != nil {
		c.Verdict, c.Error = refused, err.Error()
	} else if c.Canonical == c.Text {
		c.Canonical = ""
	}
}

func (c *Case) dispatch() error {
	switch c.Kind {
	case "token":
		return c.evaluateToken()
	case "context":
		ctx, err := c.load(string(c.input()))
		if err != nil {
			return err
		}
		var text strings.Builder
		if err := ucan.SaveCapabilityContext(ctx, &text); err != nil {
			return err
		}
		c.Canonical = text.String()
		return nil
	case "invoke", "broadcast":
		return c.evaluateContext()
	case "keystore":
		key, err := keystore.UnmarshalKey(c.input(), c.Passphrase)
		if err != nil {
			return err
		}
		return c.private(key.Data)
	case "key":
		data, err := hex.DecodeString(c.Text)
		if err != nil {
			return err
		}
		return c.private(data)
	case "did":
		return c.evaluateDID()
	case "peer":
		handle, err := actor.HandleFromPeerID(c.Text)
		return c.handle(handle, err)
	case "envelope":
		return c.evaluateEnvelope()
	}
	return fmt.Errorf("unknown kind %q", c.Kind)
}

func (c *Case) evaluateToken() error {
	var token ucan.Token
	if err := json.Unmarshal(c.input(), &token); err != nil {
		return err
	}
	text, err := json.Marshal(&token)
	if err != nil {
		return err
	}
	c.Canonical = string(text)
	return token.Verify(did.NewTrustContext(), uint64(time.Now().UnixNano()), new(ucan.RevocationSet))
}

func (c *Case) load(text string) (ucan.CapabilityContext, error) {
	data, err := hex.DecodeString(c.Key)
	if err != nil {
		return nil, err
	}
	key, err := crypto.BytesToPrivateKey(data)
	if err != nil {
		return nil, err
	}
	provider, err := did.ProviderFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	trust := did.NewTrustContext()
	trust.AddProvider(provider)
	return ucan.LoadCapabilityContext(trust, strings.NewReader(text))
}

func idOf(uri string) (crypto.ID, error) {
	key, err := did.PublicKeyFromDID(did.DID{URI: uri})
	if err != nil {
		return crypto.ID{}, err
	}
	return crypto.IDFromPublicKey(key)
}

func (c *Case) evaluateContext() error {
	ctx, err := c.load(c.Context)
	if err != nil {
		return err
	}
	subject, err := idOf(c.Subject)
	if err != nil {
		return err
	}
	self, err := idOf(ctx.DID().URI)
	if err != nil {
		return err
	}
	if err := ctx.Consume(did.DID{URI: c.Origin}, c.input()); err != nil {
		return err
	}
	wanted := []ucan.Capability{ucan.Capability(c.Capability)}
	if c.Kind == "broadcast" {
		return ctx.RequireBroadcast(ctx.DID(), subject, c.Topic, wanted)
	}
	return ctx.Require(ctx.DID(), subject, self, wanted)
}

func (c *Case) private(data []byte) error {
	key, err := crypto.BytesToPrivateKey(data)
	if err != nil {
		return err
	}
	if !crypto.AllowedKey(int(key.Type())) {
		return fmt.Errorf("key type %d: %w", key.Type(), crypto.ErrUnsupportedKeyType)
	}
	c.DID = did.FromPublicKey(key.GetPublic()).URI
	text, err := crypto.PrivateKeyToBytes(key)
	c.Canonical = hex.EncodeToString(text)
	return err
}

func (c *Case) evaluateDID() error {
	parsed, err := did.FromString(c.Text)
	if err != nil {
		return err
	}
	key, err := did.PublicKeyFromDID(parsed)
	if err != nil {
		return err
	}
	c.DID = did.FromPublicKey(key).URI
	if !crypto.AllowedKey(int(key.Type())) {
		return nil // a wallet's key signs tokens, but identifies no actor
	}
	handle, err := actor.HandleFromDID(c.Text)
	return c.handle(handle, err)
}

func (c *Case) handle(handle actor.Handle, err error) error {
	if err != nil {
		return err
	}
	c.DID = handle.DID.URI
	text, err := json.Marshal(handle)
	c.Canonical = string(text)
	return err
}

func (c *Case) evaluateEnvelope() error {
	var envelope actor.Envelope
	if err := json.Unmarshal(c.input(), &envelope); err != nil {
		return err
	}
	text, err := json.Marshal(envelope)
	if err != nil {
		return err
	}
	c.Canonical = string(text)
	return (&actor.BasicSecurityContext{}).Verify(envelope)
}

func write(out io.Writer, file File) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	return encoder.Encode(file)
}

func base64Of(data []byte) string { return base64.StdEncoding.EncodeToString(data) }
