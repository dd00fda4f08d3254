// What allows a peer to fetch one file: 32 random bytes. As text in messages: hex.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace dms::transfer {

struct Ticket {
  std::array<std::uint8_t, 32> secret{};

  static Result<Ticket> parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Ticket&, const Ticket&) = default;
};

}  // namespace dms::transfer
