/// An open transaction, valid until the body that got it returns.
///
/// BEGIN and savepoints travel with the statement that follows them, so a transaction costs one round trip for each
/// statement and one for the commit.
package struct Transaction: Sendable {
    /// How much of other transactions it sees.
    package enum Isolation: String, Sendable, CaseIterable {
        case readCommitted = "read committed"
        case repeatableRead = "repeatable read"
        case serializable
    }

    let connection: PostgresConnection
    let scope: TransactionScope
    var depth = 0

    /// Runs one statement.
    package func query(_ sql: SQL) async throws -> Rows {
        try await connection.perform(.statements([sql]), in: scope)[0]
    }

    /// Runs statements in one round trip; after the first that fails the others are not run.
    package func pipeline(_ statements: [SQL]) async throws -> [Rows] {
        try await connection.perform(.statements(statements), in: scope)
    }

    /// Runs a statement whose answer is not needed: it travels with the next statement, or with the commit, and costs no
    /// round trip of its own.
    ///
    /// If it fails, that call throws its error. So leave to `query` what is expected to fail, and what is to be caught. A
    /// savepoint waits for what was put off in it.
    package func enqueue(_ sql: SQL) async throws {
        try await connection.enqueue(sql, in: scope)
    }

    /// Runs text with any number of statements; it must not end the transaction.
    ///
    /// - Parameter text: sent as it is. Never build it from input.
    package func script(_ text: String) async throws {
        _ = try await connection.perform(.script(text), in: scope)
    }

    /// Loads rows with COPY and says how many.
    ///
    /// All rows of one call are in memory; load more with more calls.
    package func copyIn(_ table: String, columns: [String], rows: [[any PostgresEncodable]]) async throws -> Int {
        try await connection.copyIn(table, columns: columns, rows: rows, in: scope)
    }

    /// Runs a part that can fail by itself: if the body throws, what it did is undone, and the transaction can go on.
    package nonisolated(nonsending) func savepoint<Result>(
        _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result {
        var inner = self
        inner.depth += 1
        let name = "sp\(inner.depth)"
        try await connection.openSavepoint(name, in: scope)
        do {
            let result = try await body(inner)
            try await connection.releaseSavepoint(name, in: scope)
            return result
        } catch {
            await connection.rollbackSavepoint(name, in: scope)
            throw error
        }
    }
}

extension PostgresConnection {
    /// Runs a transaction on this connection; see `PostgresPool.withTransaction`.
    package nonisolated(nonsending) func withTransaction<Result>(
        isolation: Transaction.Isolation = .readCommitted, readOnly: Bool = false,
        _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result {
        let mode = readOnly ? " read only" : ""
        let scope = TransactionScope(id: makeID(), opening: "begin isolation level \(isolation.rawValue)\(mode)")
        do {
            let result = try await body(Transaction(connection: self, scope: scope))
            try Task.checkCancellation()
            try await commit(scope)
            return result
        } catch {
            // After a failed commit the scope has ended and this does nothing.
            await rollback(scope)
            throw error
        }
    }

    /// COPY outside a transaction is one of its own.
    nonisolated func copyIn(
        _ table: String, columns: [String], rows: [[any PostgresEncodable]], in scope: TransactionScope? = nil
    ) async throws -> Int {
        let name = table.split(separator: ".", omittingEmptySubsequences: false).map { SQL.quoted(String($0)) }
        let list = columns.map(SQL.quoted).joined(separator: ", ")
        let statement = SQL(unescaped: "copy \(name.joined(separator: ".")) (\(list)) from stdin")
        let chunks = try CopyText.chunks(rows, columnCount: columns.count)
        return try await perform(.copyIn(statement, chunks: chunks), in: scope).last?.affectedRows ?? 0
    }
}
