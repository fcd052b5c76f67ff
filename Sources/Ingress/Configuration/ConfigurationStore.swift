package import Postgres

/// Where what people configure is kept, as the API needs it.
package protocol ConfigurationStore: Sendable {
    /// Runs work in one transaction.
    ///
    /// - Parameter isKept: false undoes everything that it did, and still gives its result.
    nonisolated(nonsending) func write<Result: Sendable>(
        isKept: Bool, _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result

    /// Runs queries that see one moment, and may take a few seconds at most.
    nonisolated(nonsending) func read<Result: Sendable>(
        _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result
}

/// What people configure, as it is in the database.
package struct StoredConfiguration: ConfigurationStore {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    /// Ends a transaction that is not to be kept.
    private struct Undo: Error {}

    package nonisolated(nonsending) func write<Result: Sendable>(
        isKept: Bool, _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result {
        if isKept { return try await pool.withTransaction { try await body($0) } }
        var result: Result?
        do {
            try await pool.withTransaction { transaction in
                result = try await body(transaction)
                throw Undo()
            }
        } catch is Undo {}
        guard let result else { preconditionFailure("a body that ended without an error has a result") }
        return result
    }

    package nonisolated(nonsending) func read<Result: Sendable>(
        _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result {
        try await pool.withTransaction(isolation: .repeatableRead, readOnly: true) { transaction in
            _ = try await transaction.query("set local statement_timeout = '5s'")
            return try await body(transaction)
        }
    }
}
