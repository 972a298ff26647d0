#!/usr/bin/env python3
"""Who tests the tests: builds the simulator with one deliberate bug at a time, and shows that it
finds every one, with the number of runs it took. ./dev sim --mutants [NAME...]

The bugs are made in a copy of the sources under build/mutants; the code that ships knows nothing of
them. One whose line is no longer there is an error, so the list cannot rot."""
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
COPY = ROOT / 'build' / 'mutants' / 'source'
BUILD = ROOT / 'build' / 'mutants' / 'build'
SEEDS_MAX = 20000
SECONDS_MAX = 300

# name: (file, what stands there, what is put in its place[, the recipe that shows it]); or a list of
# such, of which the first may name the recipe.
MUTANTS = {
    'acknowledge before fsync': (
        'src/wal/segment_writer.cc',
        '  if (auto done = active_.file->Sync(); !done) return done;\n  end_ += group.size();',
        '  end_ += group.size();'),
    'no fsync of term and vote': (
        'src/wal/state_file.cc',
        '    if (auto done = file_->Sync(); !done) return done;\n  }\n  state_ = state;',
        '  }\n  state_ = state;'),
    'acknowledge an append that is not written yet': (
        'src/raft/replica.cc',
        'outstanding_.front().ticket <= ticket)',
        'outstanding_.front().ticket <= ticket + 1)'),
    'forget the idempotency table in a checkpoint': (
        'src/store/store.cc',
        '  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });\n'
        '  base_->',
        '  for (TableBase* table : tables_) {\n'
        '    if (table->number() == TableNumber{0, 2}) continue;\n'
        '    parts.push_back([table] { return table->FrozenChanges(); });\n  }\n  base_->'),
    'lose a row in a checkpoint': (
        'src/store/store.cc',
        '    while (change.has_value() && !change->value.has_value()',
        '    if (change.has_value() && change->key.size() % 9 == 5) change = next();\n'
        '    while (change.has_value() && !change->value.has_value()'),
    'apply an entry twice after a restart': (
        'src/state_machine/machine.cc',
        'position_ = Position{LogIndex(row->applied),',
        'position_ = Position{LogIndex(row->applied - (row->applied > 1 ? 1 : 0)),'),
    'read the clock in apply': (
        'src/state_machine/machine.cc',
        'std::max(parsed->time_us(), before.us + 1)',
        'std::max<int64_t>(parsed->time_us() + '
        'std::chrono::steady_clock::now().time_since_epoch().count() % 2, before.us + 1)'),
    'serve a linearizable read without the probe': (
        'src/raft/read_index.cc',
        '  if (round_->confirmed.size() >= replica_.membership().Majority()) {\n'
        '    Finish(round_->index);\n    return;\n  }\n  send_(round_->probe);',
        '  Finish(round_->index);'),
    'ignore a bad checksum': (
        'src/wal/format.cc',
        '         Checksum(padded, salt) == header.payload_checksum;',
        '         (Checksum(padded, salt) == header.payload_checksum || true);'),
    'drop the rollback of a refused transfer': (
        'services/ledger/posting.cc',
        '    context_.RollbackTo(mark);\n',
        '    static_cast<void>(mark);\n'),
    'expire a hold by local time': (
        'src/state_machine/machine.cc',
        'tables_->timers.Due(position_.now, max)',
        'tables_->timers.Due(LogTime{std::chrono::duration_cast<std::chrono::microseconds>('
        'std::chrono::system_clock::now().time_since_epoch()).count()}, max)'),
    'carry a repeated request out again': (
        'src/state_machine/machine.cc',
        '    if (const auto* first = tables_->idempotency.Find(row_key)) {',
        '    if (const auto* first = tables_->idempotency.Find(row_key); first && first->reply.empty()) {'),
    'serve a session read below its token': (
        'src/node/frontend.cc',
        '  if (has_token && parts_.machine.applied() >= options.after) {',
        '  if (has_token) {'),
    'believe a replaced folder that could not be saved': (
        'src/node/identity.cc',
        '  auto saved = ReplaceFile(*files_, PathIn(folder_), bytes);\n'
        '  if (saved) identity_ = std::move(next);',
        '  auto saved = ReplaceFile(*files_, PathIn(folder_), bytes);\n'
        '  identity_ = std::move(next);\n'
        '  met_ = FoundersOf(identity_);'),
    'let a wiped node take part at once': (
        'src/node/identity.cc',
        '(votes || own != 0)) next.set_rejoining(true);',
        '(votes || own != 0)) next.set_rejoining(false);'),
    'store entries though the disk is full': (
        'src/raft/replica.cc',
        '    if (stores_nothing_) append->entries.clear();\n',
        ''),
    'found a cluster before all have agreed': (
        'src/node/identity.h',
        'agreed_.size() == members_.size() &&',
        '!agreed_.empty() &&',
        'founding'),
    'count the majority of the members before': (
        'src/raft/replica.cc',
        '  guard_.emplace(NewLibraftEngine(options_, next), options_.id, next, log_);\n  behind_',
        '  Membership before = membership();\n  before.index = next.index;\n'
        '  guard_.emplace(NewLibraftEngine(options_, before), options_.id, before, log_);\n  behind_',
        'members'),
    'let a wiped promoted node vote': (
        'src/node/identity.cc',
        'another_folder_was_promoted");\n        next.set_rejoining(true);',
        'another_folder_was_promoted");\n        next.set_rejoining(false);',
        'growth'),
    'go by a membership before it is committed': (
        'src/raft/replica.cc',
        'change_.value != 0 && committed() >= change_',
        'change_.value != 0 && log_.last() >= change_',
        'members'),
    'take an older membership from a hello': [
        ('src/raft/replica.cc',
         '  if (other.index <= (next_ ? next_->index : membership().index)) return;\n',
         '  if (other.index == membership().index) return;\n',
         'members'),
        ('src/node/node_founding.cc',
         '  if (theirs > ours.index) {',
         '  if (theirs != ours.index && theirs.value != 0) {')],
    'change the members before the term has committed': (
        'src/raft/replica.cc',
        'change_.value != 0 || next_ || !KnowsCommitted()',
        'change_.value != 0 || next_',
        'members'),
    'forget the membership at a crash': (
        'src/node/identity.cc',
        '  SetFounders(met, &next);\n  if (auto saved = Save(std::move(next)); !saved) return saved;\n'
        '  met_ = std::move(met);\n  for (const auto& [node, newcomer] : std::exchange(newcomers_, {}))',
        '  SetFounders(met, &next);\n  identity_ = std::move(next);\n'
        '  met_ = std::move(met);\n  for (const auto& [node, newcomer] : std::exchange(newcomers_, {}))',
        'members'),
    # The engine counts, and the guard counts again.
    'believe a learner that has no voice': [
        ('src/raft/libraft_engine.cc',
         'membership.IsVoter(node) ? RAFT_VOTER : RAFT_STANDBY',
         'RAFT_VOTER',
         'growth'),
        ('src/raft/guard.cc',
         '  for (NodeId voter : membership_.voters) durable.push_back(MatchOf(voter));\n',
         '  for (NodeId voter : membership_.All()) durable.push_back(MatchOf(voter));\n')],
    'wait for a leader that is not there': (
        'src/node/checkpoint_fetch.cc',
        '  if (parts_.send(leader_, std::move(request))) return true;',
        '  if (parts_.send(leader_, std::move(request)) || true) return true;'),
    'grant a waiter without looking at its lease again': (
        'services/locks/book.cc',
        '  if (waiter.deadline_us <= context.lease_now().us) return false;\n'
        '  for (const std::string& name : waiter.names) {',
        '  if (context.lease_now().us > 0) return true;\n'
        '  for (const std::string& name : waiter.names) {',
        'coordination'),
    'give tokens again once nobody holds a lock': (
        'services/locks/book.cc',
        '  --meta.holders;\n  t_.meta.Put(kOnlyRow, meta);\n}',
        '  if (--meta.holders == 0) meta.last_token = 0;\n  t_.meta.Put(kOnlyRow, meta);\n}',
        'coordination'),
    'forget the last token in a checkpoint': (
        'src/store/store.cc',
        '  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });\n'
        '  base_->',
        '  for (TableBase* table : tables_) {\n'
        '    if (table->number() == TableNumber{4, 10}) continue;\n'
        '    parts.push_back([table] { return table->FrozenChanges(); });\n  }\n  base_->',
        'coordination'),
    'leave the locks of a session that has ended': (
        'services/locks/book.cc',
        '  for (const HolderKey& key : holds) Lose(key, !closed, &freed, context);\n',
        '  static_cast<void>(closed);\n',
        'coordination'),
    'let a failover shorten a lease': (
        'src/state_machine/machine.cc',
        '  if (entry.empty()) tables_->leases.NewLeader();\n',
        '',
        'coordination'),
    "write no barrier before a leader's first command": (
        'src/raft/replica.cc',
        '  if (log_.TermAt(log_.last()) != term() && !ProposeBarrier(now_ms)) return',
        '  if (log_.last().value == 0 && !ProposeBarrier(now_ms)) return',
        'coordination'),
    'end a delivery by the time of the log': (
        'services/queues/delivery.cc',
        '  if (head.state != HeadState::kOut) return LogTime{head.at_us};\n',
        '  if (head.at_us < context.now().us) return LogTime{head.at_us};\n',
        'coordination'),
    'ack with the name of another attempt': (
        'services/queues/consume.cc',
        '        head->attempt != id->attempt || head->at_us',
        '        head->at_us',
        'coordination'),
    'forget the message ids in a checkpoint': (
        'src/store/store.cc',
        '  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });\n'
        '  base_->',
        '  for (TableBase* table : tables_) {\n'
        '    if (table->number() == TableNumber{5, 12}) continue;\n'
        '    parts.push_back([table] { return table->FrozenChanges(); });\n  }\n  base_->',
        'coordination'),
    'have two messages of a key out at once': (
        'services/queues/delivery.cc',
        '  if (!key.empty()) return kKeyed + key;\n',
        '  if (!key.empty()) return kKeyed + key + (sequence % 2 == 0 ? "+" : "");\n',
        'coordination'),
    'publish a message id again within its window': (
        'services/queues/publish.cc',
        '    if (known != nullptr && now_us < known->expires_us) {',
        '    if (known != nullptr && now_us < known->published_us + 500\'000) {',
        'coordination'),
    'keep what came before the refused write of a list': (
        'src/state_machine/atomic_service.cc',
        '      context.RollbackTo(before);\n',
        '      static_cast<void>(before);\n',
        'coordination'),
    'stand in line within a list of writes': (
        'src/state_machine/atomic_service.cc',
        '      if (method->wait_ms != nullptr) body->',
        '      if (method->wait_ms == nullptr && writes.size() > 256) body->',
        'coordination'),
    'reserve stock that is reserved already': (
        'services/orders/transitions.cc',
        'if (product.available() < line.quantity) return',
        'if (product.on_hand < line.quantity) return',
        'orders'),
    'keep the stock of an order that is cancelled': (
        'services/orders/transitions.cc',
        '  if (row_.state != OrderState::placed) ReleaseStock();\n',
        '  if (row_.state == OrderState::stock_reserved) ReleaseStock();\n',
        'orders'),
    'let a reservation expire by local time': (
        'services/orders/transitions.cc',
        '  if (IsOver(row_, context_.lease_now())) {\n    Expire();\n    return;\n',
        '  if (IsOver(row_, LeaseTime{std::chrono::duration_cast<std::chrono::microseconds>('
        'std::chrono::system_clock::now().time_since_epoch()).count()})) {\n'
        '    Expire();\n    return;\n',
        'orders'),
    'let a failover shorten a reservation': (
        'services/orders/transitions.cc',
        '  if (IsOver(row_, context_.lease_now())) {\n    Expire();\n    return;\n',
        '  if (IsOver(row_, LeaseTime{context_.now().us})) {\n    Expire();\n    return;\n',
        'orders'),
    'check out in two steps': (
        'services/orders/checkout.cc',
        '  if (auto done = state_machine::ExecuteWrites(list, context, arena, &result, &replies); !done) {\n',
        '  const std::span<const state_machine::ListedWrite> all(list);\n'
        '  const size_t last = all.size() - 1;\n'
        '  auto done = state_machine::ExecuteWrites(all.first(last), context, arena, &result, &replies);\n'
        '  if (done && result.outcome() != atomic::ExecuteOutcome::rejected) {\n'
        '    done = state_machine::ExecuteWrites(all.last(1), context, arena, &result, &replies);\n'
        '    result.set_failed(static_cast<uint32_t>(last));\n  }\n'
        '  if (!done) {\n',
        'orders'),
    'let one transfer pay for two orders': (
        'services/orders/checkout.cc',
        '    if (IsRepeat(result) != repeats) {\n',
        '    if (IsRepeat(result) != repeats && at < 0) {\n',
        'orders'),
    'forget what a cancelled order had cost': (
        'services/orders/transitions.cc',
        '    customer.spend -= SpendOf(row_);\n',
        '    if (row_.events < 4) customer.spend -= SpendOf(row_);\n',
        'orders'),
    'take a second payment for a repeat of the first': [
        ('services/orders/orders.cc',
         'if (order.row().payment == request.payment()) return OrderOutcome::already_done;',
         'if (!order.row().payment.empty()) return OrderOutcome::already_done;',
         'orders')],
    'go on with a write by a read of before it': (
        'src/node/frontend.cc',
        '  const LogIndex position = call->written.position;\n',
        '  const LogIndex position(0);\n',
        'coordination'),
    'edit a task whatever its version is': (
        'services/todo/todo.cc',
        'request.version() == 0 || request.version() == row->version;',
        'request.version() == 0 || request.version() <= row->version;',
        'todo'),
    'forget the last id of a user in a checkpoint': (
        'src/store/store.cc',
        '  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });\n'
        '  base_->',
        '  for (TableBase* table : tables_) {\n'
        '    if (table->number() == TableNumber{8, 6}) continue;\n'
        '    parts.push_back([table] { return table->FrozenChanges(); });\n  }\n  base_->',
        'todo'),
    'number a list anew in another order': (
        'services/todo/order.cc',
        '  for (const auto& [rank, row] : rows) tables_.order.EraseKnown({user, spot->list, rank});\n',
        '  for (const auto& [rank, row] : rows) tables_.order.EraseKnown({user, spot->list, rank});\n'
        '  std::swap(rows.front().second, rows.back().second);\n',
        'todo'),
    'keep the first leg of a refused exchange': (
        'services/ledger/posting.cc',
        '    context_.RollbackTo(mark);\n',
        '    if (order.exchange == nullptr || verdict.leg != 1) context_.RollbackTo(mark);\n',
        'todo'),
    'exchange without the spread': (
        'services/ledger/exchange.cc',
        'money::Wide(kMillion - terms.spread_ppm)',
        'money::Wide(kMillion)',
        'todo'),
    'tell half of what a time may be wrong by': (
        'services/journal/offset.cc',
        'static_cast<uint64_t>(*upper - offset);',
        'static_cast<uint64_t>(*upper - offset) / 2;',
        'journal'),
    'forget that clocks drift': (
        'services/journal/offset.cc',
        '(apart * drift_ppm + per - 1) / per',
        '0 * (apart * drift_ppm + per)',
        'journal'),
    'let a wider window go back behind what was released': (
        'services/journal/journal.cc',
        '    level.watermark_us = Watermark(before, level, context.now().us);\n',
        '',
        'journal'),
    'append what is repeated again': (
        'services/journal/append.cc',
        'fresh = static_cast<int>(source.last_sequence + 1 - reply->first_sequence());',
        'fresh = 0;',
        'journal'),
    'do not tell what could not be compared': (
        'services/journal/append.cc',
        '      ++unverified;\n',
        '',
        'journal'),
    'forget what is known of a clock in a checkpoint': (
        'src/store/store.cc',
        '  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });\n'
        '  base_->',
        '  for (TableBase* table : tables_) {\n'
        '    if (table->number() == TableNumber{12, 3}) continue;\n'
        '    parts.push_back([table] { return table->FrozenChanges(); });\n  }\n  base_->',
        'journal'),
    'write once all who hold the line are told': (
        'services/cache/lines.cc',
        '  Enqueue(std::move(waiter), context);\n  Advance(key, context);\n  return true;\n}\n\nvoid Lines::NotYet',
        '  Enqueue(std::move(waiter), context);\n  Advance(key, context);\n  bool told = true;\n'
        '  VisitHolders(key, [&](uint64_t, const HolderRow& row) {\n'
        '    told = told && row.recall != 0;\n    return true;\n  });\n'
        '  return !told || wait_ms == 0;\n}\n\nvoid Lines::NotYet',
        'cache'),
    'forget who holds a line in a checkpoint': (
        'src/store/store.cc',
        '  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });\n'
        '  base_->',
        '  for (TableBase* table : tables_) {\n'
        '    if (table->number() == TableNumber{6, 5}) continue;\n'
        '    parts.push_back([table] { return table->FrozenChanges(); });\n  }\n  base_->',
        'cache'),
    'keep a session alive whose time is over': (
        'src/state_machine/sessions.cc',
        '  if (fired.expires_us > context.lease_now().us) {\n',
        '  if (fired.expires_us + fired.ttl_us / 2 > context.lease_now().us) {\n'
        '    fired.expires_us = std::max(fired.expires_us, context.lease_now().us + fired.ttl_us / 2);\n',
        'cache'),
    'serve from a line whose lease has ended': (
        'src/client/line_state.cc',
        '    Asking(S::kAbandoned, {S::kInvalid, A::kNone}, {S::kInvalid, A::kNone});',
        '    Asking(S::kAbandoned, {S::kShared, A::kNone}, {S::kExclusive, A::kNone});',
        'cache'),
    'give up a line before what was written to it': (
        'src/client/line_state.cc',
        '    .recall = {S::kLeaving, A::kWriteBackRelease},\n    .flush = {S::kModified',
        '    .recall = {S::kInvalid, A::kRelease},\n    .flush = {S::kModified',
        'cache'),
    'evict in an order that the address decides': (
        'services/cache/entries.cc',
        '  t_.uses.Scan(meta->first_touch, [&](uint64_t touch, const KeyRow& use) {\n',
        '  const uint64_t passed = reinterpret_cast<uintptr_t>(this) >> 12 & 1;\n'
        '  t_.uses.Scan(meta->first_touch, [&](uint64_t touch, const KeyRow& use) {\n'
        '    if (victims.empty() && touch % 2 == passed) return true;\n',
        'cache'),
    'evict what was used last': (
        'services/cache/entries.cc',
        '  t_.uses.EraseKnown(row->touch);\n  row->touch = ++now.last_touch;\n'
        '  t_.uses.PutNew(row->touch, KeyRow{key});\n',
        '',
        'cache'),
    'let a reader overtake a writer in line': (
        'services/cache/lines.cc',
        '    if (InTheWay(key, waiter.want, waiter.session)) {\n'
        '      Recall(key, waiter.want, waiter.session, context);\n      return;\n    }\n',
        '    if (InTheWay(key, waiter.want, waiter.session)) {\n'
        '      Recall(key, waiter.want, waiter.session, context);\n'
        '      if (waiter.want != Want::kWrite) return;\n      continue;\n    }\n',
        'cache'),
    'forget the way back over two dead-letter queues': (
        'services/queues/delivery.cc',
        '  if (message.dead) {  // For the second time',
        '  if (message.dead && message.bytes == 0) {  // For the second time',
        'coordination'),
    'end a round before everyone has moved': (
        'services/rounds/play.cc',
        '  if (game_.moved == game_.joined) return EndRound({});',
        '  if (game_.moved > 0 && game_.moved + 1 >= game_.joined) return EndRound({});',
        'rounds'),
    'let a failover shorten a round': (
        'services/rounds/play.cc',
        'game_.deadline_us > context_.lease_now().us) return;',
        'game_.deadline_us > context_.now().us) return;',
        'rounds'),
    'let another move take the place of the first': (
        'services/rounds/reads.cc',
        'own->move == PayloadOf(request) ? MoveOutcome::waiting : MoveOutcome::moved_differently;',
        'own->move == PayloadOf(request) ? MoveOutcome::waiting : MoveOutcome::not_moved;',
        'rounds'),
    'tell what was moved in a round that was aborted': (
        'services/rounds/play.cc',
        '      if (!ending.aborted) moved.move = row.move;\n',
        '      moved.move = row.move;\n',
        'rounds'),
    'let the time go on for a move that was taken back': (
        'services/rounds/play.cc',
        '    game_.deadline_us = 0;  // Its timer fires in vain.\n',
        '',
        'rounds'),
    'forget the moves of the round under way in a checkpoint': (
        'src/store/store.cc',
        '  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });\n'
        '  base_->',
        '  for (TableBase* table : tables_) {\n'
        '    if (table->number() == TableNumber{10, 4}) continue;\n'
        '    parts.push_back([table] { return table->FrozenChanges(); });\n  }\n  base_->',
        'rounds'),
    'take what is held back for what is there': (
        'services/chat/sequence.cc',
        'return row && row->number != 0;',
        'return row.has_value();',
        'chat'),
    'set free first what came last': (
        'services/chat/sequence.cc',
        '    const uint64_t ticket = *ready.begin();\n    ready.erase(ready.begin());\n',
        '    const uint64_t ticket = *ready.rbegin();\n    ready.erase(ticket);\n',
        'chat'),
    'let a read position go back': (
        'services/chat/chat.cc',
        'request.up_to() <= member->read_to',
        'request.up_to() == member->read_to',
        'chat'),
    'edit what was deleted while the edit was held back': (
        'services/chat/sequence.cc',
        '    if (Objection(room, held) != PostOutcome::unspecified) {',
        '    if (Objection(room, held) == PostOutcome::target_not_text) {',
        'chat'),
    'count time without a leader against what is held back': (
        'services/chat/sequence.cc',
        '  if (fired.due_us > context.lease_now().us) {',
        '  if (fired.due_us > context.now().us) {',
        'chat'),
    'forget the numbers of message ids in a checkpoint': (
        'src/store/store.cc',
        '  for (TableBase* table : tables_) parts.push_back([table] { return table->FrozenChanges(); });\n'
        '  base_->',
        '  for (TableBase* table : tables_) {\n'
        '    if (table->number() == TableNumber{11, 5}) continue;\n'
        '    parts.push_back([table] { return table->FrozenChanges(); });\n  }\n  base_->',
        'chat'),
    'a claim without half of the delay': (
        'src/clock/sample.h',
        'error_us + (delay_us + 1) / 2 + DriftUs(', 'error_us + DriftUs(',
        'clock'),
    'one clock is enough of a majority': (
        'src/node/clock_keeper.cc',
        'const size_t needed = claims.size() / 2 + 1;', 'const size_t needed = 1;',
        'clock'),
    'the place where most claims meet': (
        'src/clock/agreement.cc',
        '  std::sort(edges.begin(), edges.end());\n',
        '  std::sort(edges.begin(), edges.end());\n'
        '  size_t met = 0;\n'
        '  for (const Edge& e : edges) needed = std::max(needed, e.ends ? met-- : ++met);\n',
        'clock'),
    'a time out of the bounds': (
        'src/clock/synchroniser.cc',
        '  offset_us = std::clamp(offset_us, offsets->earliest_us, offsets->latest_us);\n', '',
        'clock'),
    'bounds that do not grow with drift': (
        'src/clock/synchroniser.cc',
        'DriftUs(elapsed_us - agreed_->at_us, options_.drift_ppm)',
        '0 * DriftUs(elapsed_us - agreed_->at_us, options_.drift_ppm)',
        'clock'),
    'a wall clock that jumps is believed': (
        'src/clock/stamps.cc',
        'if (!estimate.agreed()) return last_us + passed_us;',
        'if (!estimate.agreed()) return std::max(last_us + passed_us, wall_us);',
        'clock'),
    'a new leader forgets the stamps of its log': (
        'src/node/node_clock.cc',
        '  stamps_.Lead(end_us);',
        '  stamps_.Lead(std::nullopt);',
        'clock'),
    'a new leader goes on from a stamp that was lost': (
        'src/clock/stamps.cc',
        '  last_ = committed_;\n', '',
        'cache'),
    'a leader that knows the time stamps as if it did not': (
        'src/clock/stamps.cc',
        '  if (estimate.now_us > last_us) return estimate.now_us;\n', '',
        'clock'),
}


def sh(*command):
    done = subprocess.run(command, cwd=COPY, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f'{" ".join(map(str, command))} failed:\n{(done.stdout + done.stderr)[-3000:]}')


def copy_sources():
    names = subprocess.run(['git', 'ls-files', '--cached', '--others', '--exclude-standard'],
                           cwd=ROOT, check=True, capture_output=True, text=True).stdout.split('\n')
    for name in filter(None, names):
        source, target = ROOT / name, COPY / name
        if not source.is_file():
            continue
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def edits_of(name):
    edits = MUTANTS[name]
    return edits if isinstance(edits, list) else [edits]


def check_places():
    for name in MUTANTS:
        for file, there, *_ in edits_of(name):
            found = (ROOT / file).read_text().count(there)
            if found != 1:
                sys.exit(f"mutant '{name}': its line is {found} times in {file}; mend sim/mutants.py")


def hunt(name):
    edits = edits_of(name)
    recipe = edits[0][3:]
    originals = {}
    for file, there, instead, *_ in edits:
        path = COPY / file
        originals[path] = path.read_text()
        path.write_text(originals[path].replace(there, instead))
    try:
        sh('ninja', '-C', BUILD, 'holdfast_sim')
        began = time.time()
        run = subprocess.run([BUILD / 'holdfast_sim', '--recipes', ROOT / 'sim' / 'recipes', '--quiet',
                              '--seeds', str(SEEDS_MAX), '--seconds', str(SECONDS_MAX),
                              *(['--recipe', *recipe] if recipe else [])],
                             capture_output=True, text=True)
    finally:
        for path, original in originals.items():
            path.write_text(original)
    found = re.search(r'^seed (\d+) of recipe (\w+): (.*)', run.stdout, re.M)
    if found:
        return found[1], found[2], found[3], time.time() - began
    if run.returncode < 0 or run.returncode > 1:
        return '?', '?', f'the program ended with {run.returncode}', time.time() - began
    return None


def main():
    wanted = sys.argv[1:] or list(MUTANTS)
    check_places()
    if sys.argv[1:] == ['--check']:
        return
    unknown = [name for name in wanted if name not in MUTANTS]
    if unknown:
        sys.exit(f"no mutant {unknown[0]}; there are: {', '.join(MUTANTS)}")
    copy_sources()
    sh('cmake', '--preset', 'release', '-B', BUILD)
    survivors = []
    print('| deliberate bug | found by seed | recipe | seconds | how |\n|---|---|---|---|---|', flush=True)
    for name in wanted:
        found = hunt(name)
        if found is None:
            survivors.append(name)
            print(f'| {name} | **not found** | | | |', flush=True)
        else:
            seed, recipe, how, seconds = found
            print(f'| {name} | {seed} | {recipe} | {seconds:.0f} | {how[:110]} |', flush=True)
    if survivors:
        sys.exit(f'{len(survivors)} of {len(wanted)} were not found: {", ".join(survivors)}')


if __name__ == '__main__':
    main()
