// Every limit of Holdfast, in one place, with its reason. A limit that is reached answers the
// caller with resource_exhausted, too_large or invalid_argument; nothing accepted is lost.
// docs/bounds.md says of each what happens past it; `./dev lint` compares the two.
#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast::bounds {

// --- Cluster
inline constexpr uint32_t kNodesMax = 7;  // A majority of 7 survives 3 losses; more only adds cost.
inline constexpr size_t kAddressBytesMax = 255;  // host:port; a host name has at most 253.

// --- Process
// That no connection takes: RocksDB's, the log's, the links to the other nodes.
inline constexpr size_t kFilesOfStore = 768;
inline constexpr int kStoreOpenFilesMax = 512;           // RocksDB closes and opens files beyond.
inline constexpr size_t kConfigFileBytesMax = 64 << 10;  // The default one has 2 KiB.
inline constexpr size_t kIdentityBytesMax = 4'096;       // A dozen lines.

// --- Requests
// One request always fits in one entry; a value of 1 MiB with its key fits in one request.
inline constexpr size_t kRequestBytesMax = (1 << 20) + (4 << 10);
inline constexpr size_t kReplyBytesMax = 4 << 20;       // gRPC's own default for a message.
inline constexpr size_t kIdempotencyKeyBytesMax = 255;  // As Stripe's; fits any UUID or hash.
inline constexpr size_t kPrincipalBytesMax = 128;
inline constexpr int64_t kDeadlineMsDefault = 10'000;  // A caller that names none is not a leak.
inline constexpr int64_t kDeadlineMsMax = 60'000;
inline constexpr int64_t kRetryAfterMsDefault = 500;  // About one failover.

// --- Log
inline constexpr size_t kEntryRequestsMax = 8'192;  // What one apply has to do.
inline constexpr size_t kEntryBytesMax =
    kRequestBytesMax + (64 << 10);                  // A full request + envelope.
inline constexpr size_t kEntriesInFlightMax = 512;  // last - commit; LIBRAFT guard 7.
inline constexpr size_t kBatchesInFlightMax =
    4;  // Few, so that batches grow; the disks never wait.
inline constexpr size_t kWaitingRequestsMax = 65'536;  // Queue in front of the log, by count ...
inline constexpr size_t kWaitingBytesMax = 64 << 20;   // ... and by bytes ...
// ... and by time: what would wait longer, at the rate at which this node answers, is refused at
// once. Much longer than a group commit, much shorter than a caller's patience. Reads likewise.
inline constexpr uint64_t kWaitMsMax = 500;
// Beside so few, nothing is refused by time: a queue this short says little about the rate.
inline constexpr size_t kUnhurriedRequests = 16;
inline constexpr uint64_t kRetryAfterMsMin = 100;       // Sooner would find the same queue.
inline constexpr uint64_t kRetryAfterMsMax = 5'000;     // Later would leave the node idle.
inline constexpr size_t kForwardedBytesMax = 32 << 20;  // To the leader; half of the link's queue.
inline constexpr size_t kApplyBacklogMax = 64;          // Entries committed and not applied.
inline constexpr size_t kWaitingReadsMax = 65'536;      // Reads that wait for a position.
inline constexpr size_t kSegmentBytes = 64 << 20;       // One log file.
inline constexpr uint64_t kSegmentBytesMin = 2 << 20;   // Any entry fits into a file of its own.
inline constexpr uint64_t kSegmentBytesMax = uint64_t{1}
                                             << 30;     // A header that says more is damage.
inline constexpr uint64_t kLogGroupBytesMax = 4 << 20;  // One write; longer delays the sync.
inline constexpr size_t kLogTailBytesMax = 64 << 20;    // Entries kept in memory for followers.
// Behind the last checkpoint, for followers that were away: about a minute at full rate ...
inline constexpr uint64_t kLogKeepBytes = 256 << 20;
inline constexpr uint64_t kLogKeepEntries = 65'536;       // ... and no more than start up fast.
inline constexpr uint64_t kDiskReserveBytes = 512 << 20;  // Of the disk, for what may not fail.
inline constexpr uint64_t kLogHeldBytesMax = uint64_t{4} << 30;  // While one fetches a checkpoint.

// --- Waiting (docs/waiting.md)
inline constexpr size_t kWaitersMax = 65'536;  // Calls of a node that wait for something to come.
inline constexpr size_t kTouchesKept = 1'024;  // Of the last entries; older ones cost a look.

// An Acquire that stands in line leaves it by log time; the node listens a little longer for that.
inline constexpr uint64_t kAwaitGraceMs = 250;

// --- Sessions
inline constexpr uint64_t kSessionsMax = 1'000'000;  // Alive at a time: rows of 60 bytes.
inline constexpr uint32_t kSessionTtlMsMin = 1'000;  // Shorter ones end between two keepalives.

// --- Locks
inline constexpr size_t kLockNameBytesMax = 128;
inline constexpr uint32_t kLockTtlMsDefault = 30'000;   // Of a lease that says nothing.
inline constexpr uint32_t kLockDepthMax = 255;          // More is a loop that never releases.
inline constexpr uint32_t kLocksPerSessionMax = 1'000;  // What one entry has to release at once.
inline constexpr uint64_t kLocksMax = 1'000'000;        // Holders and places in line, of all locks.
inline constexpr uint32_t kLockHoldersMax = 1'000;      // Of one lock, with who may join them.
inline constexpr uint32_t kLockWaitersMax = 1'000;      // In one line.
inline constexpr size_t kLockCycleOwnersMax = 1'000;    // Looked at for a deadlock.
inline constexpr size_t kLockCycleRowsMax = 4'000;  // The same: a full lock and its line, twice.

// --- State machine
inline constexpr int64_t kIdempotencyRetentionUs = int64_t{24} * 3600 * 1'000'000;  // By log time.
inline constexpr size_t kTimersPerEntryMax = 1'024;  // The rest fires with the next tick.
inline constexpr size_t kTimerBytesMin = 16;         // One for so many bytes of a large entry.
// Rows that the writes of one list may change: a list of deletions by prefix could change millions.
inline constexpr size_t kListChangesMax = 131'072;
// What timers may change; the last of them goes past it. A session of 1,000 locks changes 6,000
// rows.
inline constexpr size_t kTimerChangesPerEntryMax = 16'384;
// What a kept message may hold on to, whatever requests it was used for.
inline constexpr size_t kReusedMessageBytes = 8 << 20;
inline constexpr size_t kApplyArenaBytes = 64 << 10;  // Most replies fit; larger ones allocate.

// --- Store
inline constexpr size_t kCheckpointRowsDefault = 400'000;    // Bounds how long one is written.
inline constexpr size_t kCheckpointBytesDefault = 64 << 20;  // Of delta in memory; thrice at worst.
inline constexpr size_t kCacheRowsPerTable = 100'000;
inline constexpr size_t kKeyFilterBytesMax = 48 << 20;  // Of a table; precise to 36 million keys.
inline constexpr size_t kLearnedRowsPerStep = 10'000;   // A few ms between two checkpoints.
inline constexpr size_t kTableKeyBytesMax = 1'024;

// --- API
inline constexpr size_t kPageRowsDefault = 100;
inline constexpr size_t kPageRowsMax = 1'000;  // A read holds the store's shared lock.
// Of a list whose rows come and go: erased ones that it walks over count as well.
inline constexpr size_t kPageStepsMax = 2 * kPageRowsMax;
inline constexpr size_t kHttpHeaderBytesMax = 16 << 10;
inline constexpr size_t kHttpBodyBytesMax = 2 << 20;  // JSON is longer than its request bytes.
inline constexpr size_t kHttpConnectionsMax = 16'384;
inline constexpr size_t kHttpRefusalsMax = 64;           // Above that: told so. Others are closed.
inline constexpr size_t kHttpBufferBytesMax = 64 << 10;  // Read ahead of what is parsed.
// Bodies on their way in, of all connections: 64 of the greatest. Two thirds of a node's memory is
// the store's.
inline constexpr size_t kHttpBodiesBytesMax = 128 << 20;
// Responses on their way out, of all connections. Past it a read is refused instead of answered;
// answers to writes are small, and are kept.
inline constexpr size_t kHttpRepliesBytesMax = 128 << 20;
inline constexpr int64_t kHttpIdleMsMax = 75'000;   // As nginx.
inline constexpr int64_t kHttpReadMsMax = 20'000;   // One request from first to last byte.
inline constexpr int64_t kHttpWriteMsMax = 20'000;  // One response; for who never reads.
// After a response that ends the connection, what the client still sends is read and dropped for so
// long: closing at once would reset the connection and could take the response with it.
inline constexpr int64_t kHttpLingerMsMax = 2'000;
// When the node stops: whoever keeps a connection of a pool open would hold it up.
inline constexpr int64_t kHttpStopLingerMsMax = 100;
inline constexpr size_t kHttpLingerBytesMax = 16 << 20;
inline constexpr size_t kJsonDepthMax = 32;
// Elements of all arrays and maps in one text. A body of kHttpBodyBytesMax could otherwise hold
// 700,000 empty objects, each of which costs a message.
inline constexpr size_t kJsonElementsMax = 65'536;
// Past these gRPC itself answers RESOURCE_EXHAUSTED or queues the stream.
inline constexpr int kGrpcStreamsPerConnectionMax = 1'024;
// Those that wait for something among them. A call costs about 10 KiB.
inline constexpr size_t kGrpcCallsMax = 32'768;
inline constexpr int64_t kGrpcStepMsMax = 20'000;         // To bring a request, to take an answer.
inline constexpr size_t kGrpcMemoryBytesMax = 256 << 20;  // Buffers of all connections.
// Replies to single reads on their way out, of all calls; past it a read is refused. As for HTTP.
inline constexpr size_t kGrpcRepliesBytesMax = 128 << 20;
// A connection for gRPC is closed when so many files and sockets are open: as many as HTTP may
// have, and 4,096. Where few may be open it is less (FileShares).
inline constexpr size_t kGrpcFilesMax = kHttpConnectionsMax + 4'096;
inline constexpr int kGrpcIdleMs = 300'000;  // A connection without a call is closed.
inline constexpr int kGrpcThreadsMax = 64;   // That gRPC may start for itself.
// A status message travels in an HTTP/2 header, which clients bound at 8 KiB by default.
inline constexpr size_t kGrpcStatusBytesMax = 2'048;
// A connection whose other end vanished without a word is found out and closed after both.
inline constexpr int kGrpcKeepaliveMs = 20'000;
inline constexpr int kGrpcKeepaliveTimeoutMs = 5'000;
inline constexpr int kGrpcHandshakeMsMax = 10'000;  // For connections that never say anything.

// --- Ledger; as its API says, so these never change
inline constexpr size_t kCurrencyBytesMin = 3;
inline constexpr size_t kCurrencyBytesMax = 12;
inline constexpr size_t kMetadataKeyBytesMax = 64;
inline constexpr size_t kMetadataValueBytesMax = 256;

// --- Queues; what their API says never changes
inline constexpr uint32_t kQueuesMax = 10'000;          // Each has a row and up to 16 groups.
inline constexpr uint32_t kQueueNameBytesMax = 128;     // Fits into a path.
inline constexpr uint32_t kQueueGroupsMax = 16;         // Each costs every message a row.
inline constexpr uint32_t kQueuePartitionsMax = 1'024;  // 64 points each: a ring of 640 KiB.
inline constexpr uint64_t kQueueInFlightMax = 20'000;   // Of a group; a lost consumer is no leak.
inline constexpr size_t kQueuePullBytesMax = 1 << 20;   // Of one reply; it may be kept for a day.
inline constexpr size_t kQueueHistoryMax = 16;          // Attempts of a dead letter that are told.
inline constexpr size_t kQueueSweptPerEntry = 32;       // Messages; bounds the pause of one apply.
inline constexpr int64_t kQueueSweepPauseMs = 5;        // Between two sweeps: others come first.
inline constexpr size_t kQueueMovedBytesPerEntry = 1 << 20;  // Dead letters; what one entry writes.
inline constexpr size_t kQueueOriginsMax = 8;  // Dead-letter queues in a row, on the way back.

// --- Cache; what its API says never changes
inline constexpr size_t kCacheKeyBytesMax = 256;        // Fits into a path, and a timer's key.
inline constexpr size_t kCacheValueBytesMax = 1 << 20;  // As large as a request can be.
inline constexpr uint64_t kCacheEntryBytes = 256;       // What an entry costs beside its bytes.
inline constexpr uint64_t kCacheBytesDefault = 256 << 20;
inline constexpr uint64_t kCacheBytesMin = 2 << 20;  // Any value fits.
inline constexpr uint64_t kCacheBytesMax = uint64_t{64} << 30;
inline constexpr size_t kCacheBatchKeysMax = 1'000;        // What one request has to do.
inline constexpr size_t kCachePageBytesMax = 2 << 20;      // Of one GetMany.
inline constexpr uint32_t kCacheSessionLinesMax = 65'536;  // Of one near cache.
inline constexpr uint64_t kCacheLinesMax = 1'000'000;      // Of all: rows of 100 bytes.
inline constexpr uint32_t kCacheHoldersMax = 1'000;        // Of one key: a write recalls them all.
inline constexpr uint32_t kCacheWaitersMax = 1'000;        // For one line.
inline constexpr uint32_t kCachePlaceMs = 1'000;           // A writer's place that nobody takes.
inline constexpr size_t kCacheSweptPerEntry = 256;         // Lines of a session that has ended.

// --- Orders; what its API says never changes
inline constexpr size_t kOrderLinesMax = 100;  // Each is a product's row in one apply.
inline constexpr uint32_t kOrderShipmentsMax = 32;
inline constexpr uint32_t kOrderQuantityMax = 1'000'000;       // Of one line.
inline constexpr int64_t kPriceMax = 1'000'000'000'000;        // Of one piece, in minor units.
inline constexpr uint32_t kStockQuantityMax = 1'000'000'000;   // Received or written off at once.
inline constexpr uint32_t kReservationSecondsDefault = 900;    // A customer who pays now.
inline constexpr uint32_t kReservationSecondsMax = 2'592'000;  // Longer ones are sales.
inline constexpr size_t kOrderPageBytesMax = 2 << 20;          // Of one list; a reply has 4 MiB.

// --- Todo; what its API says never changes
inline constexpr uint64_t kTodoUsersMax = 1'000'000;  // A small row each, for ever.
inline constexpr uint32_t kTodoListsMax = 1'000;      // Of one user.
inline constexpr uint32_t kTodoListTasksMax = 2'000;  // A move may number all of them anew.
inline constexpr uint32_t kTodoClearedMax = 1'000;    // By one ClearDone.
inline constexpr size_t kTodoPageBytesMax = 2 << 20;  // Of one page; a reply has 4 MiB.

// --- Rounds; what its API says never changes
inline constexpr uint64_t kRoundsGamesMax = 100'000;       // Those that are over among them.
inline constexpr uint32_t kRoundsPlacesMax = 1'000;        // Of a game: all moves are one row.
inline constexpr size_t kRoundsMoveBytesMax = 1'024;       // 1,000 of them fit into one reply.
inline constexpr uint32_t kRoundsKeptDefault = 100;        // Rounds that have ended, of a game ...
inline constexpr uint32_t kRoundsKeptMax = 1'000;          // ... each of them a row.
inline constexpr uint64_t kRoundsKeptBytesMax = 16 << 20;  // Of a game: the last ten at least.
inline constexpr size_t kRoundsPageBytesMax = 2 << 20;     // Of one page; a reply has 4 MiB.
inline constexpr size_t kRoundsNameBytesMax = 128;         // Fits into a path.
// What Move and AwaitMove tell of a result. What a write says in the end is never refused for want
// of memory, and as many wait for one round as may wait at a node: so a larger one is left to
// Results, which is. Three moves of full size, or the names of a hundred at a barrier.
inline constexpr size_t kRoundsToldBytesMax = 4 * kRoundsMoveBytesMax;
inline constexpr size_t kRoundsSweptPerEntry = kRoundsKeptMax;  // Rows of what was deleted.
inline constexpr int64_t kRoundsSweepPauseMs = 5;  // Between two sweeps: others come first.

// --- Chat; what its API says never changes
inline constexpr size_t kChatNameBytesMax = 128;     // Rooms, members and ids of messages.
inline constexpr size_t kChatTextBytesMax = 8'192;   // A message, not a document.
inline constexpr size_t kChatFollowsMax = 16;        // As many branches a message may join.
inline constexpr uint64_t kChatRoomsMax = 100'000;   // With those deleted: a small row, for ever.
inline constexpr uint32_t kChatMembersMax = 10'000;  // Of one room: two small rows each.
inline constexpr uint64_t kChatMessagesMax = 1'000'000;  // Of one room, with those held back.
inline constexpr uint32_t kChatHeldMax = 256;  // Of one room: one message may let all of them go.
inline constexpr uint32_t kChatHoldMsDefault = 30'000;  // What a network repeats for.
inline constexpr uint32_t kChatHoldMsMax = 600'000;
inline constexpr uint32_t kChatDelayMsMax = 10'000;   // Of a network that is only played.
inline constexpr size_t kChatPageBytesMax = 1 << 20;  // Twice with repeats; a reply has 4 MiB.
inline constexpr size_t kChatSweptPerEntry = 256;     // Rows of a room that was deleted.
inline constexpr int64_t kChatSweepPauseMs = 5;       // Between two sweeps: others come first.
inline constexpr size_t kChatInFlightMax = 4'000;     // Arrivals that the terminal still plays.
inline constexpr size_t kChatScreenLinesMax = 2'000;  // Kept of each column of the terminal.

// --- Journal; what its API says never changes
inline constexpr uint64_t kJournalsMax = 1'000;         // Each sweeps for itself.
inline constexpr uint32_t kJournalNameBytesMax = 128;   // Fits into a path.
inline constexpr uint32_t kJournalSourcesMax = 10'000;  // Of one journal; a row each, for ever.
inline constexpr uint32_t kJournalSourceBytesMax = 128;
inline constexpr size_t kJournalBodyBytesMax = 64 << 10;  // Of a record: a log line, or a document.
inline constexpr size_t kJournalBatchRecordsMax = 1'000;  // Four rows each, in one apply.
inline constexpr uint64_t kJournalRecordBytes = 128;      // What a record costs beside its body.
inline constexpr uint32_t kJournalWindowMsDefault = 2'000;  // Most networks and batches are faster.
inline constexpr uint32_t kJournalWindowMsMax = 600'000;    // Readers wait for so long.
inline constexpr uint32_t kJournalDriftPpmDefault = 500;    // As fast as ntpd slews a clock.
inline constexpr uint32_t kJournalDriftPpmMax = 100'000;    // More is no clock.
inline constexpr uint64_t kJournalOffsetMsDefault = 3'600'000;  // More is a wrong time zone.
inline constexpr uint64_t kJournalOffsetMsMax = 864'000'000;    // Ten days.
inline constexpr uint64_t kJournalSecondsDefault = 604'800;     // A week.
inline constexpr uint64_t kJournalSecondsMax = 315'360'000;     // Ten years.
inline constexpr uint64_t kJournalBytesDefault = uint64_t{1} << 30;
inline constexpr uint64_t kJournalBytesMin = 2 << 20;  // Any batch fits.
inline constexpr uint64_t kJournalBytesMax = uint64_t{1} << 40;
inline constexpr size_t kJournalReleasedPerEntry = 512;  // Two rows each, in one apply.
inline constexpr size_t kJournalRemovedPerEntry = 512;   // Four rows each.
inline constexpr int64_t kJournalSweepPauseMs = 5;       // Between two sweeps: others come first.
inline constexpr size_t kJournalPageBytesMax = 2 << 20;  // Of one page; a reply has 4 MiB.
// What one page looks at, whether it is in it or not: a read holds the store's shared lock.
inline constexpr size_t kJournalLookedRowsMax = 1'000;
inline constexpr size_t kJournalLookedBytesMax = 2 << 20;
inline constexpr uint32_t kJournalTextBytesMax = 256;       // What is searched for.
inline constexpr size_t kJournalFilesMax = 64;              // Of one merge; each is read ahead.
inline constexpr size_t kJournalMergeBytesMax = 64 << 20;   // Lines that a merge holds back.
inline constexpr size_t kJournalFeedBytesMax = 512 << 10;   // Of a batch: half a request.
inline constexpr int64_t kJournalFeedWaitMs = 100;          // For more lines to fill a batch.
inline constexpr int64_t kJournalFeedRetryMsMax = 600'000;  // Then a feed gives up, and says where.

// --- Conversion of money, and the ledger's exchanges; as the API says: never changes
inline constexpr size_t kDecimalDigitsMax = 38;     // As SQL's decimal; arithmetic has 512 bits.
inline constexpr uint32_t kSpreadPpmMax = 999'999;  // All of the amount would be no exchange.

// --- Command line and client
inline constexpr size_t kEndpointsMax = 64;           // More is a mistake in the list.
inline constexpr size_t kImportLineBytesMax = 4'096;  // The real lines have less than 120.
inline constexpr int kImportBatchRows = 1'000;  // A hundred bytes each: well within one request.

// --- Pipe (docs/pipe.md)
inline constexpr size_t kPipesPerConnectionMax = 64;  // A client takes one.
inline constexpr size_t kPipesMax = 1'024;  // Of a node: one serves a whole program of callers.
// Requests of one pipe that are not answered, by count and by bytes; past it they are refused.
inline constexpr size_t kPipeRequestsMax = 16'384;
inline constexpr size_t kPipeRequestBytesMax = 32 << 20;
// Replies that the client has not taken. Past it no more is read from the pipe, and the reply of a
// read that is under way is dropped and refused; replies of writes are small, and are kept.
inline constexpr size_t kPipeReplyBytesMax = 16 << 20;
inline constexpr size_t kPipesBytesMax = 256 << 20;  // Both of the above, of all pipes of a node.
inline constexpr size_t kPipeMessageRequestsMax = 8'192;      // As an entry's.
inline constexpr size_t kPipeMessageBytesTarget = 256 << 10;  // Longer ones delay what is in them.
inline constexpr size_t kPipeMessageBytesMax =
    kReplyBytesMax + (64 << 10);                    // A full one + envelope.
inline constexpr int64_t kPipeWriteMsMax = 30'000;  // A client that takes nothing is cut off.

// --- Client library; as much as a node takes from one pipe
inline constexpr size_t kClientRequestsMax = kPipeRequestsMax;
inline constexpr size_t kClientBytesMax = kPipeRequestBytesMax;

// --- Consumers; their files of processed ids (docs/client.md)
inline constexpr size_t kProcessedIdBytesMax = 512;          // A queue, a group and a message id.
inline constexpr uint64_t kProcessedIdsDefault = 1'000'000;  // As many as a queue keeps messages.
inline constexpr int64_t kProcessedIdsSecondsDefault = 691'200;  // A queue's window and a day.
inline constexpr int kProcessedIdsBusyMsMax = 5'000;  // For another process's transaction.

// --- A client's causal buffer (docs/client.md); defaults
inline constexpr size_t kCausalHeldDefault = 1'000;         // Messages, ...
inline constexpr size_t kCausalHeldBytesDefault = 4 << 20;  // ... their bytes, ...
inline constexpr int64_t kCausalPatienceMsDefault = 5'000;  // ... and for how long.
inline constexpr size_t kCausalGapsMax = 1'000;             // That are remembered.

// --- Peer link
inline constexpr size_t kPeerFrameBytesMax = 8 << 20;
inline constexpr size_t kPeerWelcomeBytesMax = 16 << 10;  // Before it is known who speaks.
inline constexpr size_t kPeerConnectionsMax = 64;  // Six members, old connections, strangers.
inline constexpr int kPeerHelloMsMax = 5'000;      // For who connects and says nothing.
inline constexpr int kPeerDialMsMax = 1'000;
// Bytes that nobody confirms for so long: dialled anew, as TCP's next attempt may be far away.
inline constexpr int kPeerSilentMsMax = 2'000;
inline constexpr size_t kPeerQueueBytesMax = 64 << 20;  // Past it the link is broken and redialled.
// All members must be there and able to for so long before the behaviour is raised for good: a
// program that fails at its start is gone by then.
inline constexpr uint64_t kBehaviourSettleMs = 2'000;

// --- Clock (docs/clock.md)
inline constexpr size_t kClockSamplesKept = 8;  // Of one source; the best counts. As RFC 5905.
inline constexpr uint64_t kClockSampleMsDefault = 1'000;  // Two small frames for each peer.
inline constexpr uint64_t kClockSampleMsMin = 20;         // More often costs, and gains nothing.
inline constexpr uint64_t kClockSampleMsMax = 60'000;     // A change goes unnoticed for 8 of them.
// Of a new connection, the first samples: agreement before the first leader speaks.
inline constexpr uint64_t kClockBurstMs = 50;
inline constexpr uint64_t kClockAnswerMsMax = 5'000;      // Later answers say too little.
inline constexpr uint64_t kClockOwnErrorMsDefault = 100;  // What NTP keeps any machine to.
inline constexpr uint64_t kClockOwnErrorMsMax = 60'000;   // A claim that says less is none.
inline constexpr uint64_t kClockDriftPpmDefault = 200;    // A quartz has 100 at worst.
inline constexpr uint64_t kClockDriftPpmMax = 10'000;
inline constexpr uint64_t kClockErrorMsDefault = 1'000;  // Known no better: unsynchronised.
inline constexpr uint64_t kClockErrorMsMax = 60'000;
inline constexpr uint64_t kClockFirstStampMsMax = 1'000;  // For agreement, after a start.
inline constexpr uint64_t kClockHandOverMs = 10'000;      // Between two, from who has no agreement.
inline constexpr size_t kNtpServersMax = 8;        // Four are plenty: one may lie, one be down.
inline constexpr size_t kNtpPacketBytesMax = 512;  // 48, and what nobody asked for.
inline constexpr uint64_t kNtpAnswerMsMax = 2'000;
inline constexpr uint64_t kNtpPollMsDefault = 16'000;
inline constexpr uint64_t kNtpPollMsMin = 100;  // A server of one's own may be asked so often.
inline constexpr uint64_t kNtpPollMsMax = 1'024'000;      // Backing off; as RFC 5905's usual limit.
inline constexpr uint64_t kNtpRootDistanceMsMax = 1'500;  // Known no better: no server of time.

// --- Checkpoints for followers that are too far behind for the log
inline constexpr size_t kCheckpointPieceBytes = 512 << 10;  // Delays other frames by some ms.
inline constexpr size_t kCheckpointPiecesInFlight = 4;      // A round trip's worth, and memory.
inline constexpr size_t kCheckpointFilesMax = 65'536;       // Of 64 MiB: 4 TiB.
// So much that a cluster heals soon, so little that it goes on serving meanwhile.
inline constexpr uint64_t kCheckpointBytesPerSecond = 64 << 20;
// Of a node's own files, read once more in the background; the disk has other things to do.
inline constexpr uint64_t kScrubBytesPerSecondMax = 32 << 20;
inline constexpr uint64_t kScrubSecondsDefault = 604'800;  // A week: as RAID arrays are checked.
inline constexpr uint64_t kCheckpointIdleMsMax = 60'000;   // Then nobody is fetching any more.
// The log of so long a time is what a restart applies again, at most.
inline constexpr uint64_t kCheckpointIntervalMsDefault = 60'000;

}  // namespace holdfast::bounds
