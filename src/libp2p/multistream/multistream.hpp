// multistream-select 1.0: two sides of a stream agree on a protocol by name.
//
// Model
//  1. Each message is a varint length, a text and a newline. Both sides first send "/multistream/1.0.0". The dialer
//     then proposes one name after another; the listener answers with the same name, or with "na".
//  2. Exactly the bytes of the negotiation are taken from the stream; what follows belongs to the protocol.
//  3. Names are any 1 to kMaxName printable characters; no leading slash is required.
//  4. A stream whose protocol is proposed lazily sends the proposal together with the first write; its first read takes
//     the answer.
//
// Cancellation and time: give calls a deadline (with_timeout); after a failed negotiation a stream can only be aborted.
//
// Attacks: a message has at most kMaxMessage bytes and is read only after its length was checked; after kMaxProposals
// the listener gives up. The deprecated "ls" is answered with "na": identify announces the supported protocols.
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

/// One encoded message.
[[nodiscard]] Bytes encode(std::string_view text);
/// The text of a message body (without its length).
Result<std::string> decode_body(BytesView body);

/// For the dialer: the first of `protocols` that the listener speaks. Errc::unsupported if it speaks none.
Task<Result<std::string>> propose(ByteStream& stream, std::vector<std::string> protocols);
/// For the listener: the protocol that the dialer proposed and `supports` accepted.
Task<Result<std::string>> answer(ByteStream& stream, std::function<bool(std::string_view)> supports);

/// Proposes the single protocol with the first write, without waiting for the answer. Nothing is sent before the first
/// write, read or close_write(). The first read fails with Errc::unsupported if the protocol was refused.
std::unique_ptr<ByteStream> propose_lazily(std::unique_ptr<ByteStream> stream, std::string protocol);

}  // namespace dms::libp2p::multistream
