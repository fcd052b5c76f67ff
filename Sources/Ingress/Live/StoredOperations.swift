package import Domain
package import Messaging
package import Persistence
package import Postgres

/// Operations as they are in the database.
package struct StoredOperations: OperationStore {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    package func begin(_ operation: Operation, spooling message: OutgoingMessage?) async throws -> Operation? {
        guard let message else { return try await Operations.insertPending(operation, in: pool) }
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
