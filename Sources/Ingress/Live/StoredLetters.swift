package import Domain
package import Messaging
package import Persistence
package import Postgres

/// The journal of dead letters as it is in the database.
package struct StoredLetters: LetterStore {
    private let pool: PostgresPool

    package init(pool: PostgresPool) {
        self.pool = pool
    }

    package func list(
        _ filter: DeadLetters.Filter, after cursor: DeadLetterID?, limit: Int
    ) async throws -> DeadLetters.Page {
        try await DeadLetters.list(filter, after: cursor, limit: limit, on: pool)
    }

    package func groups(includesResolved: Bool, limit: Int) async throws -> [LetterGroup] {
        try await DeadLetters.groups(includesResolved: includesResolved, limit: limit, on: pool)
    }

    package func find(_ id: DeadLetterID) async throws -> DeadLetter? {
        try await DeadLetters.find(id, on: pool)
    }

    package func facts(of letter: DeadLetter) async throws -> LetterFacts {
        try await LetterFacts.read(for: letter, on: pool)
    }

    package func edit(
        _ id: DeadLetterID, patch: JSONPatch?, replacing former: JSONPatch?, reason: String?, by who: String
    ) async throws -> DeadLetters.EditResult {
        try await DeadLetters.edit(id, patch: patch, replacing: former, reason: reason, by: who, on: pool)
    }

    package func discard(_ id: DeadLetterID, reason: String, by who: String) async throws -> Bool {
        try await !DeadLetters.discard([id], reason: reason, by: who, on: pool).isEmpty
    }

    package func restore(_ id: DeadLetterID, reason: String?, by who: String) async throws -> Bool {
        try await !DeadLetters.restore([id], reason: reason, by: who, on: pool).isEmpty
    }
}
