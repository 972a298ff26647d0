#include "src/client/line_state.h"

namespace holdfast::client {
namespace {

using S = LineState;
using A = LineAction;
using T = LineTransition;

constexpr T kNever{S::kInvalid, A::kNever};

// What a state makes of each event; of those that are not named: it never happens.
struct Reactions {
  T read = kNever;
  T write_through = kNever;
  T write_local = kNever;
  T granted_shared = kNever;
  T granted_exclusive = kNever;
  T not_granted = kNever;
  T written_back = kNever;
  T not_written_back = kNever;
  T recall_to_shared = kNever;
  T recall = kNever;
  T flush = kNever;
  T evict = kNever;
  T lease_end = kNever;
};

constexpr Reactions kInvalid{
    .read = {S::kFetching, A::kFetch},
    .write_through = {S::kStoring, A::kStore},
    .write_local = {S::kFetchingExclusive, A::kFetchExclusive},
    .recall_to_shared = {S::kInvalid, A::kRelease},  // Of a line that we know nothing of.
    .recall = {S::kInvalid, A::kRelease},
    .flush = {S::kInvalid, A::kNone},
    .evict = {S::kInvalid, A::kNone},
    .lease_end = {S::kInvalid, A::kNone},
};

constexpr Reactions kShared{
    .read = {S::kShared, A::kServe},
    .write_through = {S::kStoring, A::kStore},
    .write_local = {S::kFetchingExclusive, A::kFetchExclusive},
    .recall_to_shared = {S::kShared, A::kNone},  // That it is already.
    .recall = {S::kInvalid, A::kRelease},
    .flush = {S::kShared, A::kNone},
    .evict = {S::kInvalid, A::kRelease},
    .lease_end = {S::kInvalid, A::kNone},
};

// Who writes through asks for nothing exclusive.
constexpr Reactions kExclusive{
    .read = {S::kExclusive, A::kServe},
    .write_local = {S::kModified, A::kWrite},
    .recall_to_shared = {S::kShared, A::kDowngrade},
    .recall = {S::kInvalid, A::kRelease},
    .flush = {S::kExclusive, A::kNone},
    .evict = {S::kInvalid, A::kRelease},
    .lease_end = {S::kInvalid, A::kNone},
};

constexpr Reactions kModified{
    .read = {S::kModified, A::kServe},
    .write_local = {S::kModified, A::kWrite},
    .written_back = {S::kExclusive, A::kNone},
    .recall_to_shared = {S::kDowngrading, A::kWriteBackShared},
    .recall = {S::kLeaving, A::kWriteBackRelease},
    .flush = {S::kModified, A::kWriteBack},
    .evict = {S::kLeaving, A::kWriteBackRelease},
    .lease_end = {S::kLeaving, A::kRescue},
};

// While a question is under way. A recall can only mean that it was granted, and that the answer is
// on its way.
constexpr Reactions Asking(S self, T granted_shared, T granted_exclusive) {
  return {
      .read = {self, A::kWait},
      .write_through = {self, A::kWait},
      .write_local = {self, A::kWait},
      .granted_shared = granted_shared,
      .granted_exclusive = granted_exclusive,
      .not_granted = {S::kInvalid, A::kNone},
      .recall_to_shared = {self, A::kPostpone},
      .recall = {self, A::kPostpone},
      .flush = {self, A::kNone},
      .evict = {self, A::kNone},
      .lease_end = {S::kAbandoned, A::kNone},
  };
}

constexpr Reactions kFetching =
    Asking(S::kFetching, {S::kShared, A::kNone}, {S::kExclusive, A::kNone});
constexpr Reactions kFetchingExclusive =
    Asking(S::kFetchingExclusive, kNever, {S::kExclusive, A::kNone});
constexpr Reactions kStoring = Asking(S::kStoring, {S::kShared, A::kNone}, kNever);
constexpr Reactions kAbandoned =
    Asking(S::kAbandoned, {S::kInvalid, A::kNone}, {S::kInvalid, A::kNone});

// While a value is on its way back. When the lease ends meanwhile, what is on its way decides.
constexpr Reactions Returning(S self, T written_back, T recall_to_shared, T recall) {
  return {
      .read = {self, A::kWait},
      .write_through = {self, A::kWait},
      .write_local = {self, A::kWait},
      .written_back = written_back,
      .not_written_back = {S::kInvalid, A::kLose},
      .recall_to_shared = recall_to_shared,
      .recall = recall,
      .flush = {self, A::kNone},
      .evict = {self, A::kNone},
      .lease_end = {S::kLeaving, A::kNone},
  };
}

constexpr Reactions kDowngrading =
    Returning(S::kDowngrading, {S::kShared, A::kNone}, {S::kDowngrading, A::kNone},
              {S::kDowngradeRecalled, A::kNone});
// Given up only once the value is there: before that the cluster would refuse it.
constexpr Reactions kDowngradeRecalled =
    Returning(S::kDowngradeRecalled, {S::kInvalid, A::kRelease}, {S::kDowngradeRecalled, A::kNone},
              {S::kDowngradeRecalled, A::kNone});
// A recall here is of a line that was taken anew, by a fetch that arrived twice.
constexpr Reactions kLeaving = Returning(S::kLeaving, {S::kInvalid, A::kNone},
                                         {S::kLeaving, A::kPostpone}, {S::kLeaving, A::kPostpone});

constexpr const Reactions& ReactionsOf(LineState state) {
  switch (state) {
    case S::kInvalid: return kInvalid;
    case S::kShared: return kShared;
    case S::kExclusive: return kExclusive;
    case S::kModified: return kModified;
    case S::kFetching: return kFetching;
    case S::kFetchingExclusive: return kFetchingExclusive;
    case S::kStoring: return kStoring;
    case S::kAbandoned: return kAbandoned;
    case S::kDowngrading: return kDowngrading;
    case S::kDowngradeRecalled: return kDowngradeRecalled;
    case S::kLeaving: break;
  }
  return kLeaving;
}

}  // namespace

LineTransition NextOf(LineState state, LineEvent event) {
  const Reactions& reactions = ReactionsOf(state);
  switch (event) {
    case LineEvent::kRead: return reactions.read;
    case LineEvent::kWriteThrough: return reactions.write_through;
    case LineEvent::kWriteLocal: return reactions.write_local;
    case LineEvent::kGrantedShared: return reactions.granted_shared;
    case LineEvent::kGrantedExclusive: return reactions.granted_exclusive;
    case LineEvent::kNotGranted: return reactions.not_granted;
    case LineEvent::kWrittenBack: return reactions.written_back;
    case LineEvent::kNotWrittenBack: return reactions.not_written_back;
    case LineEvent::kRecallToShared: return reactions.recall_to_shared;
    case LineEvent::kRecall: return reactions.recall;
    case LineEvent::kFlush: return reactions.flush;
    case LineEvent::kEvict: return reactions.evict;
    case LineEvent::kLeaseEnd: break;
  }
  return reactions.lease_end;
}

const char* NameOf(LineState state) {
  switch (state) {
    case S::kInvalid: return "invalid";
    case S::kShared: return "shared";
    case S::kExclusive: return "exclusive";
    case S::kModified: return "modified";
    case S::kFetching: return "fetching";
    case S::kFetchingExclusive: return "fetching exclusive";
    case S::kStoring: return "storing";
    case S::kAbandoned: return "abandoned";
    case S::kDowngrading: return "downgrading";
    case S::kDowngradeRecalled: return "downgrade recalled";
    case S::kLeaving: break;
  }
  return "leaving";
}

const char* NameOf(LineEvent event) {
  switch (event) {
    case LineEvent::kRead: return "read";
    case LineEvent::kWriteThrough: return "write through";
    case LineEvent::kWriteLocal: return "write local";
    case LineEvent::kGrantedShared: return "granted shared";
    case LineEvent::kGrantedExclusive: return "granted exclusive";
    case LineEvent::kNotGranted: return "not granted";
    case LineEvent::kWrittenBack: return "written back";
    case LineEvent::kNotWrittenBack: return "not written back";
    case LineEvent::kRecallToShared: return "recall to shared";
    case LineEvent::kRecall: return "recall";
    case LineEvent::kFlush: return "flush";
    case LineEvent::kEvict: return "evict";
    case LineEvent::kLeaseEnd: break;
  }
  return "lease end";
}

const char* NameOf(LineAction action) {
  switch (action) {
    case A::kNone: return "";
    case A::kServe: return "serve";
    case A::kWrite: return "write";
    case A::kWait: return "wait";
    case A::kFetch: return "fetch";
    case A::kFetchExclusive: return "fetch exclusive";
    case A::kStore: return "store";
    case A::kPostpone: return "postpone";
    case A::kRelease: return "release";
    case A::kDowngrade: return "tell";
    case A::kWriteBack: return "write back";
    case A::kWriteBackShared: return "write back";
    case A::kWriteBackRelease: return "write back";
    case A::kRescue: return "rescue";
    case A::kLose: return "lose";
    case A::kNever: break;
  }
  return "never";
}

}  // namespace holdfast::client
