#include "src/raft/testing/network.h"

namespace holdfast::raft::sim {

Network::Network(EventQueue& events, Random& random, size_t nodes, Deliver deliver)
    : events_(events),
      random_(random),
      nodes_(nodes),
      deliver_(std::move(deliver)),
      links_((nodes + 1) * (nodes + 1)) {}

void Network::Send(NodeId from, NodeId to, Frame frame) {
  Link& link = At(from, to);
  if (link.cut && link.how == Cut::kBreak) return;
  if (link.loss_percent > 0 && random_.Percent(link.loss_percent)) return;
  link.queue.push_back(std::move(frame));
  const uint64_t delay = random_.Between(link.delay_min_us, link.delay_max_us);
  link.last_us = std::max(events_.now_us() + delay, link.last_us + 1);
  events_.At(link.last_us, [this, from, to, epoch = link.epoch] { Arrive(from, to, epoch); });
}

void Network::Arrive(NodeId from, NodeId to, uint64_t epoch) {
  Link& link = At(from, to);
  if (epoch != link.epoch) return;
  if (link.cut) {
    ++link.due;
    return;
  }
  const Frame frame = std::move(link.queue.front());
  link.queue.pop_front();
  deliver_(from, to, frame);
}

void Network::Break(Link& link) {
  ++link.epoch;
  link.queue.clear();
  link.due = 0;
}

void Network::CutLink(NodeId from, NodeId to, Cut how) {
  Link& link = At(from, to);
  link.cut = true;
  link.how = how;
  if (how == Cut::kBreak) Break(link);
}

void Network::RestoreLink(NodeId from, NodeId to) {
  Link& link = At(from, to);
  if (!link.cut) return;
  link.cut = false;
  for (; link.due > 0; --link.due) {
    events_.After(0, [this, from, to, epoch = link.epoch] { Arrive(from, to, epoch); });
  }
}

void Network::Isolate(NodeId node, Direction direction, Cut how) {
  for (uint64_t other = 1; other <= nodes_; ++other) {
    if (NodeId(other) == node) continue;
    if (direction != Direction::kIn) CutLink(node, NodeId(other), how);
    if (direction != Direction::kOut) CutLink(NodeId(other), node, how);
  }
}

void Network::RestoreAll() {
  for (uint64_t from = 1; from <= nodes_; ++from) {
    for (uint64_t to = 1; to <= nodes_; ++to) {
      RestoreLink(NodeId(from), NodeId(to));
      SetDelay(NodeId(from), NodeId(to), 100, 2'000);
      SetLoss(NodeId(from), NodeId(to), 0);
    }
  }
}

void Network::BreakAllOf(NodeId node) {
  for (uint64_t other = 1; other <= nodes_; ++other) Break(At(node, NodeId(other)));
  BreakAllTo(node);
}

void Network::BreakAllTo(NodeId node) {
  for (uint64_t other = 1; other <= nodes_; ++other) Break(At(NodeId(other), node));
}

void Network::SetDelay(NodeId from, NodeId to, uint64_t min_us, uint64_t max_us) {
  At(from, to).delay_min_us = min_us;
  At(from, to).delay_max_us = max_us;
}

void Network::SetLoss(NodeId from, NodeId to, uint64_t percent) {
  At(from, to).loss_percent = percent;
}

}  // namespace holdfast::raft::sim
