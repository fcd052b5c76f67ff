import Domain
import Foundation
import Postgres

/// A list of things by start and id, read page by page.
struct PagedQuery {
    /// What the table is called in the statement, such as `j`.
    private let table: SQL
    private var condition: SQL
    private let limit: Int

    /// - Parameters:
    ///   - from: shows what starts at this instant or later.
    ///   - to: shows what starts before this instant.
    ///   - cursor: where the page before ended; nil begins.
    ///   - limit: at most so many, 1 to 200; others are brought into that range.
    init(
        _ table: SQL, where condition: SQL = "true", from: Date?, to: Date?, cursor: PageCursor?, limit: Int
    ) {
        self.table = table
        self.condition = condition
        self.limit = min(max(limit, 1), 200)
        if let from { self.condition += " and \(table).starts_at >= \(from)" }
        if let to { self.condition += " and \(table).starts_at < \(to)" }
        if let cursor {
            self.condition += " and (\(table).starts_at, \(table).id) > (\(cursor.startsAt), \(cursor.id))"
        }
    }

    /// Shows only rows with one of these values; none shows all.
    mutating func keep(_ column: SQL, in values: Set<some RawRepresentable<String>>) {
        guard !values.isEmpty else { return }
        condition += " and \(table).\(column) = any(\(values.map(\.rawValue).sorted())::text[])"
    }

    /// Shows only rows of this resource; nil shows all.
    mutating func keep(_ column: SQL, of resource: ResourceID?) {
        if let resource { condition += " and \(table).\(column) = \(resource.rawValue)" }
    }

    /// Reads the page.
    ///
    /// - Parameters:
    ///   - view: the statement that reads what a condition holds of.
    ///   - cursor: where a list goes on after an item.
    /// - Throws: `PostgresError`.
    func page<Item>(
        in pool: PostgresPool, view: (SQL) -> SQL, decode: (Row) throws -> Item, cursor: (Item) -> PageCursor
    ) async throws -> Page<Item> {
        // One more than is shown tells whether there is a next page.
        let rows = try await pool.query(
            view(condition) + " order by \(table).starts_at, \(table).id limit \(limit + 1)")
        let items = try rows.map(decode)
        return Page(
            items: Array(items.prefix(limit)), next: items.count > limit ? cursor(items[limit - 1]) : nil)
    }
}
