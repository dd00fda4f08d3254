// Reading a collection at the start of the daemon when single records may be damaged.
#pragma once

#include "base/log.hpp"
#include "db/store.hpp"

namespace dms::db {

/// The collection to which unreadable documents of `collection` are moved.
[[nodiscard]] inline std::string unreadable(std::string_view collection) {
  return fmt::format("{}.unreadable", collection);
}

/// The values of a collection. A document that cannot be read is moved to unreadable(collection), where it stays for a
/// newer version or for an operator, as it was stored, and is named in the log: one damaged record does not prevent a
/// start. So is one that `valid`, called with id and value, refuses. Blocks.
template <class T, class Valid>
Result<std::vector<std::pair<std::string, T>>> list_readable(Store& store, std::string_view collection,
                                                             const Valid& valid) {
  TRY(const std::vector<Document> documents, store.list(collection));
  std::vector<std::pair<std::string, T>> values;
  for (const Document& document : documents) {
    Result<T> value = json::decode<T>(document.json, {.bytes = Store::kMaxDocument});
    if (value)
      if (const Result<void> is_valid = valid(document.id, *value); !is_valid)
        value = std::unexpected(is_valid.error());
    if (value) {
      values.emplace_back(document.id, std::move(*value));
      continue;
    }
    log::error("db", {{"collection", collection}, {"document", document.id}},
               "the record {} of {} cannot be read and is moved to {}: {}", document.id, collection,
               unreadable(collection), value.error().to_string());
    TRY_VOID(store.transaction([&]() -> Result<void> {
      TRY_VOID(store.put(unreadable(collection), document.id, document.json));
      TRY_VOID(store.erase(collection, document.id));
      return {};
    }));
  }
  return values;
}

template <class T>
Result<std::vector<std::pair<std::string, T>>> list_readable(Store& store, std::string_view collection) {
  return list_readable<T>(store, collection, [](const std::string&, const T&) { return Result<void>(); });
}

}  // namespace dms::db
