import Logging
import Synchronization

/// What a listener hears.
package enum Notification: Sendable, Equatable {
    /// Somebody notified the channel.
    case notified(payload: String)
    /// The channel is listened to from now on, and something may have been missed: look for yourself.
    ///
    /// Comes first, after every reconnect, and in the place of notifications that a slow listener did not take.
    case reconnected
}

/// Notifications of one channel, over a connection of its own that is made again whenever it breaks.
///
/// Nothing runs unless somebody iterates. The sequence ends when the iterating task is cancelled or the pool shuts
/// down, and it never throws.
package struct Notifications: AsyncSequence, Sendable {
    package typealias Element = Notification

    let pool: PostgresPool
    let channel: String

    package func makeAsyncIterator() -> Iterator {
        Iterator(pool: pool, channel: channel)
    }

    package struct Iterator: AsyncIteratorProtocol {
        let pool: PostgresPool
        let channel: String
        private var connection: PostgresConnection?
        private var failures = 0

        init(pool: PostgresPool, channel: String) {
            self.pool = pool
            self.channel = channel
        }

        package mutating func next() async -> Notification? {
            while !Task.isCancelled, !pool.isShutDown {
                do {
                    guard let connection else {
                        try await connect()
                        return .reconnected
                    }
                    guard let notification = try await connection.nextNotification() else { return .reconnected }
                    return .notified(payload: notification.payload)
                } catch {
                    connection = nil
                    if Task.isCancelled || pool.isShutDown { break }
                    failures += 1
                    pool.logger.info(
                        "Listening was interrupted",
                        metadata: [
                            LogKey.channel: "\(channel)", LogKey.error: "\(error)", LogKey.attempt: "\(failures)",
                        ])
                    // Full jitter, so that the listeners of many processes do not come back at once.
                    let window = Duration.milliseconds(100 * (1 << Swift.min(failures - 1, 6)))
                    if failures > 1 { try? await Task.sleep(for: window * Double.random(in: 0...1)) }
                }
            }
            if let connection { await connection.close() }
            connection = nil
            return nil
        }

        private mutating func connect() async throws {
            let new = try await pool.connectListener()
            try await new.listen(channel)
            connection = new
            failures = 0
        }
    }
}

extension PostgresPool {
    /// Listens to a channel; iterate to begin. See `Notifications`.
    package func notifications(on channel: String) -> Notifications {
        Notifications(pool: self, channel: channel)
    }

    /// A connection beside the pool's own, closed when the pool shuts down.
    func connectListener() async throws -> PostgresConnection {
        let connection = try await PostgresConnection.connect(configuration, threads: threads, logger: logger)
        listeners.withLock { listeners in
            listeners.removeAll { $0.connection == nil }
            listeners.append(WeakConnection(connection: connection))
        }
        if isShutDown { await connection.close() }
        return connection
    }

    /// Does not keep a listener's connection alive.
    struct WeakConnection: Sendable {
        weak let connection: PostgresConnection?
    }
}
