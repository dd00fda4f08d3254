// The record of a container, shared by the parts of Docker.
#pragma once

#include "executor/docker/docker.hpp"
#include "runtime/mutex.hpp"

namespace dms::executor {

struct Docker::Run : Execution {
  std::string name;
  std::string container;      // its id
  std::string image;          // the id of one that came with the work
  std::string given_up;       // the id of a command whose caller did not wait for its end
  std::string given_up_mark;  // in its environment
  std::unique_ptr<Nursery> follower;
  bool lingers = false;      // the start has failed, and so has the first attempt to remove the container
  bool interrupted = false;  // the engine has not answered meanwhile
  bool ended = false;        // the container has, and needs no watcher any more
  Mutex watching;            // held while its watcher gets a deadline, is started or ended
};

/// Between attempts to reach the engine; doubled each time.
inline constexpr Duration kFirstPause = 500ms;
inline constexpr Duration kLongestPause = 10s;

/// Before the id of an image, where the engine names it.
inline constexpr std::string_view kImagePrefix = "sha256:";
/// Of "sha256:<id>"; empty if it is no such text.
std::string image_id(const std::string& text);

}  // namespace dms::executor
