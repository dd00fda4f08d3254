// The lines between the work of an allocation and its node, on the socket of the work's actor (work_socket.hpp).
//
// Model
//  1. Each line is a JSON object that ends with a line feed, of kMaxWorkLine bytes at most. Empty lines are ignored.
//  2. The work writes requests {"id", "op", ...} and gets one answer with the same id for each: {"id", "ok": true,
//     "payload"} or {"id", "ok": false, "error"}. Answers come in any order. Without an id it is 0.
//
//     | op         | members                          | what it does                                              |
//     |------------|----------------------------------|-----------------------------------------------------------|
//     | whoami     |                                  | the identity of the work's actor                          |
//     | invoke     | to, behaviour, payload, timeout  | calls a behaviour and waits for the payload of its reply  |
//     | send       | to, behaviour, payload           | the same one way                                          |
//     | publish    | topic, behaviour, payload        | to all that have registered the behaviour with the topic  |
//     | register   | behaviour, topic                 | calls of the behaviour come to this connection            |
//     | unregister | behaviour                        |                                                           |
//     | reply      | call, payload                    | the reply to a call                                       |
//
//     `to` is the name of an allocation of the same ensemble, or the DID of a node. `timeout` is in milliseconds.
//  3. Calls arrive as {"call", "behaviour", "from", "payload"}; `from` is the DID of the caller. Without `call` no
//     reply is expected.
//  4. Behaviours and topics that the work registers, and topics that it publishes on, are below protocol::kWorkPrefix.
//  5. A member that an operation does not use is refused, like an unknown one.
//
// Attacks: the work is an untrusted program. A line is bounded before it is stored, and parsed with the limits of
// json::parse(); fuzzed by work_messages_fuzz.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "encoding/json.hpp"
#include "encoding/named_enum.hpp"

namespace dms::provider {

inline constexpr std::size_t kMaxWorkLine = std::size_t{64} << 10;  ///< without its line feed
/// Bytes of a behaviour or topic of work, with its prefix.
inline constexpr std::size_t kMaxWorkName = 64;
inline constexpr std::uint64_t kMaxWorkTimeout = 300'000;  ///< ms
inline constexpr std::uint64_t kDefaultWorkTimeout = 30'000;

enum class WorkOp { whoami, invoke, send, publish, register_behaviour, unregister, reply };
NAMED_ENUM(WorkOp, {WorkOp::whoami, "whoami"}, {WorkOp::invoke, "invoke"}, {WorkOp::send, "send"},
           {WorkOp::publish, "publish"}, {WorkOp::register_behaviour, "register"}, {WorkOp::unregister, "unregister"},
           {WorkOp::reply, "reply"});

struct WorkRequest {
  std::uint64_t id = 0;
  WorkOp op = WorkOp::whoami;
  std::string to;
  std::string behaviour;
  std::string topic;
  json::Value payload;  ///< null: none is given
  std::uint64_t timeout_ms = kDefaultWorkTimeout;
  std::uint64_t call = 0;
  static constexpr auto json_fields() {
    using R = WorkRequest;
    return std::tuple(json::field("id", &R::id), json::field("op", &R::op), json::field("to", &R::to),
                      json::field("behaviour", &R::behaviour), json::field("topic", &R::topic),
                      json::field("payload", &R::payload), json::field("timeout", &R::timeout_ms),
                      json::field("call", &R::call));
  }
};

/// A request that could not be read, with its id as far as that is known.
struct BadWorkRequest {
  std::uint64_t id = 0;
  std::string error;
};

/// Checked: members are those of the operation, and within their limits.
std::variant<WorkRequest, BadWorkRequest> parse_work_request(std::string_view line);

/// Whether work may register it: below protocol::kWorkPrefix, letters, digits, '-', '_' and '.' between single '/'.
Result<void> check_work_name(std::string_view field, std::string_view name);

/// Lines with their line feeds. An answer or a call that would be longer than kMaxWorkLine is a refusal, or none.
std::string work_answer(std::uint64_t id, const json::Value& payload);
std::string work_refusal(std::uint64_t id, std::string_view error);
struct WorkCall {
  std::uint64_t number = 0;  ///< 0: no reply is expected
  std::string behaviour;
  std::string from;
  json::Value payload;
};
std::optional<std::string> work_call(const WorkCall& call);

/// Splits what a connection reads into lines, however it is cut.
class LineSplitter {
 public:
  void add(std::string_view bytes) {
    buffer_.erase(0, begin_);
    begin_ = 0;
    buffer_ += bytes;
  }
  /// The next line without its line feed, if it is complete. Errc::limit_exceeded if it is too long, whether it is
  /// complete or not; then nothing more can be read.
  Result<std::optional<std::string>> next();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;
};

}  // namespace dms::provider
