import CLibPQ

/// What it takes to ask the server to cancel a connection's statement.
///
/// Unchecked: a `PGcancel` is a copy of the server's address and the session's key that is never changed after
/// `PQgetCancel`, and libpq allows `PQcancel` in another thread than the connection's ("Canceling Queries in Progress").
final class CancelTicket: @unchecked Sendable {
    private let raw: OpaquePointer

    /// - Parameter connection: a live `PGconn`, on its thread.
    init?(connection: OpaquePointer) {
        guard let raw = PQgetCancel(connection) else { return nil }
        self.raw = raw
    }

    deinit {
        PQfreeCancel(raw)
    }

    /// Connects, asks, and waits until the server has signalled the session's process.
    ///
    /// Blocks, in the worst case for as long as the kernel tries to connect. Whether it worked shows in the answer to
    /// the statement only.
    func send() {
        var message = [CChar](repeating: 0, count: 256)
        _ = PQcancel(raw, &message, CInt(message.count))
    }
}
