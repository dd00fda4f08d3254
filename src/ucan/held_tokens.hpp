// The tokens of messages in progress.
//
// Model
//  1. A token is held once, however many messages carry it, and is released with the last of them.
//  2. Consumed holds the tokens of one message. It releases exactly those that the message added: a token that the
//     message carried but did not add, and a token that was dropped in between, are not touched.
//  3. Bounds: kMaxConsumed tokens in all and kMaxConsumedPerOrigin of one sender. A token above them is refused, so no
//     sender displaces the tokens of another.
//
// Invariant: size() is the number of held tokens, and the sum of held_of() over all origins.
//
// Threads: one lane. Cost: O(tokens of the subject) to hold and to release.
#pragma once

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

#include "ucan/token.hpp"

namespace dms::ucan {

inline constexpr std::size_t kMaxConsumed = 8192;
inline constexpr std::size_t kMaxConsumedPerOrigin = 256;

class HeldTokens {
 public:
  struct Held {
    Token token;
    did::Did origin;
    std::uint64_t id;
    std::size_t uses = 1;
  };
  /// Names one held token; never used again.
  struct Use {
    did::Did subject;
    std::uint64_t id;
  };

  /// The held tokens of `subject`.
  [[nodiscard]] const std::vector<Held>& of(const did::Did& subject) const;
  /// Another use of `token`, if it is held.
  std::optional<Use> find(const Token& token);
  [[nodiscard]] bool full(const did::Did& origin) const;
  [[nodiscard]] std::size_t held_of(const did::Did& origin) const;
  /// `token` is not held, and !full(origin).
  Use add(Token token, const did::Did& origin);
  void release(const Use& use);
  template <class Gone>
  void erase_if(Gone gone) {
    for (auto it = by_subject_.begin(); it != by_subject_.end();) {
      std::erase_if(it->second, [&](const Held& held) {
        if (!gone(held)) return false;
        forget(held);
        return true;
      });
      it = it->second.empty() ? by_subject_.erase(it) : std::next(it);
    }
  }
  template <class Matches>
  [[nodiscard]] bool any_of(Matches matches) const {
    return std::ranges::any_of(by_subject_, [&](const auto& entry) {
      return std::ranges::any_of(entry.second, [&](const Held& held) { return matches(held.token); });
    });
  }
  [[nodiscard]] std::size_t size() const { return count_; }

 private:
  void forget(const Held& held);

  std::unordered_map<did::Did, std::vector<Held>> by_subject_;
  std::unordered_map<did::Did, std::size_t> by_origin_;
  std::size_t count_ = 0;
  std::uint64_t last_id_ = 0;
};

/// The result of consuming the tokens of one message; they are held until it is destroyed. May outlive the context.
class [[nodiscard]] Consumed {
 public:
  explicit Consumed(std::shared_ptr<HeldTokens> store) : store_(std::move(store)) {}
  Consumed(Consumed&& other) noexcept = default;
  Consumed& operator=(Consumed&& other) noexcept;
  ~Consumed() { release(); }

  [[nodiscard]] std::size_t kept() const { return uses_.size(); }
  /// The reason for each token that is not valid.
  [[nodiscard]] const std::vector<Error>& refused() const { return refused_; }
  [[nodiscard]] std::string explain() const;
  /// Releases early; idempotent.
  void release();

 private:
  friend class CapabilityContext;
  std::shared_ptr<HeldTokens> store_;  // null once moved from
  std::vector<HeldTokens::Use> uses_;
  std::vector<Error> refused_;
};

/// Up to four of `reasons`, for messages.
[[nodiscard]] std::string join(const std::vector<Error>& reasons);

}  // namespace dms::ucan
