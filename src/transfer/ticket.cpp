#include "transfer/ticket.hpp"

#include <algorithm>

#include "encoding/multibase.hpp"

namespace dms::transfer {

Result<Ticket> Ticket::parse(std::string_view text) {
  Ticket ticket;
  const Result<Bytes> bytes = decode(Base::hex, text, 2 * ticket.secret.size());
  if (!bytes || bytes->size() != ticket.secret.size())
    return fail(Errc::invalid_argument, "a transfer ticket has {} hexadecimal digits", 2 * ticket.secret.size());
  std::ranges::copy(*bytes, ticket.secret.begin());
  return ticket;
}

std::string Ticket::to_string() const { return encode(Base::hex, secret); }

}  // namespace dms::transfer
