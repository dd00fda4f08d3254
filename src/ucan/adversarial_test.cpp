// Attacks with tokens, one named case each; each must fail.
#include <gtest/gtest.h>

#include "encoding/multibase.hpp"
#include "ucan/test_parties.hpp"

namespace dms::ucan {
namespace {

using test::kHour;
using test::kNow;
using test::make;
using test::Party;
using test::replace;

/// Alice owns a node and delegates /dms/node to Bob (until kNow + 2 h, topic /nunet); Mallory has no delegation.
struct Parties {
  Party alice{1}, bob{2}, carol{3}, mallory{9};
  Token given =
      make(alice, Action::delegate, bob.did, {}, {"/dms/node"_cap}, nullptr, kNow + 2 * kHour, 0, {"/nunet"_cap});
  Token invocation = make(bob, Action::invoke, carol.did, alice.did, {"/dms/node/vm"_cap}, &given);

  [[nodiscard]] static std::string list(const std::vector<std::string>& tokens) {
    std::string text = "{\"tok\":[";
    for (std::size_t i = 0; i < tokens.size(); ++i) text += (i == 0 ? "" : ",") + tokens[i];
    return text + "]}";
  }
  /// Whether Alice's node authorises `subject` to invoke after it has consumed `text` from `origin`.
  bool lets_invoke(const std::string& text, const did::Did& origin, const did::Did& subject, Capability capability) {
    (void)alice.receive(origin, as_bytes(text));
    return alice.context.require(alice.did, subject, alice.did, {std::move(capability)}, kNow).has_value();
  }
};

struct Attack {
  const char* name;
  /// True if the attack succeeded.
  bool (*succeeds)(Parties&);
};
void PrintTo(const Attack& attack, std::ostream* out) { *out << attack.name; }

/// Presents an altered text of the valid invocation.
bool altered(Parties& w, std::string_view from, std::string_view to) {
  const std::string text = replace(w.invocation.text(), from, to);
  if (text.empty() || text == w.invocation.text()) return true;  // the text was not altered: reported as a failure
  return w.lets_invoke(Parties::list({text}), w.bob.did, w.carol.did, "/dms/node/vm"_cap);
}
bool present(Parties& w, const Token& token, const Party& by, const did::Did& subject, const Capability& capability) {
  return w.lets_invoke(Parties::list({token.text()}), by.did, subject, capability);
}

const Attack kAttacks[] = {
    // Every field changed after signing.
    {"ActionChanged", [](Parties& w) { return altered(w, "\"act\":\"invoke\"", "\"act\":\"delegate\""); }},
    {"IssuerChanged", [](Parties& w) { return altered(w, w.bob.did.uri(), w.mallory.did.uri()); }},
    {"SubjectChanged",
     [](Parties& w) {
       const std::string text = replace(w.invocation.text(), w.carol.did.uri(), w.mallory.did.uri());
       return w.lets_invoke(Parties::list({text}), w.bob.did, w.mallory.did, "/dms/node/vm"_cap);
     }},
    {"AudienceChanged",
     [](Parties& w) { return altered(w, "\"aud\":{\"uri\":\"" + w.alice.did.uri() + "\"}", "\"aud\":{}"); }},
    {"CapabilityWidenedAfterSigning",
     [](Parties& w) {
       return w.lets_invoke(Parties::list({replace(w.invocation.text(), "/dms/node/vm", "/dms/node")}), w.bob.did,
                            w.carol.did, "/dms/node"_cap);
     }},
    {"CapabilityAddedAfterSigning",
     [](Parties& w) { return altered(w, "[\"/dms/node/vm\"]", "[\"/dms/node/vm\",\"/dms/cap\"]"); }},
    {"TopicAddedAfterSigning", [](Parties& w) { return altered(w, ",\"cap\":", ",\"topic\":[\"/nunet\"],\"cap\":"); }},
    {"NonceChanged",
     [](Parties& w) {
       const std::string old = base64_encode(w.invocation.claims().nonce);
       return altered(w, old, old[0] == 'A' ? "B" + old.substr(1) : "A" + old.substr(1));
     }},
    {"ExpiryExtended", [](Parties& w) { return altered(w, "\"exp\":17", "\"exp\":18"); }},
    {"ExpiryShortened",
     [](Parties& w) { return altered(w, "\"exp\":1700003600000000000", "\"exp\":1700003500000000000"); }},
    {"DepthAdded", [](Parties& w) { return altered(w, ",\"chain\":", ",\"depth\":5,\"chain\":"); }},
    {"SignatureRemoved",
     [](Parties& w) {
       const std::string text = w.invocation.text();
       return altered(w, text.substr(text.rfind(",\"sig\":")), "}}");
     }},
    {"SignatureEmptied",
     [](Parties& w) {
       const std::string text = w.invocation.text();
       return altered(w, text.substr(text.rfind(",\"sig\":")), ",\"sig\":\"\"}}");
     }},
    {"SignatureOfAnotherToken",
     [](Parties& w) {
       const Token other = make(w.bob, Action::invoke, w.carol.did, w.alice.did, {"/dms/node/vm"_cap}, &w.given);
       return altered(w, base64_encode(w.invocation.signature()), base64_encode(other.signature()));
     }},
    {"SignatureOneBitOff",
     [](Parties& w) {
       Bytes sig = to_bytes(w.invocation.signature());
       sig[10] ^= 1;
       return altered(w, base64_encode(w.invocation.signature()), base64_encode(sig));
     }},
    {"SignatureWithTrailingByte",
     [](Parties& w) {
       Bytes sig = to_bytes(w.invocation.signature());
       sig.push_back(0);
       return altered(w, base64_encode(w.invocation.signature()), base64_encode(sig));
     }},
    {"ParentSignatureChanged",
     [](Parties& w) {
       Bytes sig = to_bytes(w.given.signature());
       sig[0] ^= 1;
       return altered(w, base64_encode(w.given.signature()), base64_encode(sig));
     }},
    {"ParentCapabilityWidened", [](Parties& w) { return altered(w, "[\"/dms/node\"]", "[\"/\"]"); }},
    {"ParentRemoved", [](Parties& w) { return altered(w, ",\"chain\":" + w.given.text(), ""); }},
    {"ParentSwappedForAnEqualOne",
     [](Parties& w) {
       const Token twin = make(w.alice, Action::delegate, w.bob.did, {}, {"/dms/node"_cap}, nullptr, kNow + 2 * kHour,
                               0, {"/nunet"_cap});
       return altered(w, w.given.text(), twin.text());
     }},
    {"ParentAddedToARootInvocation",
     [](Parties& w) {
       const Token lone = make(w.mallory, Action::invoke, w.mallory.did, w.alice.did, {"/dms/node"_cap});
       const std::string text = replace(lone.text(), ",\"sig\":", ",\"chain\":" + w.given.text() + ",\"sig\":");
       return w.lets_invoke(Parties::list({text}), w.mallory.did, w.mallory.did, "/dms/node"_cap);
     }},

    // Validly signed, but wider than the parent allows.
    {"CapabilityWidenedByTheDelegate",
     [](Parties& w) {
       return present(w, make(w.bob, Action::invoke, w.bob.did, w.alice.did, {"/dms"_cap}, &w.given), w.bob, w.bob.did,
                      "/dms/cap"_cap);
     }},
    {"OneOfManyCapabilitiesWidened",
     [](Parties& w) {
       return present(w,
                      make(w.bob, Action::invoke, w.bob.did, w.alice.did, {"/dms/node"_cap, "/dms/cap"_cap}, &w.given),
                      w.bob, w.bob.did, "/dms/node"_cap);
     }},
    {"RootCapability",
     [](Parties& w) {
       return present(w, make(w.bob, Action::invoke, w.bob.did, w.alice.did, {"/"_cap}, &w.given), w.bob, w.bob.did,
                      "/dms/cap"_cap);
     }},
    {"SiblingWithTheSameBeginning",
     [](Parties& w) {
       return present(w, make(w.bob, Action::invoke, w.bob.did, w.alice.did, {"/dms/nodes"_cap}, &w.given), w.bob,
                      w.bob.did, "/dms/nodes"_cap);
     }},
    {"RequiresMoreThanTheTokenAllows",
     [](Parties& w) { return present(w, w.invocation, w.bob, w.carol.did, "/dms/node"_cap); }},
    {"RequiresASibling",
     [](Parties& w) { return present(w, w.invocation, w.bob, w.carol.did, "/dms/node/peers"_cap); }},
    {"LaterExpiryMidChain",
     [](Parties& w) {
       const Token mid =
           make(w.bob, Action::delegate, w.mallory.did, {}, {"/dms/node"_cap}, &w.given, kNow + 3 * kHour);
       return present(w, make(w.mallory, Action::invoke, w.mallory.did, w.alice.did, {"/dms/node"_cap}, &mid), w.bob,
                      w.mallory.did, "/dms/node"_cap);
     }},
    {"LaterExpiryAtTheEnd",
     [](Parties& w) {
       return present(
           w, make(w.bob, Action::invoke, w.bob.did, w.alice.did, {"/dms/node"_cap}, &w.given, kNow + 3 * kHour), w.bob,
           w.bob.did, "/dms/node"_cap);
     }},
    {"ExpiredInvocation",
     [](Parties& w) {
       return present(
           w, make(w.bob, Action::invoke, w.bob.did, w.alice.did, {"/dms/node"_cap}, &w.given, {kNow.nanos - 1}), w.bob,
           w.bob.did, "/dms/node"_cap);
     }},
    {"ExpiredRoot",
     [](Parties& w) {
       const Token old = make(w.alice, Action::delegate, w.bob.did, {}, {"/dms/node"_cap}, nullptr, {kNow.nanos - 1});
       return present(w, make(w.bob, Action::invoke, w.bob.did, w.alice.did, {"/dms/node"_cap}, &old), w.bob, w.bob.did,
                      "/dms/node"_cap);
     }},
    {"DepthExceeded",
     [](Parties& w) {
       const Token once = make(w.alice, Action::delegate, w.bob.did, {}, {"/x"_cap}, nullptr, kNow + kHour, 1);
       const Token twice = make(w.bob, Action::delegate, w.mallory.did, {}, {"/x"_cap}, &once);
       return present(w, make(w.mallory, Action::invoke, w.mallory.did, w.alice.did, {"/x"_cap}, &twice), w.bob,
                      w.mallory.did, "/x"_cap);
     }},
    {"DepthRaisedByTheDelegate",
     [](Parties& w) {
       const Token once = make(w.alice, Action::delegate, w.bob.did, {}, {"/x"_cap}, nullptr, kNow + kHour, 1);
       const Token twice = make(w.bob, Action::delegate, w.mallory.did, {}, {"/x"_cap}, &once, kNow + kHour, 100);
       return present(w, make(w.mallory, Action::invoke, w.mallory.did, w.alice.did, {"/x"_cap}, &twice), w.bob,
                      w.mallory.did, "/x"_cap);
     }},
    {"AudienceDropped",
     [](Parties& w) {
       const Token for_carol = make(w.alice, Action::delegate, w.bob.did, w.carol.did, {"/x"_cap});
       return present(w, make(w.bob, Action::invoke, w.bob.did, {}, {"/x"_cap}, &for_carol), w.bob, w.bob.did,
                      "/x"_cap);
     }},
    {"AudienceExchanged",
     [](Parties& w) {
       const Token for_carol = make(w.alice, Action::delegate, w.bob.did, w.carol.did, {"/x"_cap});
       return present(w, make(w.bob, Action::invoke, w.bob.did, w.alice.did, {"/x"_cap}, &for_carol), w.bob, w.bob.did,
                      "/x"_cap);
     }},
    {"AudienceIsAnotherNode",
     [](Parties& w) {
       return present(w, make(w.bob, Action::invoke, w.bob.did, w.carol.did, {"/dms/node"_cap}, &w.given), w.bob,
                      w.bob.did, "/dms/node"_cap);
     }},

    // Invalid links.
    {"IssuerIsNotTheParentsSubject",
     [](Parties& w) {
       return present(w, make(w.mallory, Action::invoke, w.mallory.did, w.alice.did, {"/dms/node"_cap}, &w.given),
                      w.mallory, w.mallory.did, "/dms/node"_cap);
     }},
    {"ChainedToAnInvocation",
     [](Parties& w) {
       const Token seen = make(w.alice, Action::invoke, w.mallory.did, w.alice.did, {"/dms/node"_cap});
       return present(w, make(w.mallory, Action::invoke, w.carol.did, w.alice.did, {"/dms/node"_cap}, &seen), w.mallory,
                      w.carol.did, "/dms/node"_cap);
     }},
    {"ChainedToABroadcast",
     [](Parties& w) {
       const Token seen = make(w.alice, Action::broadcast, w.mallory.did, {}, {"/dms/node"_cap}, nullptr, kNow + kHour,
                               0, {"/nunet"_cap});
       return present(w, make(w.mallory, Action::invoke, w.mallory.did, {}, {"/dms/node"_cap}, &seen), w.mallory,
                      w.mallory.did, "/dms/node"_cap);
     }},
    {"ChainedToARevocation",
     [](Parties& w) {
       const Token revocation =
           w.alice.context.revoke(make(w.alice, Action::delegate, w.mallory.did, {}, {"/x"_cap})).value();
       return present(w, make(w.mallory, Action::invoke, w.mallory.did, {}, {"/x"_cap}, &revocation), w.mallory,
                      w.mallory.did, "/x"_cap);
     }},
    {"RootForgedWithAnotherIssuer",
     [](Parties& w) {
       const Token forged = make(w.mallory, Action::delegate, w.mallory.did, {}, {"/"_cap});
       const Token leaf = make(w.mallory, Action::invoke, w.mallory.did, w.alice.did, {"/"_cap}, &forged);
       // The parent claims Alice as its issuer; Mallory signs the leaf over exactly that text.
       const std::string fake_parent = replace(forged.text(), w.mallory.did.uri(), w.alice.did.uri());
       const std::string body = replace(leaf.text(), forged.text(), fake_parent);
       const std::string unsigned_body = body.substr(7, body.rfind(",\"sig\":") - 7) + "}";
       const Bytes sig = w.mallory.key.sign(as_bytes("dms:token:" + unsigned_body)).value();
       const std::string text = "{\"dms\":" + unsigned_body.substr(0, unsigned_body.size() - 1) + ",\"sig\":\"" +
                                base64_encode(sig) + "\"}}";
       return w.lets_invoke(Parties::list({text}), w.mallory.did, w.mallory.did, "/dms/node"_cap);
     }},

    // A token of another or of an untrusted party.
    {"SelfSignedByAnUnknownParty",
     [](Parties& w) {
       return present(w, make(w.mallory, Action::invoke, w.mallory.did, w.alice.did, {"/dms/node"_cap}), w.mallory,
                      w.mallory.did, "/dms/node"_cap);
     }},
    {"ChainRootedInAnUnknownParty",
     [](Parties& w) {
       const Token own = make(w.mallory, Action::delegate, w.mallory.did, {}, {"/"_cap});
       return present(w, make(w.mallory, Action::invoke, w.mallory.did, w.alice.did, {"/dms/node"_cap}, &own),
                      w.mallory, w.mallory.did, "/dms/node"_cap);
     }},
    {"StolenTokenUsedByAnotherSubject",
     [](Parties& w) { return present(w, w.invocation, w.mallory, w.mallory.did, "/dms/node/vm"_cap); }},
    {"DelegationUsedAsInvocation", [](Parties& w) { return present(w, w.given, w.bob, w.bob.did, "/dms/node"_cap); }},
    {"BroadcastUsedAsInvocation",
     [](Parties& w) {
       const Token b =
           make(w.bob, Action::broadcast, w.bob.did, {}, {"/dms/node"_cap}, &w.given, kNow + kHour, 0, {"/nunet"_cap});
       return present(w, b, w.bob, w.bob.did, "/dms/node"_cap);
     }},
    {"InvocationUsedAsBroadcast",
     [](Parties& w) {
       const Token i =
           make(w.bob, Action::invoke, w.bob.did, {}, {"/dms/node"_cap}, &w.given, kNow + kHour, 0, {"/nunet"_cap});
       (void)w.alice.receive(w.bob.did, as_bytes(Parties::list({i.text()})));
       return w.alice.context.require_broadcast(w.alice.did, w.bob.did, "/nunet"_cap, {"/dms/node"_cap}, kNow)
           .has_value();
     }},
    {"BroadcastOnAnotherTopic",
     [](Parties& w) {
       const Token b = make(w.bob, Action::broadcast, w.bob.did, {}, {"/dms/node"_cap}, &w.given, kNow + kHour, 0,
                            {"/nunet/a"_cap});
       (void)w.alice.receive(w.bob.did, as_bytes(Parties::list({b.text()})));
       return w.alice.context.require_broadcast(w.alice.did, w.bob.did, "/nunet/b"_cap, {"/dms/node"_cap}, kNow)
           .has_value();
     }},
    {"BroadcastWithoutTopic",
     [](Parties& w) {
       const Token b = make(w.bob, Action::broadcast, w.bob.did, {}, {"/dms/node"_cap}, &w.given);
       (void)w.alice.receive(w.bob.did, as_bytes(Parties::list({b.text()})));
       return w.alice.context.require_broadcast(w.alice.did, w.bob.did, "/nunet"_cap, {"/dms/node"_cap}, kNow)
           .has_value();
     }},
    {"BroadcastTopicWidened",
     [](Parties& w) {
       const Token b =
           make(w.bob, Action::broadcast, w.bob.did, {}, {"/dms/node"_cap}, &w.given, kNow + kHour, 0, {"/"_cap});
       (void)w.alice.receive(w.bob.did, as_bytes(Parties::list({b.text()})));
       return w.alice.context.require_broadcast(w.alice.did, w.bob.did, "/other"_cap, {"/dms/node"_cap}, kNow)
           .has_value();
     }},
    {"BroadcastWithAnAudience",
     [](Parties& w) {
       const Token b = make(w.bob, Action::broadcast, w.bob.did, w.alice.did, {"/dms/node"_cap}, &w.given, kNow + kHour,
                            0, {"/nunet"_cap});
       (void)w.alice.receive(w.bob.did, as_bytes(Parties::list({b.text()})));
       return w.alice.context.require_broadcast(w.alice.did, w.bob.did, "/nunet"_cap, {"/dms/node"_cap}, kNow)
           .has_value();
     }},
    {"RevokedParent",
     [](Parties& w) {
       if (!w.alice.context.anchor(
               {.roots = {}, .require = {}, .provide = {}, .revoke = {{w.alice.context.revoke(w.given).value()}}},
               kNow))
         return true;
       return present(w, w.invocation, w.bob, w.carol.did, "/dms/node/vm"_cap);
     }},
    {"RevokedAfterConsumption",
     [](Parties& w) {
       if (!present(w, w.invocation, w.bob, w.carol.did, "/dms/node/vm"_cap)) return true;
       if (!w.alice.context.anchor(
               {.roots = {}, .require = {}, .provide = {}, .revoke = {{w.alice.context.revoke(w.given).value()}}},
               kNow))
         return true;
       return w.alice.context.consumed_count() != 0 || present(w, w.invocation, w.bob, w.carol.did, "/dms/node/vm"_cap);
     }},
    {"ExpiredAfterConsumption",
     [](Parties& w) {
       if (!present(w, w.invocation, w.bob, w.carol.did, "/dms/node/vm"_cap)) return true;
       return w.alice.context.require(w.alice.did, w.carol.did, w.alice.did, {"/dms/node/vm"_cap}, kNow + 2 * kHour)
           .has_value();
     }},
    {"NoCapabilityRequired",
     [](Parties& w) {
       return present(w, w.invocation, w.bob, w.carol.did, "/dms/node/vm"_cap) &&
              w.alice.context.require(w.alice.did, w.carol.did, w.alice.did, {}, kNow).has_value();
     }},
    {"EmptySubject",
     [](Parties& w) {
       return present(w, make(w.alice, Action::invoke, {}, w.alice.did, {"/dms/node"_cap}), w.bob, {}, "/dms/node"_cap);
     }},
    {"RevocationByAnotherParty", [](Parties& w) { return w.mallory.context.revoke(w.given).has_value(); }},
    {"RevocationForgedByAnotherParty",
     [](Parties& w) {
       const Token real = w.alice.context.revoke(w.given).value();
       Bytes sig = w.mallory.key.sign(real.signed_bytes()).value();
       const Token forged =
           Token::parse(replace(real.text(), base64_encode(real.signature()), base64_encode(sig))).value();
       return w.alice.context.anchor({.roots = {}, .require = {}, .provide = {}, .revoke = {{forged}}}, kNow)
           .has_value();
     }},

    // Malformed and oversized input.
    {"OversizedList",
     [](Parties& w) { return w.alice.context.consume(w.bob.did, Bytes(kMaxTokenBytes + 1, ' '), kNow).has_value(); }},
    {"TooManyTokens",
     [](Parties& w) {
       return w.alice.context
           .consume(w.bob.did, as_bytes(Parties::list(std::vector<std::string>(kMaxTokensPerMessage + 1, "{}"))), kNow)
           .has_value();
     }},
    {"DeeplyNestedChain",
     [](Parties& w) {
       Token token = make(w.alice, Action::delegate, w.alice.did, {}, {"/x"_cap});
       while (token.length() < kMaxChain) token = make(w.alice, Action::delegate, w.alice.did, {}, {"/x"_cap}, &token);
       const std::string once_more = replace(make(w.alice, Action::invoke, w.bob.did, {}, {"/x"_cap}).text(),
                                             ",\"sig\":", ",\"chain\":" + token.text() + ",\"sig\":");
       return Token::parse(once_more).has_value();
     }},
    {"DeeplyNestedJunk",
     [](Parties& w) { return w.alice.context.consume(w.bob.did, as_bytes(std::string(8000, '[')), kNow).has_value(); }},
    {"DuplicateKeys",
     [](Parties& w) { return altered(w, "{\"act\":\"invoke\",", "{\"act\":\"invoke\",\"act\":\"invoke\","); }},
    {"DuplicateKeysInAnotherCase",
     [](Parties& w) {
       // The exact name is read, the other is dropped: the result must be what was signed.
       const std::string text =
           replace(w.invocation.text(), "{\"act\":\"invoke\",", "{\"CAP\":[\"/\"],\"act\":\"invoke\",");
       return w.lets_invoke(Parties::list({text}), w.bob.did, w.carol.did, "/dms/cap"_cap);
     }},
    {"MemberTwiceInTwoCases",
     [](Parties& w) {
       return altered(w, "\"cap\":[\"/dms/node/vm\"],", "\"cap\":[\"/dms/node/vm\"],\"CAP\":[\"/\"],");
     }},
    {"MemberTwiceOnceWithALongS",
     [](Parties& w) {
       return altered(w, "\"aud\":", "\"\u017fub\":{\"uri\":\"" + w.mallory.did.uri() + "\"},\"aud\":");
     }},
    {"DepthOfMinusZero", [](Parties& w) { return altered(w, ",\"chain\":", ",\"depth\":-0,\"chain\":"); }},
    {"TwoKindsInOneToken", [](Parties& w) { return altered(w, "{\"dms\":", "{\"ucan\":{},\"dms\":"); }},
    {"TwoKindsInTheParent",
     [](Parties& w) { return altered(w, "\"chain\":{\"dms\":", "\"chain\":{\"ucan\":{},\"dms\":"); }},
    {"NullAmongTheTokens",
     [](Parties& w) {
       return w.lets_invoke(Parties::list({w.invocation.text(), "null"}), w.bob.did, w.carol.did, "/dms/node/vm"_cap);
     }},
    {"ListTwiceInTwoCases",
     [](Parties& w) {
       const std::string text = "{\"TOK\":[],\"tok\":[" + w.invocation.text() + "]}";
       return w.lets_invoke(text, w.bob.did, w.carol.did, "/dms/node/vm"_cap);
     }},
    {"TopicWidenedWithoutACapability",
     [](Parties& w) {
       const Token none = make(w.bob, Action::broadcast, w.bob.did, {}, {}, &w.given, kNow + kHour, 0, {"/other"_cap});
       return none.verify(kNow, RevocationSet()).has_value();
     }},
    {"AudienceExchangedWithoutACapability",
     [](Parties& w) {
       const Token for_carol = make(w.alice, Action::delegate, w.bob.did, w.carol.did, {"/x"_cap});
       return make(w.bob, Action::invoke, w.bob.did, w.alice.did, {}, &for_carol)
           .verify(kNow, RevocationSet())
           .has_value();
     }},
    {"SignatureWithTheGroupOrderAdded",
     [](Parties& w) {
       // S + L satisfies the same equation: accepting it would allow two signatures of one text.
       constexpr std::array<std::uint8_t, 32> order = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                                       0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                                       0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
       Bytes sig = to_bytes(w.invocation.signature());
       unsigned carry = 0;
       for (std::size_t i = 0; i < order.size(); ++i, carry >>= 8) {
         carry += sig[32 + i] + order[i];
         sig[32 + i] = static_cast<std::uint8_t>(carry);
       }
       return altered(w, base64_encode(w.invocation.signature()), base64_encode(sig));
     }},
    {"NotAList", [](Parties& w) { return w.alice.context.consume(w.bob.did, as_bytes("[]"), kNow).has_value(); }},
    {"TokIsNotAnArray",
     [](Parties& w) { return w.alice.context.consume(w.bob.did, as_bytes("{\"tok\":{}}"), kNow).has_value(); }},
    {"EmptyText", [](Parties& w) { return w.alice.context.consume(w.bob.did, BytesView(), kNow).has_value(); }},
    {"EmptyCapability", [](Parties& w) { return altered(w, "[\"/dms/node/vm\"]", "[\"\"]"); }},
    {"AnotherKindOfToken", [](Parties&) { return Token::parse("{\"ucan\":{}}").has_value(); }},
    {"UnknownAction", [](Parties& w) { return altered(w, "\"act\":\"invoke\"", "\"act\":\"own\""); }},
    {"NegativeExpiry", [](Parties& w) { return altered(w, "\"exp\":17", "\"exp\":-17"); }},
    {"OverflowingExpiry",
     [](Parties& w) { return altered(w, "\"exp\":1700003600000000000", "\"exp\":18446744073709551616"); }},
    {"IssuerIsNotADid", [](Parties& w) { return altered(w, w.bob.did.uri(), "did:key:zzzz"); }},
};

class Adversarial : public ::testing::TestWithParam<Attack> {};

TEST_P(Adversarial, Fails) {
  Parties parties;
  EXPECT_FALSE(GetParam().succeeds(parties)) << GetParam().name;
}

INSTANTIATE_TEST_SUITE_P(Tokens, Adversarial, ::testing::ValuesIn(kAttacks),
                         [](const auto& info) { return info.param.name; });

// The checks do not refuse everything: the unaltered message passes.
TEST(AdversarialBaseline, TheUnalteredInvocationPasses) {
  Parties w;
  EXPECT_TRUE(w.lets_invoke(Parties::list({w.invocation.text()}), w.bob.did, w.carol.did, "/dms/node/vm"_cap));
  const Token b =
      make(w.bob, Action::broadcast, w.bob.did, {}, {"/dms/node"_cap}, &w.given, kNow + kHour, 0, {"/nunet/a"_cap});
  ASSERT_TRUE(w.alice.receive(w.bob.did, as_bytes(Parties::list({b.text()}))));
  EXPECT_TRUE(w.alice.context.require_broadcast(w.alice.did, w.bob.did, "/nunet/a"_cap, {"/dms/node/vm"_cap}, kNow));
}

}  // namespace
}  // namespace dms::ucan
