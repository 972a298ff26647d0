// Which keys of a hash table the base may have, so that a lookup of a new key asks no run at all: a
// Bloom filter in memory. Without it a new id costs a question to every run.
//
// It begins knowing nothing and answers "maybe" to everything. Once all keys of the base have been
// added and Complete is called it answers "no" for certain, and "maybe" wrongly for about one new
// key in a hundred. It grows in stages up to bounds::kKeyFilterBytesMax; beyond, it errs more
// often, which costs lookups and nothing else. Keys that are erased stay in it until the next
// start.
//
// Any thread, without a lock: one may add while others ask. What is asked for must have been added
// before, as seen by the asking thread: the store's lock sees to it when a frozen delta is dropped.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "src/base/bounds.h"

namespace holdfast::store {

class KeyFilter {
 public:
  KeyFilter() = default;
  ~KeyFilter() {
    for (std::atomic<Block*>& stage : stages_) delete[] stage.load();
  }
  KeyFilter(const KeyFilter&) = delete;
  KeyFilter& operator=(const KeyFilter&) = delete;

  // False: the base certainly does not have the key.
  bool MayHave(uint64_t hash) const {
    if (!complete_.load(std::memory_order_acquire)) return true;
    const uint64_t mixed = Mix(hash);
    for (size_t i = 0; i < kStages; ++i) {
      const Block* blocks = stages_[i].load(std::memory_order_acquire);
      if (blocks == nullptr) return false;
      if (Matches(blocks[BlockOf(mixed, i)], mixed)) return true;
    }
    return false;
  }

  // Brings what MayHave will look at into the processor's caches.
  void Prefetch(uint64_t hash) const {
    const uint64_t mixed = Mix(hash);
    for (size_t i = 0; i < kStages; ++i) {
      const Block* blocks = stages_[i].load(std::memory_order_acquire);
      if (blocks == nullptr) return;
      __builtin_prefetch(&blocks[BlockOf(mixed, i)]);
    }
  }

  // One thread at a time.
  void Add(uint64_t hash) {
    const uint64_t mixed = Mix(hash);
    for (size_t i = 0; i <= stage_ && stages_[i].load() != nullptr; ++i) {
      if (Matches(stages_[i].load()[BlockOf(mixed, i)], mixed)) return;  // A row that changed.
    }
    if (keys_ >= KeysOf(stage_) && stage_ + 1 < kStages) {
      ++stage_;
      keys_ = 0;
    }
    if (stages_[stage_].load() == nullptr) {
      stages_[stage_].store(new Block[BlocksOf(stage_)](), std::memory_order_release);
    }
    ++keys_;
    Block& block = stages_[stage_].load()[BlockOf(mixed, stage_)];
    for (size_t i = 0; i < kBits; ++i) {
      block.words[WordOf(mixed, i)].fetch_or(BitOf(mixed, i), std::memory_order_relaxed);
    }
  }

  void Complete() { complete_.store(true, std::memory_order_release); }

 private:
  // A cache line; all bits of a key are in one.
  struct alignas(64) Block {
    std::atomic<uint64_t> words[8];
  };
  static constexpr size_t kBits = 5;
  static constexpr size_t kBitsPerKey = 10;
  // Stage i has kFirstStageBytes << 2 i; together they stay under the bound.
  static constexpr size_t kStages = 6;
  static constexpr size_t kFirstStageBytes = size_t{32} << 10;
  static constexpr size_t kAllStagesBytes = kFirstStageBytes * ((1 << (2 * kStages)) - 1) / 3;
  static_assert(kAllStagesBytes <= bounds::kKeyFilterBytesMax);

  static constexpr size_t BlocksOf(size_t stage) {
    return (kFirstStageBytes << (2 * stage)) / sizeof(Block);
  }
  static constexpr size_t KeysOf(size_t stage) {
    return BlocksOf(stage) * sizeof(Block) * 8 / kBitsPerKey;
  }
  // A hash that is good for a hash table may have poor bits where we look.
  static uint64_t Mix(uint64_t hash) {
    hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93;
    return hash ^ (hash >> 32);
  }
  // The block by the upper half, 9 bits of the lower 45 for each bit in it.
  static size_t BlockOf(uint64_t mixed, size_t stage) {
    return ((mixed >> 40) * BlocksOf(stage)) >> 24;
  }
  static size_t WordOf(uint64_t mixed, size_t i) { return (mixed >> (8 * i)) & 7; }
  static uint64_t BitOf(uint64_t mixed, size_t i) {
    return uint64_t{1} << ((mixed * 0x9e3779b97f4a7c15) >> (6 * i + 32) & 63);
  }
  static bool Matches(const Block& block, uint64_t mixed) {
    for (size_t i = 0; i < kBits; ++i) {
      const uint64_t word = block.words[WordOf(mixed, i)].load(std::memory_order_relaxed);
      if ((word & BitOf(mixed, i)) == 0) return false;
    }
    return true;
  }

  std::atomic<bool> complete_ = false;
  std::atomic<Block*> stages_[kStages] = {};
  size_t stage_ = 0;  // The one being filled, and ...
  size_t keys_ = 0;   // ... how many keys it has.
};

}  // namespace holdfast::store
