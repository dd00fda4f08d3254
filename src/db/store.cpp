#include "db/store.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <filesystem>
#include <mutex>

#include "runtime/process.hpp"

namespace dms::db {
namespace {

constexpr int kBusyMs = 2000;
constexpr int kApplicationId = 0x6E756E65;  // "nune", shown by file(1)
/// A little more than the log takes until SQLite moves its pages to the file (1000 pages, its default).
constexpr off_t kLogRoom = 4 << 20;

/// migrations[n] brings a file from version n to n + 1. Never change one that was released: add another.
constexpr const char* kMigrations[] = {
    "CREATE TABLE documents(collection TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL,"
    " PRIMARY KEY(collection, id)) WITHOUT ROWID, STRICT",
};
constexpr int kVersion = static_cast<int>(std::size(kMigrations));

/// Makes the file with its mode before SQLite sees it; SQLite gives the journal files the same mode.
Result<void> make_private(const std::string& path) {
  std::error_code error;
  const auto parent = std::filesystem::path(path).parent_path();
  if (!parent.empty() && !std::filesystem::exists(parent, error)) {
    const mode_t before = ::umask(0077);
    std::filesystem::create_directories(parent, error);
    ::umask(before);
    if (error) return fail(dms::Errc::io, "the folder {} cannot be made: {}", parent.string(), error.message());
  }
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0)
    return fail(dms::Errc::io, "the database {} cannot be opened: {}", path, std::generic_category().message(errno));
  const int changed = ::fchmod(file, 0600);
  ::close(file);
  if (changed != 0)
    return fail(dms::Errc::io, "the mode of {} cannot be set: {}", path, std::generic_category().message(errno));
  return {};
}

/// The write-ahead log, for changes that SQLite does not make itself.
Fd open_log(const std::string& database) {
  return Fd(::open((database + "-wal").c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
}

/// Takes room on the disk; a full disk, or one that cannot do it, leaves the log as it is.
void take_room(const Fd& log) {
  if (log) (void)::posix_fallocate(log.get(), 0, kLogRoom);
}

/// Makes what it holds void, without giving back its room. Only when the file has all of it.
void clear(const Fd& log) {
  constexpr char kNoHeader[32] = {};
  if (log && ::pwrite(log.get(), kNoHeader, sizeof kNoHeader, 0) == ssize_t{sizeof kNoHeader}) (void)::fsync(log.get());
}

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

/// A prepared statement in use; ready for the next use when this ends.
class Use {
 public:
  explicit Use(const Statement& statement) : statement_(statement.get()) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  /// The text must live until this ends.
  Use& bind(int place, std::string_view text) {
    sqlite3_bind_text64(statement_, place, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
    return *this;
  }
  int step() { return sqlite3_step(statement_); }
  [[nodiscard]] std::string text(int column) const {
    const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return {data == nullptr ? "" : data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  sqlite3_stmt* statement_;
};

}  // namespace

struct Store::Impl {
  std::recursive_mutex mutex;  ///< guards what follows; recursive for the calls inside a transaction
  std::string path;
  sqlite3* handle = nullptr;
  Statement put, get, erase, list;
  bool keeps_log = false;  ///< after its end; see empty_log()
  int depth = 0;
  std::optional<Error> inner_failure;  // an inner transaction failed; the outer one must, too

  ~Impl() {
    put.reset(), get.reset(), erase.reset(), list.reset();
    if (keeps_log) empty_log();
    sqlite3_close(handle);
  }

  /// The log stays, for its room, but holds nothing: the file alone is the database, and can be replaced by a backup.
  void empty_log() {
    int pages = 0;
    int moved = 0;
    const int done = sqlite3_wal_checkpoint_v2(handle, nullptr, SQLITE_CHECKPOINT_PASSIVE, &pages, &moved);
    if (done == SQLITE_OK && pages == moved) clear(open_log(path));
  }

  [[nodiscard]] std::unexpected<Error> failure(int code, std::string_view doing) const {
    const std::string why = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
    switch (code & 0xFF) {
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        return fail(Errc::corrupt,
                    "{}: the database {} is damaged ({}); move it and {}-wal to another place and restore a backup, or "
                    "start without "
                    "them as a new node",
                    doing, path, why, path);
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return fail(Errc::in_use,
                    "{}: another process uses the database {}; stop it, or set general.work_dir to another folder",
                    doing, path);
      case SQLITE_FULL: return fail(dms::Errc::io, "{}: the disk that holds {} is full; free some space", doing, path);
      default: return fail(dms::Errc::io, "{}: {}: {}", doing, path, why);
    }
  }

  Result<void> run(const char* sql, std::string_view doing) {
    const int code = sqlite3_exec(handle, sql, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return failure(code, doing);
    return {};
  }

  Result<Statement> prepare(const char* sql) {
    sqlite3_stmt* raw = nullptr;
    const int code = sqlite3_prepare_v3(handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
    if (code != SQLITE_OK) return failure(code, "preparing the database");
    return Statement(raw);
  }

  Result<std::string> query(const char* sql, std::string_view doing) {
    TRY(const Statement statement, prepare(sql));
    Use use(statement);
    const int code = use.step();
    if (code != SQLITE_ROW) return failure(code, doing);
    return use.text(0);
  }

  Result<void> migrate() {
    TRY(const std::string text, query("PRAGMA user_version", "reading the format"));
    const int version = std::atoi(text.c_str());
    if (version > kVersion)
      return fail(Errc::newer_format,
                  "the database {} has format {}, this program supports up to {}; use the newer program, or another "
                  "general.work_dir",
                  path, version, kVersion);
    for (int next = version; next < kVersion; ++next) {
      TRY_VOID(run("BEGIN IMMEDIATE", "migrating"));
      TRY_VOID(run(kMigrations[next], "migrating"));
      TRY_VOID(run(fmt::format("PRAGMA user_version={}", next + 1).c_str(), "migrating"));
      TRY_VOID(run("COMMIT", "migrating"));
    }
    return {};
  }

  /// Keeps the log's room on the disk from now on, also while no process uses the database.
  void keep_log() {
    int keep = 1;
    keeps_log = sqlite3_file_control(handle, "main", SQLITE_FCNTL_PERSIST_WAL, &keep) == SQLITE_OK;
    take_room(open_log(path));
  }

  Result<void> open(bool in_memory) {
    if (!in_memory) TRY_VOID(make_private(path));
    const int code = sqlite3_open_v2(path.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    if (code != SQLITE_OK) return failure(code, "opening");
    sqlite3_busy_timeout(handle, kBusyMs);
    sqlite3_extended_result_codes(handle, 1);
    // Exclusive before the first read: the lock stays, and no shared memory file is needed.
    TRY_VOID(run(
        "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA trusted_schema=OFF;"
        "BEGIN IMMEDIATE; COMMIT",
        "opening"));
    TRY(const std::string id, query("PRAGMA application_id", "opening"));
    // Writes even what is there already, for which a full disk has no room.
    if (id != std::to_string(kApplicationId))
      TRY_VOID(run(fmt::format("PRAGMA application_id={}", kApplicationId).c_str(), "opening"));
    TRY(const std::string sound, query("PRAGMA quick_check(1)", "checking"));
    if (sound != "ok") return failure(SQLITE_CORRUPT, "checking: " + sound);
    TRY_VOID(migrate());
    if (!in_memory) keep_log();
    TRY(put, prepare("INSERT INTO documents VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET body = ?3"));
    TRY(get, prepare("SELECT body FROM documents WHERE collection = ?1 AND id = ?2"));
    TRY(erase, prepare("DELETE FROM documents WHERE collection = ?1 AND id = ?2"));
    TRY(list, prepare("SELECT id, body FROM documents WHERE collection = ?1 ORDER BY id"));
    return {};
  }
};

namespace {

Result<void> check_names(std::string_view collection, std::string_view id) {
  for (const std::string_view name : {collection, id})
    if (name.empty() || name.size() > Store::kMaxName || name.find('\0') != std::string_view::npos)
      return fail(dms::Errc::invalid_argument,
                  "a collection and an id have 1 to {} bytes, none of them zero; found {} and {} bytes",
                  Store::kMaxName, collection.size(), id.size());
  return {};
}

}  // namespace

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  TRY_VOID(impl->open(path == kMemory));
  return Store(std::move(impl));
}

Result<void> Store::put(std::string_view collection, std::string_view id, std::string_view json) {
  std::lock_guard lock(impl_->mutex);
  TRY_VOID(check_names(collection, id));
  if (json.size() > kMaxDocument)
    return fail(dms::Errc::limit_exceeded, "the document {} of {} has {} bytes; at most {} are stored", id, collection,
                json.size(), kMaxDocument);
  const int code = Use(impl_->put).bind(1, collection).bind(2, id).bind(3, json).step();
  if (code != SQLITE_DONE) return impl_->failure(code, "storing");
  return {};
}

Result<std::optional<std::string>> Store::get(std::string_view collection, std::string_view id) {
  std::lock_guard lock(impl_->mutex);
  TRY_VOID(check_names(collection, id));
  Use use(impl_->get);
  const int code = use.bind(1, collection).bind(2, id).step();
  if (code == SQLITE_DONE) return std::optional<std::string>();
  if (code != SQLITE_ROW) return impl_->failure(code, "reading");
  return std::optional(use.text(0));
}

Result<bool> Store::erase(std::string_view collection, std::string_view id) {
  std::lock_guard lock(impl_->mutex);
  TRY_VOID(check_names(collection, id));
  const int code = Use(impl_->erase).bind(1, collection).bind(2, id).step();
  if (code != SQLITE_DONE) return impl_->failure(code, "erasing");
  return sqlite3_changes(impl_->handle) > 0;
}

Result<std::vector<Document>> Store::list(std::string_view collection) {
  std::lock_guard lock(impl_->mutex);
  TRY_VOID(check_names(collection, "-"));
  Use use(impl_->list);
  use.bind(1, collection);
  std::vector<Document> documents;
  int code = 0;
  while ((code = use.step()) == SQLITE_ROW) documents.push_back({.id = use.text(0), .json = use.text(1)});
  if (code != SQLITE_DONE) return impl_->failure(code, "listing");
  return documents;
}

Result<void> Store::transaction(const std::function<Result<void>()>& change) {
  std::lock_guard lock(impl_->mutex);
  Impl& db = *impl_;
  if (db.depth > 0) {
    Result<void> done = change();
    if (!done && !db.inner_failure) db.inner_failure = done.error();
    return done;
  }
  TRY_VOID(db.run("BEGIN IMMEDIATE", "beginning a transaction"));
  // Also when `change` throws: a bug elsewhere must not leave half a change to be committed by the next caller.
  struct Scope {
    Impl& db;
    bool committed = false;
    explicit Scope(Impl& d) : db(d) { db.depth = 1; }
    ~Scope() {
      db.depth = 0;
      db.inner_failure.reset();
      if (!committed) sqlite3_exec(db.handle, "ROLLBACK", nullptr, nullptr, nullptr);
    }
  } scope(db);
  TRY_VOID(change());
  if (db.inner_failure) return std::unexpected(*db.inner_failure);
  TRY_VOID(db.run("COMMIT", "committing"));
  scope.committed = true;
  return {};
}

}  // namespace dms::db
