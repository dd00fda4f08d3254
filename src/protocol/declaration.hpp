// The declaration of a behaviour, in one place for nodes, callers, the command line and the documentation.
//
// Model
//  1. A declaration names the behaviour's path, its request and reply types, the capability that allows it, the topic
//     of a broadcast, the time limit of a call, one help line, where it is offered, and the parameters of its request.
//  2. Declarations are constants next to their payload types (node.hpp, deployment.hpp, bid.hpp, allocation.hpp).
//     table.hpp lists all of them. Registration (serve.hpp), `nunet actor cmd` and docs/behaviours.md follow from them.
//  3. A path may hold one placeholder, `{ensemble}`; path_of() fills it in.
//  4. A behaviour is declared when a node serves it, not before: a simulation test calls each of them.
//
// Specification: the names, topics and payloads of NuNet DMS 0.5.x.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/time.hpp"
#include "encoding/json.hpp"

namespace dms::protocol {

/// Bytes of JSON in one reply: in base64 and in its envelope it is within network::kMaxMessage.
inline constexpr std::size_t kMaxView = 704 * 1024;

/// Where a behaviour is offered to users. `network` behaviours are used between nodes only.
enum class Offered { network, command_line };

/// How the text of a parameter becomes JSON.
enum class Form {
  text,      ///< a string
  number,    ///< a number
  size,      ///< bytes; a bare number counts GiB
  pairs,     ///< {"key": "value"} of key=value, repeated
  gpus,      ///< [{"index": 0, "vram": bytes}] of 0:4GiB,1:8GiB
  flag,      ///< true if given
  anchors,   ///< a token, a list of tokens or a DID, as the flag beside it says
  ensemble,  ///< a YAML file, read and checked by the caller
};

/// One member of a request that a user can set.
struct Parameter {
  std::string_view name;    ///< on the command line, without dashes
  char letter = 0;          ///< 0: none
  std::string_view member;  ///< path in the payload, with dots; empty: another parameter reads this one
  Form form = Form::text;
  std::string_view value;  ///< what its argument is called in help; empty for Form::flag
  std::string_view help;
  bool required = false;
  std::string_view group;  ///< exactly one parameter of a group is given; empty: no group
};

struct Declaration {
  std::string_view path;
  std::string_view help;
  Offered offered = Offered::network;
  Duration timeout = 30s;            ///< of a call, unless its unit is named in the declaration's comment
  std::string_view topic = {};       ///< broadcasts arrive on this topic only; empty: no broadcasts
  std::string_view capability = {};  ///< empty: the path itself
  std::span<const Parameter> parameters = {};
  bool open = false;  ///< no capability is needed: actor/actor.hpp, BehaviourOptions

  [[nodiscard]] constexpr std::string_view required_capability() const {
    return capability.empty() ? path : capability;
  }
};

/// An empty payload; a received one is ignored.
struct Nothing {
  void to_json(json::Writer& writer) const { writer.begin_object().end_object(); }
  static Result<Nothing> from_json(const json::Value&) { return Nothing{}; }
};

/// A declaration with the types of its payloads.
template <class RequestType, class ReplyType>
struct Behaviour : Declaration {
  using Request = RequestType;
  using Reply = ReplyType;
};

/// Fills in the placeholder of a path.
[[nodiscard]] std::string path_of(const Declaration& declaration, std::string_view ensemble);

/// The value of the placeholder in `path`; empty if `path` is not of this declaration.
[[nodiscard]] std::string_view ensemble_in(const Declaration& declaration, std::string_view path);

}  // namespace dms::protocol
