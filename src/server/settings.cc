#include "src/server/settings.h"

#include <algorithm>
#include <charconv>

#include "src/base/logging.h"
#include "src/node/tcp_socket.h"
#include "src/wal/format.h"

namespace holdfast {
namespace {

constexpr uint32_t kHeartbeatsPerTimeout = 3;

static_assert(bounds::kSegmentBytesMin >=
                  wal::kSegmentHeaderBytes + wal::kRecordHeaderBytes + bounds::kEntryBytesMax,
              "the log would stop the node at an entry that no file holds");

// As a string of TOML, which wants control characters escaped.
std::string Quoted(const std::string& text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 0xf];
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// Where a setting lies within Settings: a member of its own, or one of the server's.
template <class T>
T& Place(Settings& settings, T Settings::*member) {
  return settings.*member;
}
template <class T>
T& Place(Settings& settings, T ServerConfig::*member) {
  return settings.server.*member;
}
template <class T>
T& Place(Settings& settings, T node::ClockOptions::*member) {
  return settings.server.clock.*member;
}
uint64_t& Place(Settings& settings, NodeId ServerConfig::*member) {
  return (settings.server.*member).value;
}

struct Range {
  uint64_t low;
  uint64_t high;
  uint64_t step = 1;  // Multiples of it only.
};

template <class Member>
Setting Number(const char* section, const char* name, const char* unit, Range range, Member member,
               const char* help) {
  Setting setting;
  setting.section = section;
  setting.name = name;
  setting.type = SettingType::kInteger;
  setting.unit = unit;
  setting.range = std::to_string(range.low) + " to " + std::to_string(range.high);
  if (range.step > 1) setting.range += ", a multiple of " + std::to_string(range.step);
  setting.value_name = "NUMBER";
  setting.help = help;
  setting.set = [range, member, allowed = setting.range](const std::string& text,
                                                         Settings* settings) -> Result<void> {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < range.low ||
        value > range.high || value % range.step != 0) {
      return Fail(InvalidArgument("", "must be an integer from " + allowed));
    }
    auto& place = Place(*settings, member);
    place = static_cast<std::remove_reference_t<decltype(place)>>(value);
    return {};
  };
  setting.get = [member](const Settings& settings) {
    return std::to_string(Place(const_cast<Settings&>(settings), member));  // Only read.
  };
  return setting;
}

using Check = std::function<Result<void>(const std::string&)>;

template <class Member>
Setting Text(const char* section, const char* name, const char* value_name, const char* range,
             Member member, Check check, const char* help, const char* default_text = "") {
  Setting setting;
  setting.section = section;
  setting.name = name;
  setting.type = SettingType::kText;
  setting.range = range;
  setting.value_name = value_name;
  setting.help = help;
  setting.default_text = default_text;
  setting.set = [member, check = std::move(check)](const std::string& text,
                                                   Settings* settings) -> Result<void> {
    if (auto checked = check(text); !checked) return checked;
    Place(*settings, member) = text;
    return {};
  };
  setting.get = [member](const Settings& settings) {
    return Place(const_cast<Settings&>(settings), member);  // Only read.
  };
  return setting;
}

std::vector<std::string> Split(const std::string& text) {
  std::vector<std::string> parts;
  size_t from = 0;
  while (from < text.size()) {
    const size_t comma = std::min(text.find(',', from), text.size());
    parts.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

Setting List(const char* section, const char* name, std::vector<std::string> Settings::*member) {
  Setting setting;
  setting.section = section;
  setting.name = name;
  setting.type = SettingType::kList;
  setting.set = [member](const std::string& text, Settings* settings) -> Result<void> {
    settings->*member = Split(text);
    return {};
  };
  setting.get = [member](const Settings& settings) {
    std::string joined;
    for (const std::string& item : settings.*member) joined += (joined.empty() ? "" : ",") + item;
    return joined;
  };
  return setting;
}

Setting Members() {
  Setting setting = List("cluster", "members", &Settings::members);
  setting.range = "at most " + std::to_string(bounds::kNodesMax) + " of ID=HOST:PORT";
  setting.value_name = "ID=HOST:PORT,...";
  setting.help =
      "All nodes of the cluster, this one included, with the addresses at which they reach one "
      "another. Empty: this node stands alone. Fixed once the cluster is founded";
  return setting;
}

Setting NtpServers() {
  Setting setting = List("clock", "ntp_servers", &Settings::ntp_servers);
  setting.range = "at most " + std::to_string(bounds::kNtpServersMax) + " of HOST or HOST:PORT";
  setting.value_name = "HOST,...";
  setting.help =
      "Servers of time that this node asks, by NTP; the port is 123 unless it is said. Where a "
      "majority of them agrees, that is this node's clock instead of its machine's. Empty: none";
  return setting;
}

Result<void> NotEmpty(const std::string& text) {
  if (text.empty()) return Fail(InvalidArgument("", "must not be empty"));
  return {};
}

Result<void> AddressOrEmpty(const std::string& text) {
  if (text.empty()) return {};
  if (auto address = ParseAddress(text); !address) {
    return Fail(InvalidArgument("", "must be HOST:PORT, an IP address and a port"));
  }
  return {};
}

Result<void> IsFormat(const std::string& text) {
  if (auto format = logging::ParseFormat(text); !format) return Fail(format.error());
  return {};
}

Result<void> IsLevel(const std::string& text) {
  if (auto levels = logging::ParseLevels(text, {}); !levels) return Fail(levels.error());
  return {};
}

std::vector<Setting> MakeSettings() {
  using S = Settings;
  using C = ServerConfig;
  using T = node::ClockOptions;
  return {
      Number("node", "id", "", {1, 999}, &C::id, "This node's number; for ever the same"),
      Text("node", "data", "FOLDER", "a folder of this node's own", &C::data, NotEmpty,
           "Where the node's data lies; created when missing, readable by its owner only"),
      Text("node", "http", "HOST:PORT", "an address of this machine", &S::http, AddressOrEmpty,
           "Where HTTP is served: the API, /health and /metrics", "127.0.0.1 and 8000 + id"),
      Text("node", "grpc", "HOST:PORT", "an address of this machine", &S::grpc, AddressOrEmpty,
           "Where gRPC is served", "127.0.0.1 and 9000 + id"),
      Number("node", "stop_grace_ms", "ms", {0, 600'000}, &S::stop_grace_ms,
             "How long a stop waits for requests that are under way"),
      Members(),
      Number("cluster", "election_timeout_ms", "ms", {50, 60'000}, &C::election_timeout_ms,
             "A leader that is silent this long is replaced (randomised up to twice). Shorter "
             "means shorter gaps, and needless elections when a disk or the network is slow"),
      Number("cluster", "heartbeat_ms", "ms", {5, 10'000}, &C::heartbeat_ms,
             "How often a leader speaks at least; at most a third of the election timeout"),
      Number("cluster", "entry_requests", "requests", {1, bounds::kEntryRequestsMax},
             &C::entry_requests,
             "How many requests the leader puts into one entry of the log at most. Fewer shorten "
             "the turn of each entry and cost throughput under load; 1: every request is an entry "
             "of its own"),
      Number("store", "checkpoint_rows", "rows", {1, 100'000'000}, &C::checkpoint_rows,
             "Changed rows after which a checkpoint is written. More means fewer checkpoints and "
             "more memory"),
      Number("store", "checkpoint_bytes", "bytes", {1 << 20, int64_t{1} << 40},
             &C::checkpoint_bytes, "The same, in bytes of memory that the changed rows take"),
      Number("store", "checkpoint_interval_ms", "ms", {100, 3'600'000}, &C::checkpoint_interval_ms,
             "Time after which a checkpoint is written in any case. The log of so long is what a "
             "restart applies again"),
      Number("store", "log_segment_bytes", "bytes",
             {bounds::kSegmentBytesMin, bounds::kSegmentBytesMax, wal::kPageBytes},
             &C::log_segment_bytes, "One file of the log"),
      Number("store", "log_keep_bytes", "bytes", {1 << 20, int64_t{1} << 40}, &C::log_keep_bytes,
             "How much of the log is kept behind a checkpoint. A node that was away for longer "
             "fetches a checkpoint from the leader"),
      Number("store", "log_keep_entries", "entries", {1, 100'000'000}, &C::log_keep_entries,
             "The same, in entries; whichever is less"),
      Number("store", "disk_reserve_bytes", "bytes", {0, int64_t{1} << 40}, &C::disk_reserve_bytes,
             "With less than this left on the disk the node takes no more writes, until there is "
             "room again; reads go on. 0: writes until a write fails, which stops the node"),
      Number(
          "store", "scrub_seconds", "s", {0, 100'000'000}, &C::scrub_seconds,
          "In so long a time the node reads all of its own log and store once more in the "
          "background, and stops when it finds damage, while others have what it lost. 0: never"),
      NtpServers(),
      Number("clock", "ntp_poll_ms", "ms", {bounds::kNtpPollMsMin, bounds::kNtpPollMsMax},
             &T::ntp_poll_ms,
             "How often each is asked at least; a silent one less and less often. Other people's "
             "servers want no more than every 16 s"),
      Number("clock", "sample_interval_ms", "ms",
             {bounds::kClockSampleMsMin, bounds::kClockSampleMsMax}, &T::sample_ms,
             "How often each peer is asked for its time"),
      Number("clock", "own_error_ms", "ms", {0, bounds::kClockOwnErrorMsMax}, &T::own_error_ms,
             "By how much the machine's clock may be off, as its operating system keeps it: the "
             "sources agree only if that is true of a majority. 0: nobody keeps it, and it does "
             "not count"),
      Number("clock", "drift_ppm", "ppm", {1, bounds::kClockDriftPpmMax}, &T::drift_ppm,
             "By how many millionths the machine's clock may be too fast or too slow between two "
             "looks at others"),
      Number("clock", "error_limit_ms", "ms", {1, bounds::kClockErrorMsMax}, &T::error_ms_max,
             "When the time is known no better than this, the node says that it is unsynchronised"),
      Text("log", "format", "WORD", "text, logfmt, json", &S::log_format, IsFormat,
           "How lines of the node's log (the one for people) look"),
      Text("log", "level", "LEVELS", "trace, debug, info, warn, error, off", &S::log_level, IsLevel,
           "What is logged: a level, or several by component such as warn,raft=debug (server, api, "
           "node, raft, wal, store, peer). Read again on SIGHUP"),
  };
}

// ID=HOST:PORT of all members.
std::map<NodeId, Address> ParseMembers(const std::vector<std::string>& members,
                                       Problems* problems) {
  std::map<NodeId, Address> parsed;
  const auto wrong = [problems](std::string message) {
    problems->push_back({"cluster.members", std::move(message)});
  };
  for (const std::string& member : members) {
    const size_t equals = std::min(member.find('='), member.size());
    uint64_t id = 0;
    const auto [end, error] = std::from_chars(member.data(), member.data() + equals, id);
    auto address = ParseAddress(member.substr(std::min(equals + 1, member.size())));
    if (error != std::errc() || end != member.data() + equals || id == 0 || !address) {
      wrong("'" + member + "' is not ID=HOST:PORT");
      continue;
    }
    for (const auto& [other, taken] : parsed) {
      if (taken.ToString() == address->ToString()) {
        wrong("gives nodes " + other.ToString() + " and " + std::to_string(id) +
              " the same address");
      }
    }
    if (!parsed.emplace(NodeId(id), *address).second) {
      wrong("names node " + std::to_string(id) + " twice");
    }
  }
  if (parsed.size() > bounds::kNodesMax) {
    wrong("names " + std::to_string(parsed.size()) + " nodes; at most " +
          std::to_string(bounds::kNodesMax) + " are allowed");
  }
  return parsed;
}

// host:port of each.
std::vector<std::string> ParseNtpServers(const std::vector<std::string>& servers,
                                         Problems* problems) {
  std::vector<std::string> parsed;
  const auto wrong = [problems](std::string message) {
    problems->push_back({"clock.ntp_servers", std::move(message)});
  };
  if (servers.size() > bounds::kNtpServersMax) {
    wrong("names " + std::to_string(servers.size()) + " servers; at most " +
          std::to_string(bounds::kNtpServersMax) + " are allowed");
    return parsed;
  }
  for (const std::string& server : servers) {
    const std::string address = node::IsHostAndPort(server) ? server : server + ":123";
    if (!node::IsHostAndPort(address)) {
      wrong("'" + server.substr(0, 64) + "' is neither HOST nor HOST:PORT");
    } else if (std::find(parsed.begin(), parsed.end(), address) != parsed.end()) {
      wrong("names " + server + " twice: it would count twice");
    } else {
      parsed.push_back(address);
    }
  }
  return parsed;
}

Address AddressOr(const std::string& text, uint64_t default_port) {
  if (auto address = ParseAddress(text)) return *address;
  return {"127.0.0.1", static_cast<uint16_t>(default_port)};
}

}  // namespace

std::string Setting::flag() const {
  const bool with_section = section == "log" || section == "clock";
  std::string flag = "--" + (with_section ? section + "-" + name : name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::string Setting::TomlValue(const Settings& settings) const {
  std::string text = get(settings);
  if (type == SettingType::kInteger) return text;
  if (type == SettingType::kText) return Quoted(text);
  std::string list;
  for (const std::string& item : Split(text)) list += (list.empty() ? "" : ", ") + Quoted(item);
  return "[" + list + "]";
}

const std::vector<Setting>& AllSettings() {
  static const auto* const settings = new std::vector<Setting>(MakeSettings());
  return *settings;
}

const Setting* FindSetting(const std::string& key) {
  for (const Setting& setting : AllSettings()) {
    if (setting.key() == key) return &setting;
  }
  return nullptr;
}

void Apply(const Setting& setting, const std::string& text, Settings* settings,
           Problems* problems) {
  if (auto set = setting.set(text, settings); !set) {
    const std::string unit = setting.unit.empty() ? "" : " " + setting.unit;
    problems->push_back(
        {setting.key(), "is '" + text.substr(0, 64) + "': " + set.error().message + unit});
  }
}

ServerConfig ToServerConfig(const Settings& settings, Problems* problems) {
  ServerConfig config = settings.server;
  if (config.heartbeat_ms * kHeartbeatsPerTimeout > config.election_timeout_ms) {
    problems->push_back({"cluster.election_timeout_ms",
                         "is " + std::to_string(config.election_timeout_ms) +
                             ": must be at least 3 times cluster.heartbeat_ms, which is " +
                             std::to_string(config.heartbeat_ms)});
  }
  config.members = ParseMembers(settings.members, problems);
  if (!config.members.empty() && !config.members.contains(config.id)) {
    problems->push_back({"cluster.members", "does not name node " + config.id.ToString() +
                                                ", which is this one (node.id)"});
  }
  config.clock.ntp_servers = ParseNtpServers(settings.ntp_servers, problems);
  config.http = AddressOr(settings.http, 8'000 + config.id.value);
  config.grpc = AddressOr(settings.grpc, 9'000 + config.id.value);
  std::map<std::string, std::string> taken;
  const auto take = [&](const std::string& field, const Address& address) {
    if (address.port == 0) return;
    auto [place, free] = taken.emplace(address.ToString(), field);
    if (!free) {
      problems->push_back({field, "is " + address.ToString() + ", as " + place->second + " is"});
    }
  };
  take("node.http", config.http);
  take("node.grpc", config.grpc);
  if (const auto self = config.members.find(config.id); self != config.members.end()) {
    take("cluster.members", self->second);
  }
  return config;
}

}  // namespace holdfast
