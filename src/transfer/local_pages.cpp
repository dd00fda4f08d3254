#include "transfer/local_pages.hpp"

#include <algorithm>

#include "transfer/ticket.hpp"

namespace dms::transfer {

namespace {

Error no_ticket() { return {Errc::not_found, "no file is open under this ticket; repeat the command"}; }

}  // namespace

std::string LocalPages::add(Offer offer) {
  const SteadyTime now = lane_.now();
  std::erase_if(offers_, [&](const auto& entry) { return now - entry.second.used >= kUnused; });
  if (offers_.size() >= kMaxOffers)
    offers_.erase(std::ranges::min_element(offers_, {}, [](const auto& entry) { return entry.second.used; }));
  Ticket ticket;
  lane_.random().fill(ticket.secret);
  offer.used = now;
  offers_.insert_or_assign(crypto::sha256(ticket.secret), std::move(offer));
  return ticket.to_string();
}

LocalPages::Offer* LocalPages::find(std::string_view ticket) {
  const Result<Ticket> parsed = Ticket::parse(ticket);
  if (!parsed) return nullptr;
  const auto found = offers_.find(crypto::sha256(parsed->secret));
  return found == offers_.end() || lane_.now() - found->second.used >= kUnused ? nullptr : &found->second;
}

LocalPages::Offer* LocalPages::use(std::string_view ticket) {
  Offer* offer = find(ticket);
  if (offer != nullptr) offer->used = lane_.now();
  return offer;
}

Task<Result<std::uint64_t>> LocalPages::write(std::string ticket, std::uint64_t offset, Bytes data) {
  const Offer* offer = use(ticket);
  if (offer == nullptr || !offer->write) co_return std::unexpected(no_ticket());
  const Write write = offer->write;  // the offer may end meanwhile
  co_return co_await write(offset, std::move(data));
}

Task<Result<Bytes>> LocalPages::read(std::string ticket, std::uint64_t offset) {
  const Offer* offer = use(ticket);
  if (offer == nullptr || !offer->read) co_return std::unexpected(no_ticket());
  const Read read = offer->read;
  co_return co_await read(offset);
}

}  // namespace dms::transfer
