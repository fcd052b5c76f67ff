package import Domain
package import Messaging
package import Persistence
package import Postgres

/// Operations as they are in the database.
package struct StoredOperations: OperationStore {
    private let pool: PostgresPool
    private let onSpooled: @Sendable () -> Void

    /// - Parameter onSpooled: called when a command went to the spool, such as to wake the relay.
    package init(pool: PostgresPool, onSpooled: @escaping @Sendable () -> Void = {}) {
        self.pool = pool
        self.onSpooled = onSpooled
    }

    package func begin(_ operation: Operation, spooling message: OutgoingMessage?) async throws -> Operation? {
        guard let message else { return try await Operations.insertPending(operation, in: pool) }
        defer { onSpooled() }
        return try await SpooledOperations.begin(operation, spooling: message, in: pool)
    }

    package func find(_ id: OperationID) async throws -> Operation? {
        try await Operations.find(id, in: pool)
    }

    package func observeFinished(_ each: @Sendable (OperationID?) -> Void) async {
        for await notification in pool.notifications(on: Operations.finishedChannel) {
            switch notification {
            case .notified(let payload):
                if let id = OperationID(rawValue: payload) { each(id) }
            case .reconnected: each(nil)
            }
        }
    }
}
