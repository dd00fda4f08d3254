// multistream-select 1.0: how two sides of a stream agree on a protocol by name.
//
// Model
//  1. Each message is a varint length, a text and a newline. Both sides first send "/multistream/1.0.0". The dialer
//     then proposes one name after another; the listener answers with the same name, or with "na".
//  2. Exactly the bytes of the negotiation are taken from the stream; what follows belongs to the protocol.
//  3. Names are any 1 to kMaxName printable characters; no leading slash is asked for.
//  4. A stream whose protocol is proposed lazily sends the proposal together with what is written first; its first read
//     takes the answer.
//
// Cancellation and time: give calls a deadline (with_timeout); a stream whose negotiation failed is only good for
// abort().
//
// Attacks: a message is at most kMaxMessage bytes, read only after its length was found to fit; after kMaxProposals the
// listener gives up. The deprecated "ls" is answered with "na": who wants to know what we speak asks identify.
//
// Specification: libp2p connections, "multistream-select".
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/stream.hpp"

namespace dms::libp2p::multistream {

inline constexpr std::string_view kHeader = "/multistream/1.0.0";
inline constexpr std::string_view kNotAvailable = "na";
inline constexpr std::size_t kMaxName = 256;
inline constexpr std::size_t kMaxMessage = kMaxName + 1;
inline constexpr int kMaxProposals = 64;

[[nodiscard]] bool valid_name(std::string_view name);

/// One message as it goes over the wire.
[[nodiscard]] Bytes encode(std::string_view text);
/// The text of a message body (without its length).
Result<std::string> decode_body(BytesView body);

/// The dialer's side: the first of `protocols` that the other side speaks. Errc::unsupported if it speaks none.
Task<Result<std::string>> propose(ByteStream& stream, std::vector<std::string> protocols);
/// The listener's side: the protocol that the dialer proposed and `supports` accepted.
Task<Result<std::string>> answer(ByteStream& stream, std::function<bool(std::string_view)> supports);

/// Proposes the one protocol with the first write, and does not wait. Nothing is sent before the first write, read or
/// close_write(). The first read fails with Errc::unsupported if the protocol was refused.
std::unique_ptr<ByteStream> propose_lazily(std::unique_ptr<ByteStream> stream, std::string protocol);

}  // namespace dms::libp2p::multistream
