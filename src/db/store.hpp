// The document store: JSON documents in named collections, in one SQLite file that survives kill -9 and power loss.
//
// Model
//  1. A document is (collection, id) -> JSON text. put() creates or replaces; get() of a missing document is empty;
//     list() is in the order of ids, byte by byte.
//  2. When put(), erase() or transaction() has returned success, the change is on the disk (WAL, synchronous=FULL).
//     After a crash the file holds every change that was acknowledged, in order, and perhaps the one that was in
//     progress.
//  3. transaction() makes several changes one: all or, if its function returns an error, none. Inside another
//     transaction it is part of that one; if it fails, so does the outer one, even if its error is dropped.
//  4. The file belongs to one process: a second one that opens it is refused. It has mode 0600; missing folders are
//     made with 0700. Its format has a version (user_version) and is migrated forward at opening; a newer one is
//     refused.
//  5. Opening a file of the current version needs no room, so it succeeds on a full disk. Its log (-wal) takes 4 MiB of
//     the disk when it is opened, if there is room, and keeps them, also while it is closed: changes are stored, and
//     room is made, although other programs have filled the disk. After close the file alone is the database, unless
//     the disk was full.
//  6. ":memory:" is a store that lives as long as the object, for tests and simulations.
//
// Threads: any; calls exclude each other, a transaction excludes the calls of other threads until it ends. Calls block:
// a write waits for the disk (store_bench.cpp: 1.7 ms on an SSD, ten documents in one transaction 2.5 ms; hard disks
// more), a get takes 1.3 us and a list 2 us for each document. Code that runs on a lane uses AsyncStore
// (async_store.hpp); this class is for its workers, for the start of the daemon and for tests. Failure: Errc::corrupt,
// newer_format, in_use say what to do next; disks that are full, with the log, and broken files are dms::Errc::io.
// After a failed write the store holds what it held before.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "encoding/json.hpp"

namespace dms::db {

enum class Errc {
  corrupt,
  newer_format,
  in_use,
};

constexpr ErrorCode describe(Errc code) {
  std::string_view sentence = "the database file is damaged";
  switch (code) {
    case Errc::corrupt: break;
    case Errc::newer_format: sentence = "the database file was written by a newer version"; break;
    case Errc::in_use: sentence = "another process uses the database file"; break;
  }
  return {"db", static_cast<int>(code), sentence};
}

struct Document {
  std::string id;
  std::string json;
  friend bool operator==(const Document&, const Document&) = default;
};

class Store {
 public:
  static constexpr std::string_view kMemory = ":memory:";
  static constexpr std::size_t kMaxName = 512;
  static constexpr std::size_t kMaxDocument = 16 * 1024 * 1024;

  static Result<Store> open(const std::string& path);
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  Result<void> put(std::string_view collection, std::string_view id, std::string_view json);
  Result<std::optional<std::string>> get(std::string_view collection, std::string_view id);
  /// True if the document existed.
  Result<bool> erase(std::string_view collection, std::string_view id);
  Result<std::vector<Document>> list(std::string_view collection);

  /// Runs `change` and commits if it succeeds.
  Result<void> transaction(const std::function<Result<void>()>& change);

  /// Values with a JSON form (encoding/json.hpp).
  template <class T>
  Result<void> put_value(std::string_view collection, std::string_view id, const T& value) {
    return put(collection, id, json::encode(value));
  }
  template <class T>
  Result<std::optional<T>> get_value(std::string_view collection, std::string_view id) {
    TRY(const auto text, get(collection, id));
    if (!text) return std::optional<T>();
    TRY(T value, read<T>(collection, id, *text));
    return std::optional<T>(std::move(value));
  }
  template <class T>
  Result<std::vector<std::pair<std::string, T>>> list_values(std::string_view collection) {
    TRY(const auto documents, list(collection));
    std::vector<std::pair<std::string, T>> values;
    for (const auto& [id, text] : documents) {
      TRY(T value, read<T>(collection, id, text));
      values.emplace_back(id, std::move(value));
    }
    return values;
  }

  /// The value of a document's text.
  template <class T>
  static Result<T> read(std::string_view collection, std::string_view id, std::string_view text) {
    Result<T> value = json::decode<T>(text, {.bytes = kMaxDocument});
    if (!value) return fail(value.error(), "the document {} of {} in the database cannot be read", id, collection);
    return value;
  }

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace dms::db
