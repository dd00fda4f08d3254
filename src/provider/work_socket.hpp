// The Unix socket by which the work of an allocation reaches its actor (work_actor.hpp), in the lines of
// work_messages.hpp.
//
// Model
//  1. open() makes a folder, which the executor shows to the work, a socket in it that every user may connect to (work
//     runs as another one), and the actor. The folder is in one that only the daemon's user can enter. A socket that a
//     killed daemon has left is replaced, in the same folder: work that runs connects again.
//  2. Each connection is served until the work closes it. One that is closed for writing gets the answers that are
//     under way, but no more calls.
//  3. Requests are read in their order; calls run concurrently and are answered as they end. A call of a behaviour goes
//     to the connection that has registered it, and ends unanswered with it.
//  4. close() ends the connections and the actor, and removes the socket. The folder belongs to the caller.
//
// Bounds: kMaxWorkConnections, kMaxWorkCalls in each direction with what they carry (kMaxWorkLine), kMaxWorkQueue lines
// that a connection has not read, and kWorkRate requests or connections a second, each kWorkUnit of what is read counting
// as one. Work that is faster, or that does not read, waits in its write(): no more is read from it. A call whose answer
// is not read stays under way. Calls that find no room are refused to the work, and dropped for callers, who run out of
// time.
//
// Threads: the node's lane; folders are made by a worker. Failure: without a socket the work runs, and finds none.
// Attacks: see work_messages.hpp and work_actor.hpp. A call holds the place of its caller for kLongestWorkCall at most.
#pragma once

#include <filesystem>
#include <set>

#include "provider/work_actor.hpp"
#include "runtime/channel.hpp"
#include "runtime/nursery.hpp"
#include "runtime/stream.hpp"

namespace dms::provider {

inline constexpr std::size_t kMaxWorkConnections = 8;
inline constexpr std::size_t kMaxWorkCalls = 32;
inline constexpr std::size_t kMaxWorkQueue = 16;
inline constexpr int kWorkRate = 50;
inline constexpr int kWorkBurst = 100;
inline constexpr std::size_t kWorkUnit = std::size_t{16} << 10;
inline constexpr Duration kLongestWorkCall = 5min;

/// The folder of the sockets below the work folder of the daemon, and the name of an allocation's folder in it: short,
/// as the path of a socket is bounded.
inline constexpr std::string_view kActorFolders = "actors";
[[nodiscard]] std::string actor_folder_name(std::string_view local_name);
/// Removes the folders of others than these allocations. Blocks.
Result<void> remove_actor_folders(const std::filesystem::path& folders, const std::set<std::string>& except);

class WorkSocket {
 public:
  struct Parts {
    Net& net;
    std::filesystem::path folder;
    WorkActor::Parts actor;
  };
  explicit WorkSocket(Parts parts);

  Task<Result<void>> open();
  /// Before the destructor. Once.
  Task<void> close();
  /// Of the actor, once open() has succeeded.
  [[nodiscard]] const did::Did& did() const { return actor_->handle().did; }
  [[nodiscard]] const std::filesystem::path& folder() const { return parts_.folder; }
  /// Its actor, if the work has registered that behaviour with that topic.
  [[nodiscard]] std::optional<actor::Handle> subscriber(const std::string& behaviour, const std::string& topic) const {
    if (!actor_ || !actor_->offers(behaviour, topic)) return std::nullopt;
    return actor_->handle();
  }

 private:
  struct Connection {
    Connection(Lane& lane, CancelScope* scope, std::unique_ptr<ByteStream> with)
        : stream(std::move(with)),
          out(kMaxWorkQueue),
          calls(lane, "calls of work", scope),
          writing(lane, "work", scope) {}
    std::unique_ptr<ByteStream> stream;
    Channel<std::string> out;  ///< lines to be written
    Nursery calls;
    Nursery writing;
    std::set<std::string> behaviours;
  };
  using ConnectionPtr = std::shared_ptr<Connection>;
  /// A call that the work has been told of.
  struct Waiting {
    const Connection* connection = nullptr;
    std::optional<json::Value> reply;
    bool over = false;
    Notify changed;
  };
  using WaitingPtr = std::shared_ptr<Waiting>;

  Task<void> accept_all();
  Task<void> serve(std::unique_ptr<ByteStream> stream);
  Task<bool> read_all(ConnectionPtr connection);
  Task<Result<void>> read_lines(ConnectionPtr connection, LineSplitter& lines);
  Task<void> write_all(ConnectionPtr connection);
  Task<Result<void>> take_turn(Duration cost);
  /// The answer, if it is known at once.
  std::optional<std::string> handle(const ConnectionPtr& connection, std::string_view line);
  Result<json::Value> handle_now(const ConnectionPtr& connection, const WorkRequest& request);
  Result<void> enrol(const ConnectionPtr& connection, const WorkRequest& request);
  Result<void> settle(const Connection& connection, const WorkRequest& request);
  Task<void> call(ConnectionPtr connection, WorkRequest request);
  Task<void> on_call(std::string behaviour, std::weak_ptr<Connection> to, actor::Envelope envelope);
  Task<Result<void>> until_replied(WaitingPtr waiting);
  void leave(Connection& connection);

  Parts parts_;
  Lane& lane_;
  std::unique_ptr<WorkActor> actor_;
  std::unique_ptr<Listener> listener_;
  std::size_t connections_ = 0;
  std::size_t calls_ = 0;  ///< of the work, that have not ended
  std::uint64_t last_call_ = 0;
  std::map<std::uint64_t, WaitingPtr> waiting_;
  SteadyTime next_turn_{};
  Nursery tasks_;
};

}  // namespace dms::provider
