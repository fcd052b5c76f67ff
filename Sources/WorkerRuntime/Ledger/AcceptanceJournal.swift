package import Foundation
import Glibc
package import Logging
package import Messaging
import Metrics
import Persistence
package import Postgres
import ServiceLifecycle
import Synchronization

/// Notes what the ingress accepts before the sender is told, and brings it to the ledger.
///
/// The note is one line in a file, written with one `write(2)` after the broker's confirm and before the answer. It outlives
/// the process, not the machine. The file is read back and written to PostgreSQL in batches; while PostgreSQL is away it
/// grows. What a process left behind that was killed is brought in by whichever ingress of the host looks next.
///
/// It is a witness and no part of the promise: a message whose note could not be written is accepted all the same, and
/// counted in `ledger.unrecorded`.
package final class AcceptanceJournal: Service, Sendable {
    private struct State {
        /// Bytes in the file.
        var size = 0
        /// How many of them the ledger has.
        var transferred = 0
        var isBroken = false
    }

    private static let prefix = "accepted-"
    private static let suffix = ".journal"
    /// Bytes that are brought to the ledger in one transaction.
    static let chunkSize = 256 << 10
    /// The file is emptied once everything in it has been brought in and it is larger than this.
    static let maxBytes = 1 << 20

    private let folder: String
    private let path: String
    private let descriptor: CInt
    private let routes: LedgerRoutes
    private let pool: PostgresPool
    private let interval: Duration
    private let logger: Logger
    private let state = Mutex(State())
    private let unrecorded = Counter(label: "ledger.unrecorded")
    private let pending = Gauge(label: "ledger.pending")

    /// Starts the journal of this process. A folder that cannot be used leaves a journal that records nothing and says so.
    ///
    /// - Parameter interval: between two transfers.
    package init(
        folder: String, routes: LedgerRoutes, pool: PostgresPool, interval: Duration = .milliseconds(500),
        logger: Logger
    ) {
        self.folder = folder
        self.routes = routes
        self.pool = pool
        self.interval = interval
        self.logger = logger
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        path = "\(folder)/\(Self.prefix)\(UUID().uuidString.lowercased())\(Self.suffix)"
        descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o600)
        if descriptor < 0 || flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            state.withLock { $0.isBroken = true }
            logger.error(
                "accepted messages are not recorded for the ledger: make NEFF_STATE_DIR writable and restart",
                metadata: ["folder": "\(folder)"])
        }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Notes a message that has been stored and is about to be answered for. Some microseconds; never fails.
    package func note(_ message: OutgoingMessage, at now: Date = Date()) {
        let line = Line(
            messageID: message.envelope.id, routingKey: message.routingKey,
            consumers: routes.consumers(message.exchange.rawValue, message.routingKey),
            microseconds: Int((now.timeIntervalSince1970 * 1e6).rounded()))
        guard let bytes = line.bytes else { return unrecorded.increment() }
        let isWritten = state.withLock { state in
            guard !state.isBroken else { return false }
            guard bytes.withUnsafeBytes({ write(descriptor, $0.baseAddress, $0.count) }) == bytes.count else {
                // Part of a line may be there; what follows it could not be told from it.
                state.isBroken = true
                return false
            }
            state.size += bytes.count
            return true
        }
        if !isWritten { unrecorded.increment() }
    }

    /// Brings notes to the ledger until graceful shutdown, and a last time then.
    ///
    /// In a service group it comes before whoever calls `note`.
    package func run() async throws {
        await untilGracefulShutdown { [self] in
            var failures = 0
            var nextLook = ContinuousClock.now
            while !Task.isCancelled {
                do {
                    if ContinuousClock.now >= nextLook {
                        nextLook = .now + .seconds(60)
                        try await adoptAbandoned()
                    }
                    try await transfer()
                    failures = 0
                } catch {
                    failures += 1
                    logger.info("ledger not written, trying again", metadata: [LogKey.errorDetail: "\(error)"])
                }
                pending.record(state.withLock { $0.size - $0.transferred })
                try? await Task.sleep(for: failures == 0 ? interval : .seconds(min(5, failures)))
            }
        }
        do {
            try await transfer()
            // Under the lock of `flock` until the very end, so that nobody adopts it meanwhile.
            if state.withLock({ $0.size == $0.transferred }) { unlink(path) }
        } catch {
            logger.notice(
                "accepted messages wait for the next ingress to bring them to the ledger",
                metadata: ["file": "\(path)", LogKey.errorDetail: "\(error)"])
        }
    }

    /// Brings in what has been noted so far.
    ///
    /// - Throws: `PostgresError`; what was not brought in stays in the file. A line may be brought in twice, which the
    ///   ledger does not mind.
    package func transfer() async throws {
        while true {
            let (start, end) = state.withLock { ($0.transferred, $0.size) }
            guard end > start else { break }
            let bytes = Self.read(descriptor, from: start, upTo: min(Self.chunkSize, end - start))
            guard let last = bytes.lastIndex(of: UInt8(ascii: "\n")) else { break }
            let lines = bytes[...last]
            // Shielded: what is cut off in the middle would be brought in again.
            try await Task { try await Ledger.append(Line.entries(lines), on: self.pool) }.value
            state.withLock { state in
                state.transferred += lines.count
                if state.transferred == state.size, state.size > Self.maxBytes, ftruncate(descriptor, 0) == 0 {
                    (state.size, state.transferred) = (0, 0)
                }
            }
        }
    }

    /// Brings in what processes of this host left behind that are gone, and removes their files.
    func adoptAbandoned() async throws {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for file in files where file.hasPrefix(Self.prefix) && file.hasSuffix(Self.suffix) {
            let other = "\(folder)/\(file)"
            guard other != path else { continue }
            let descriptor = open(other, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            defer { close(descriptor) }
            // Its process holds the lock for as long as it lives.
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { continue }
            var offset = 0
            while true {
                let bytes = Self.read(descriptor, from: offset, upTo: Self.chunkSize)
                // A line without its end was never answered for.
                guard let last = bytes.lastIndex(of: UInt8(ascii: "\n")) else { break }
                try await Ledger.append(Line.entries(bytes[...last]), on: pool)
                offset += last + 1
            }
            unlink(other)
        }
    }

    private static func read(_ descriptor: CInt, from offset: Int, upTo limit: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            count = max(0, pread(descriptor, buffer.baseAddress, limit, off_t(offset)))
        }
    }
}

/// One note: consumers, routing key, microseconds and message id, separated by tabs.
private struct Line {
    var messageID: String
    var routingKey: String
    var consumers: [String]
    var microseconds: Int

    /// Nil if a field would break the line.
    var bytes: [UInt8]? {
        let fields = [consumers.joined(separator: ","), routingKey, String(microseconds), messageID]
        guard fields.allSatisfy({ field in field.utf8.allSatisfy { $0 != 9 && $0 != 10 } }) else { return nil }
        return Array((fields.joined(separator: "\t") + "\n").utf8)
    }

    static func entries(_ bytes: ArraySlice<UInt8>) -> [Ledger.Entry] {
        bytes.split(separator: 10).compactMap { line in
            let fields = line.split(separator: 9, omittingEmptySubsequences: false).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard fields.count == 4, let microseconds = Int(fields[2]) else { return nil }
            return Ledger.Entry(
                messageID: fields[3], routingKey: fields[1],
                consumers: fields[0].split(separator: ",").map(String.init),
                acceptedAt: Date(timeIntervalSince1970: Double(microseconds) / 1e6), source: .ingress)
        }
    }
}
