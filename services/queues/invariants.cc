// What must hold of the queues between any two log entries.

#include <map>
#include <set>

#include "services/queues/queues.h"

namespace holdfast::queues {
namespace {

// Up to so many messages everything is counted anew each time.
constexpr uint64_t kCountedMax = 2'048;

}  // namespace

std::optional<std::string> Queues::CheckInvariants() const {
  std::map<QueueNumber, QueueRow> queues;
  std::map<QueueNumber, std::string> names;
  uint64_t messages = 0;
  std::map<std::string, uint32_t> feeders;
  std::optional<std::string> wrong;
  const auto fail = [&](const std::string& what) {
    if (!wrong) wrong = what;
  };
  tables_.queues.Scan("", [&](const std::string& name, const QueueRow& row) {
    queues[row.number] = row;
    names[row.number] = name;
    if (row.groups.empty()) fail("queue " + name + " has no group");
    if (!row.dead_letter.empty()) ++feeders[row.dead_letter];
    if (row.dead_letter.empty() != (row.max_deliveries == 0)) fail(name + ": max_deliveries");
    messages += tables_.levels.Get(row.number)->messages;
    return true;
  });
  for (const auto& [number, row] : queues) {
    if (row.feeders != feeders[names[number]]) fail(names[number] + ": feeders");
  }
  if (wrong || messages > kCountedMax) return wrong;

  for (const auto& one : queues) {
    const QueueNumber number = one.first;
    const QueueRow& queue = one.second;
    const std::string& name = names[number];
    const LevelRow level = *tables_.levels.Get(number);
    if (level.name != name) fail(name + " has a level of " + level.name);
    std::map<GroupNumber, GroupRow> counted;
    std::map<uint64_t, uint64_t> partitions;
    std::map<Sequence, uint32_t> claims;
    std::map<Sequence, MessageRow> rows;
    std::vector<GroupNumber> groups = queue.retired;
    for (const GroupEntry& group : queue.groups) groups.push_back(group.number);
    uint64_t bytes = 0;
    tables_.messages.Scan({number, 0}, [&](const MessageKey& key, const MessageRow& row) {
      if (std::get<0>(key) != number) return false;
      const Sequence sequence = std::get<1>(key);
      rows[sequence] = row;
      bytes += row.bytes;
      partitions[row.partition] += 1;
      if (sequence < level.floor || sequence > level.last) fail(name + ": a message out of range");
      if (!tables_.bodies.Get(key)) fail(name + ": a message without a body");
      if (!row.key.empty() &&
          !tables_.lanes.Get({number, row.only, LaneOf(row.key, sequence), sequence})) {
        fail(name + ": a message without its place in a lane");
      }
      for (const GroupNumber group : groups) {
        const auto head = tables_.heads.Get({number, group, LaneOf(row.key, sequence)});
        if (!head || head->sequence > sequence) continue;  // Done with it, or not for it.
        if (row.only != kAllGroups && row.only != group) continue;
        const bool retired = group != 0 && std::find(queue.retired.begin(), queue.retired.end(),
                                                     group) != queue.retired.end();
        if (retired) continue;  // What came after its end it has no claim on.
        counted[group].messages += 1;
        if (row.only != kAllGroups) counted[group].own += 1;
        claims[sequence] += 1;
        if (head->sequence != sequence) continue;
        GroupRow& counts = counted[group];
        ++(head->state == HeadState::kReady ? counts.ready
           : head->state == HeadState::kOut ? counts.in_flight
                                            : counts.delayed);
        if (head->state != HeadState::kReady) continue;
        const auto ready = tables_.ready.Get({number, group, head->place, head->order});
        if (!ready || ready->lane != LaneOf(row.key, sequence)) {
          fail(name + ": a ready lane that is not in the index");
        }
        const auto place = tables_.places.Get({number, group, head->place});
        if (!place || head->order < place->first || head->order >= place->next) {
          fail(name + ": a ready lane outside of its place");
        }
      }
      return true;
    });
    if (rows.size() != level.messages) fail(name + ": messages are miscounted");
    if (bytes != level.bytes) fail(name + ": bytes are miscounted");
    for (const auto& [partition, count] : partitions) {
      const auto row = tables_.counts.Get({number, partition});
      if (!row || row->messages != count) fail(name + ": a partition is miscounted");
    }
    for (const GroupEntry& group : queue.groups) {
      const auto row = tables_.groups.Get({number, group.number});
      if (!row) {
        fail(name + ": a group without counts");
      } else if (*row != counted[group.number]) {
        fail(name + ": group " + group.name + " is miscounted");
      }
      uint64_t indexed = 0;
      tables_.ready.Scan({number, group.number, 0, 0}, [&](const ReadyKey& key, const ReadyRow&) {
        if (std::get<0>(key) != number || std::get<1>(key) != group.number) return false;
        ++indexed;
        return true;
      });
      if (row && indexed != row->ready) fail(name + ": the index of " + group.name + " is wrong");
    }
    if (!queue.retired.empty()) continue;
    for (const auto& [sequence, row] : rows) {
      const auto kept = tables_.claims.Get({number, sequence});
      if (claims[sequence] != (kept ? kept->left : 1)) {
        fail(name + ": message " + std::to_string(sequence) +
             " is kept for another number of groups");
      }
    }
  }
  return wrong;
}

}  // namespace holdfast::queues
