#include "transfer/announced.hpp"

#include <algorithm>

#include "encoding/multibase.hpp"

namespace dms::transfer {

Task<Result<void>> fetch_announced(network::Network& network, crypto::PeerId from, Announced file,
                                   std::filesystem::path destination, FetchOptions options) {
  CO_TRY(const Ticket ticket, Ticket::parse(file.ticket));
  Content content;
  content.size = file.size;
  const Result<Bytes> digest = decode(Base::hex, file.digest, 2 * content.digest.size());
  if (!digest || digest->size() != content.digest.size())
    co_return fail(Errc::invalid_argument, "no SHA-256 of it is announced");
  std::ranges::copy(*digest, content.digest.begin());
  options.expected = content;
  options.max_bytes = file.size;
  Task<Result<Content>> fetching = fetch(network, from, ticket, std::move(destination), std::move(options));
  CO_TRY_VOID(co_await std::move(fetching));
  co_return Result<void>();
}

}  // namespace dms::transfer
