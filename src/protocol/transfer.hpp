// The messages about files: results of an allocation, inputs of one, and uploads of a user to its own node. None of
// them is in DMS 0.5.x.
//
// Model
//  1. Files themselves go over transfer streams (transfer/server.hpp). These messages hand out the tickets, each for
//     the node that has asked.
//  2. Results exist after the run of an allocation has ended, until the allocation is removed (kAllocationShutdown).
//     They are asked for again after an interruption: the tickets are new, the content is the same.
//  3. The content of an input is named by its digest. A provider asks for it before it starts the work.
//  4. A user's files go to its node in pages, from the offset that the last reply names; a reply to an empty page tells
//     where to go on. The command line sends them to the REST API as they are, under a ticket that the reply names.
#pragma once

#include <string>
#include <vector>

#include "protocol/declaration.hpp"

namespace dms::protocol {

struct AllocationResultsRequest {
  std::string allocation_name;
  static constexpr auto json_fields() {
    return std::tuple(json::field("AllocName", &AllocationResultsRequest::allocation_name));
  }
};

/// A declared path of jobs::Results, as it is sent. Without a ticket it is not available, and `error` says why.
struct ResultFile {
  std::string name;        ///< the path as the ensemble declares it
  bool folder = false;     ///< a tar archive is sent
  std::uint64_t size = 0;  ///< bytes of what is sent
  std::string digest;      ///< SHA-256 of what is sent, in hex
  std::string ticket;
  std::string error;
  std::vector<std::string> left_out;  ///< what a folder holds and cannot be sent
  static constexpr auto json_fields() {
    using R = ResultFile;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("name", &R::name), json::field("folder", &R::folder, omit),
                      json::field("size", &R::size), json::field("digest", &R::digest, omit),
                      json::field("ticket", &R::ticket, omit), json::field("error", &R::error, omit),
                      json::field("left_out", &R::left_out, omit));
  }
};

struct AllocationResultsReply {
  bool ok = false;
  std::string error;
  bool packing = false;  ///< they are not packed yet: ask again
  std::vector<ResultFile> results;
  static constexpr auto json_fields() {
    using R = AllocationResultsReply;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("packing", &R::packing, json::omit_empty),
                      json::field("results", &R::results, json::omit_empty));
  }
};

struct InputRequest {
  std::string allocation_id;
  std::string to;  ///< of the jobs::Input
  static constexpr auto json_fields() {
    return std::tuple(json::field("AllocationID", &InputRequest::allocation_id), json::field("to", &InputRequest::to));
  }
};
struct InputReply {
  bool ok = false;
  std::string error;
  bool folder = false;
  std::uint64_t size = 0;
  std::string digest;
  std::string ticket;
  static constexpr auto json_fields() {
    using R = InputReply;
    constexpr auto omit = json::omit_empty;
    return std::tuple(json::field("OK", &R::ok), json::field("Error", &R::error),
                      json::field("folder", &R::folder, omit), json::field("size", &R::size, omit),
                      json::field("digest", &R::digest, omit), json::field("ticket", &R::ticket, omit));
  }
};

/// A page of a file that a deployment will need.
struct DeploymentInputRequest {
  std::string digest;        ///< SHA-256 of the whole file, in hex
  std::uint64_t size = 0;    ///< of the whole file
  std::uint64_t offset = 0;  ///< of `data`
  Bytes data;                ///< at most kInputPage; none asks for the state
  bool local = false;        ///< the caller can send pages to the REST API of this node, and asks for a ticket
  static constexpr auto json_fields() {
    using R = DeploymentInputRequest;
    return std::tuple(json::field("digest", &R::digest), json::field("size", &R::size),
                      json::field("offset", &R::offset, json::omit_empty),
                      json::field("data", &R::data, json::omit_empty),
                      json::field("local", &R::local, json::omit_empty));
  }
};
inline constexpr std::size_t kInputPage = 512 * 1024;
struct DeploymentInputReply {
  std::uint64_t offset = 0;  ///< where the next page starts
  bool complete = false;     ///< the whole file is there and its digest is right
  std::string error;
  std::string ticket;  ///< for pages, if they were asked for and more is wanted (transfer/local_pages.hpp)
  static constexpr auto json_fields() {
    using R = DeploymentInputReply;
    return std::tuple(json::field("offset", &R::offset), json::field("complete", &R::complete),
                      json::field("Error", &R::error, json::omit_empty),
                      json::field("ticket", &R::ticket, json::omit_empty));
  }
};

inline constexpr Behaviour<AllocationResultsRequest, AllocationResultsReply> kAllocationResults{
    {.path = "/dms/ensemble/{ensemble}/allocation/results",
     .help = "List the results of an allocation, with tickets to fetch them",
     .timeout = 30s}};
inline constexpr Behaviour<InputRequest, InputReply> kOrchestratorInput{
    {.path = "/dms/orchestrator/input", .help = "Get a ticket to fetch an input of an allocation", .timeout = 30s}};
inline constexpr Behaviour<DeploymentInputRequest, DeploymentInputReply> kDeploymentInput{
    {.path = "/dms/node/deployment/input",
     .help = "Upload a file that a deployment will need",
     .offered = Offered::network,
     .timeout = 1min}};

}  // namespace dms::protocol
