import Domain
import Foundation
import Ingress
import Persistence
import Postgres
import TestSupport
import Testing
import Transport

/// The configuration in a real database, with no more rights than the ingress has in production.
struct IngressConfigurationStore: ConfigurationStore {
    let pool: PostgresPool

    nonisolated(nonsending) func write<Result: Sendable>(
        isKept: Bool, _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result {
        try await StoredConfiguration(pool: pool).write(isKept: isKept) { transaction in
            _ = try await transaction.query("set local role neff_ingress")
            return try await body(transaction)
        }
    }

    nonisolated(nonsending) func read<Result: Sendable>(
        _ body: nonisolated(nonsending) (Transaction) async throws -> Result
    ) async throws -> Result {
        try await StoredConfiguration(pool: pool).read { transaction in
            _ = try await transaction.query("set local role neff_ingress")
            return try await body(transaction)
        }
    }
}

/// An ingress over a database of its own; the broker is away, which must not matter here.
func withConfiguration(
    _ body: @escaping @Sendable (Harness, PostgresPool) async throws -> Void
) async throws {
    try await withScratchDatabase(migrations: Schema.migrations(), poolSize: 8) { pool in
        try await withIngress(configuration: IngressConfigurationStore(pool: pool)) { ingress in
            ingress.broker.isReady = false
            ingress.clock.now = Date(timeIntervalSince1970: 1_803_902_400)  // 2027-03-01T12:00:00Z
            try await body(ingress, pool)
        }
    }
}

extension Harness {
    /// Adds a thing and gives its answer's fields.
    @discardableResult
    func add(_ path: String, _ body: String, key: String = UUID().uuidString) async throws -> [String: Any] {
        let response = try await send("POST", path, headers: [("Idempotency-Key", key)], body: body)
        #expect(response.status == 201, "\(response.text)")
        return try response.json
    }

    func addID(_ path: String, _ body: String) async throws -> String {
        try #require(try await add(path, body)["id"] as? String)
    }

    /// The items of a page.
    func items(_ path: String) async throws -> [[String: Any]] {
        let response = try await send("GET", path)
        #expect(response.status == 200, "\(response.text)")
        return try #require(try response.json["items"] as? [[String: Any]])
    }
}

extension PostgresPool {
    func count(_ sql: SQL) async throws -> Int {
        try #require(try await query(sql).first).decode(0, as: Int.self)
    }
}
