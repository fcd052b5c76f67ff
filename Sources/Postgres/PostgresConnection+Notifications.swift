import CLibPQ

/// A NOTIFY as it came from the server.
package struct ServerNotification: Sendable, Equatable {
    package let channel: String
    package let payload: String
    /// The server process of the sender.
    package let sender: Int32
}

/// LISTEN and what comes of it.
extension PostgresConnection {
    /// Notifications kept for a listener that is slow; past this they are dropped and the listener is told.
    static let notificationLimit = 1024

    /// Who waits for the next notification.
    struct Listener {
        let id: UInt64
        let continuation: CheckedContinuation<ServerNotification?, any Error>
    }

    /// Listens to a channel until the connection ends.
    package func listen(_ channel: String) async throws {
        channels.insert(channel)
        _ = try await perform(.statements([SQL(unescaped: "listen \(SQL.quoted(channel))")]))
    }

    /// The next notification; nil once if some were dropped because nobody took them.
    ///
    /// One caller at a time. Throws the reason when the connection ends; `CancellationError`.
    package func nextNotification() async throws -> ServerNotification? {
        if hasLostNotifications {
            hasLostNotifications = false
            return nil
        }
        if !notifications.isEmpty { return notifications.removeFirst() }
        if let closeReason { throw closeReason }
        guard listener == nil else { throw PostgresError(.misuse, "somebody else waits for notifications already") }
        try Task.checkCancellation()
        let id = makeID()
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                listener = Listener(id: id, continuation: continuation)
            }
        } onCancel: {
            enter { connection in
                guard let waiting = connection.listener, waiting.id == id else { return }
                connection.listener = nil
                waiting.continuation.resume(throwing: CancellationError())
            }
        }
    }

    /// Takes the notifications that libpq has read; always true.
    func drainNotifications() -> Bool {
        guard let raw = handle?.raw else { return true }
        while let notification = PQnotifies(raw) {
            let event = ServerNotification(
                channel: String(cString: notification.pointee.relname),
                payload: String(cString: notification.pointee.extra), sender: notification.pointee.be_pid)
            PQfreemem(notification)
            if let waiting = listener {
                listener = nil
                waiting.continuation.resume(returning: event)
            } else if notifications.count < Self.notificationLimit {
                notifications.append(event)
            } else {
                notifications = []
                hasLostNotifications = true
            }
        }
        return true
    }
}
